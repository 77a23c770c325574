"""Model providers: do they take the key, and have they the models that are configured? One request each, no tokens."""

from __future__ import annotations

import httpx

from orchestrator.config import Config, ProviderName, RealProvider, key_name
from orchestrator.doctor.findings import Finding, fail, ok, warn
from orchestrator.llm.catalogue import missing

# Where a provider is unless a base_url says otherwise, and where its list of models is below that, as its SDK has it.
_OWN: dict[str, str] = {ProviderName.GROQ: "https://api.groq.com", ProviderName.OPENAI: "https://api.openai.com/v1"}
_GROQ_LIST, _LIST = "/openai/v1/models", "/models"
_MOST_NAMED = 5


async def check_provider(http: httpx.AsyncClient, name: str, config: Config) -> Finding:
    """One provider of the chain, by its list of models. Nothing of its answer but status and names is ever told."""
    check = f"models, {name}"
    settings: RealProvider | None = config.models.real(name)
    if name == ProviderName.SIMULATED:
        return ok(
            check, "no provider key is set: replies are simulated and cost nothing; set GROQ_API_KEY or OPENAI_API_KEY"
        )
    if settings is None:
        return ok(check, "replies come from a recording")
    address = (settings.base_url or _OWN.get(name, "")).rstrip("/")
    path = _GROQ_LIST if name == ProviderName.GROQ else _LIST
    try:
        answer = await http.get(address + path, headers={"authorization": f"Bearer {settings.shown_key}"})
    except (httpx.HTTPError, ValueError) as error:
        why = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        todo = "runs wait for it or fall over to the next provider; check the network and the base_url"
        return warn(check, f"{address} {why}", todo)
    if answer.status_code in {401, 403}:
        said = "does not accept the key" if settings.has_key else "wants a key"
        todo = f"set {key_name(name)} to a valid key, or take the provider out of models.order"
        return fail(check, f"{address} {said} (HTTP {answer.status_code})", todo)
    if not answer.is_success:
        todo = "look at the provider's status page; runs wait for it or fall over to the next provider"
        return warn(check, f"{address} answers with HTTP {answer.status_code} to the list of its models", todo)
    greeting = "the key is accepted" if settings.has_key else "no key is needed"
    return _judge_models(check, greeting, _section(name, config), settings, _names(answer))


def _section(name: str, config: Config) -> str:
    return f"[models.endpoints.{name}]" if name in config.models.endpoints else f"[models.{name}]"


def _judge_models(check: str, greeting: str, section: str, settings: RealProvider, there: frozenset[str]) -> Finding:
    """Are the configured models in the provider's list?"""
    models = tuple(dict.fromkeys((settings.small, settings.large, *settings.roles.values())))
    if not there:
        return warn(check, f"{greeting}, but there is no list of models", f"check by hand: {', '.join(models)}")
    gone = missing(frozenset(models), there)
    if gone:
        some = ", ".join(sorted(there)[:_MOST_NAMED]) + (", ..." if len(there) > _MOST_NAMED else "")
        todo = f"choose others in stackbeat.toml ({section} small and large); there are: {some}"
        return warn(check, f"{greeting}, but the provider does not list {', '.join(gone)}", todo)
    return ok(check, f"{greeting}, and {' and '.join(models)} {'is' if len(models) == 1 else 'are'} there")


def _names(answer: httpx.Response) -> frozenset[str]:
    try:
        body = answer.json()
    except ValueError:
        return frozenset()
    entries = body.get("data") if isinstance(body, dict) else None
    return frozenset(str(entry["id"]) for entry in entries or [] if isinstance(entry, dict) and entry.get("id"))
