from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from orchestrator.config import Config, ConfigError, Models, ProviderName, Retention, check_roles
from orchestrator.llm.providers import open_providers

URL = "http://127.0.0.1:54321"
KEY = "sb_secret_abcdefghijklmnopqrstuv_12345678"
# Online: nothing is asked here, and these settings name real providers.
GOOD = {"SUPABASE_URL": URL, "SUPABASE_SECRET_KEY": KEY, "STACKBEAT_OFFLINE": "0"}


LOCAL = "[models.endpoints.local]\nbase_url = 'http://127.0.0.1:11434/v1'\nsmall = 's'\nlarge = 'l'\n"


def load(tmp_path: Path, toml: str = "", **environ: str) -> Config:
    file = tmp_path / "stackbeat.toml"
    file.write_text(toml)
    return Config.load({**GOOD, **environ}, file)


def jwt(role: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"role": role}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2ln"


def test_defaults_and_sources(tmp_path: Path) -> None:
    config = load(tmp_path, "cadence_s = 3\nslots = 7\n[models.groq]\nsmall = 'x'", STACKBEAT_SLOTS="9")
    assert (config.cadence_s, config.slots, config.models.groq.small) == (3, 9, "x")
    assert config.lease_s == 15
    assert config.service_key.get_secret_value() == KEY


def test_the_legacy_name_of_the_key_wins_and_a_service_jwt_is_taken(tmp_path: Path) -> None:
    token = jwt("service_role")
    assert load(tmp_path, SUPABASE_SERVICE_ROLE_KEY=token).service_key.get_secret_value() == token


@pytest.mark.parametrize(
    ("toml", "environ", "words"),
    [
        ("cadense_s = 3", {}, ["cadense_s", "cadence_s"]),
        ("[models.grok]\nsmall='x'", {}, ["models.grok", "groq"]),
        ("[models.groq]\nsmal='x'", {}, ["models.groq.smal", "small"]),
        ("", {"STACKBEAT_CADENCE": "3"}, ["STACKBEAT_CADENCE", "STACKBEAT_CADENCE_S"]),
        ("slots = 0", {}, ["slots", "0"]),
        ("slots = 'many'", {}, ["slots", "many"]),
        ("x = [", {}, ["not valid TOML"]),
        ("lease_s = 3", {}, ["heartbeat_s", "lease_s"]),
        ("", {"STACKBEAT_PROVIDERS": "groq"}, ["groq", "GROQ_API_KEY"]),
        ("", {"STACKBEAT_PROVIDERS": "simulated, groq", "GROQ_API_KEY": "k"}, ["simulated"]),
        ("", {"STACKBEAT_PROVIDERS": "claude"}, ["claude", "groq, openai, simulated or replay"]),
        (LOCAL, {"STACKBEAT_PROVIDERS": "lokal"}, ["lokal", "simulated, replay or local", "[models.endpoints.NAME]"]),
        ("[models]\norder = []", {}, ["models.order is empty"]),
        (LOCAL, {"STACKBEAT_PROVIDERS": "local,simulated"}, ["mixes the simulated model"]),
        ("[models.endpoints.groq]\nbase_url='http://h'\nsmall='m'\nlarge='m'", {}, ["models.endpoints.groq"]),
        ("[models.endpoints.Local]\nbase_url='http://h'\nsmall='m'\nlarge='m'", {}, ["models.endpoints", "Local"]),
        ("[models.endpoints.local]\nbase_url='h:1'\nsmall='m'\nlarge='m'", {}, ["endpoints.local.base_url", "h:1"]),
        ("[models.endpoints.local]\nsmall='m'\nlarge='m'", {}, ["models.endpoints.local.base_url is not set"]),
        (f"{LOCAL}smal='m'", {}, ["models.endpoints.local.smal", "small"]),
        (LOCAL, {"STACKBEAT_LOKAL_API_KEY": "k"}, ["STACKBEAT_LOKAL_API_KEY", "STACKBEAT_LOCAL_API_KEY"]),
        ("[models.groq.roles]\n'the builder' = 'm'", {}, ["models.groq.roles", "the builder"]),
        ("[models.prices.'grok/m']\ninput=1\noutput=1", {}, ['"grok/m"', "provider/model"]),
        ("[models.prices.'groq/m']\ninput=-1\noutput=1", {}, ["groq/m.input", "-1"]),
        ("[models.prices.'groq/m']\ninput=1", {}, ["groq/m.output is not set"]),
        ("[models.default_price]\ninput=1\noutput=1\ncashed=1", {}, ["cashed", "cached"]),
        ("", {"OPENAI_BASE_URL": "htp://nowhere"}, ["OPENAI_BASE_URL", "htp://nowhere"]),
        ("[models.groq]\nbase_url = 'nowhere'", {}, ["GROQ_BASE_URL", "nowhere"]),
        ("", {"STACKBEAT_SIMULATED_LATENCY": "fast"}, ["models.simulated.latency", "fast"]),
        ("", {"STACKBEAT_SIMULATED_LATENCY": "3-1"}, ["3-1"]),
        ("", {"SUPABASE_URL": "127.0.0.1:54321"}, ["SUPABASE_URL", "127.0.0.1:54321"]),
        ("", {"SUPABASE_URL": "http://h:port"}, ["SUPABASE_URL"]),
        ("", {"SUPABASE_URL": "http://h/rest/v1"}, ["http://h/rest/v1"]),
        ("", {"SUPABASE_URL": ""}, ["SUPABASE_URL"]),
        ("", {"SUPABASE_SECRET_KEY": "sb_publishable_x"}, ["publishable"]),
        ("", {"SUPABASE_SECRET_KEY": "hello"}, ["JWT"]),
        ("", {"SUPABASE_SECRET_KEY": jwt("anon")}, ["anon", "service_role"]),
        ("", {"SUPABASE_SECRET_KEY": ""}, ["SUPABASE_SERVICE_ROLE_KEY"]),
    ],
)
def test_bad_settings_are_one_clear_sentence(
    tmp_path: Path, toml: str, environ: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, **environ)
    text = str(caught.value)
    assert "\n" not in text
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    "toml",
    [
        "[models.groq]\napi_key = ['gsk_secret']",
        "[models.endpoints.local]\napi_key = 'gsk_secret'\nbase_url = 'http://h'",
    ],
)
def test_secrets_never_reach_an_error_text(tmp_path: Path, toml: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml)
    assert "gsk_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "chain"),
    [
        ({}, [ProviderName.SIMULATED]),
        ({"OPENAI_API_KEY": "k"}, [ProviderName.OPENAI]),
        ({"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}, [ProviderName.GROQ, ProviderName.OPENAI]),
        ({"OPENAI_API_KEY": "k", "STACKBEAT_PROVIDERS": "simulated"}, [ProviderName.SIMULATED]),
    ],
)
def test_auto_simulates_only_where_no_key_is_set(
    tmp_path: Path, environ: dict[str, str], chain: list[ProviderName]
) -> None:
    assert list(load(tmp_path, **environ).models.chain()) == chain


def test_endpoints_are_asked_where_the_order_names_them_and_take_their_key_from_the_environment(tmp_path: Path) -> None:
    assert list(load(tmp_path, LOCAL).models.chain()) == [ProviderName.SIMULATED]
    models = load(
        tmp_path,
        LOCAL.replace("local", "my-box"),
        STACKBEAT_PROVIDERS="my-box, groq",
        GROQ_API_KEY="k",
        STACKBEAT_MY_BOX_API_KEY="secret",
    ).models
    assert list(models.chain()) == ["my-box", "groq"]
    key = models.endpoints["my-box"].api_key
    assert key is not None
    assert key.get_secret_value() == "secret"


def test_a_model_for_an_agent_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    models = load(tmp_path, "[models.groq.roles]\nbuilder = 'big'\n").models
    check_roles(models, ["builder", "planner"])
    with pytest.raises(ConfigError, match=r"models\.groq\.roles\.builder: .* did you mean bilder\?"):
        check_roles(models, ["bilder", "planner"])
    endpoint = load(tmp_path, f"{LOCAL}roles = {{ judge = 'big' }}").models
    with pytest.raises(ConfigError, match=r"models\.endpoints\.local\.roles\.judge: there is no agent 'judge'"):
        check_roles(endpoint, ["planner"])


@pytest.mark.parametrize(
    ("environ", "toml", "words"),
    [
        ({"GROQ_API_KEY": "k"}, "", ["groq is at its own address", "127.0.0.1"]),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "https://api.example.com/v1"}, "", ["https://api.example.com/v1"]),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1.example.com/v1"}, "", ["127.0.0.1.example.com"]),
        ({"STACKBEAT_PROVIDERS": "local"}, LOCAL.replace("127.0.0.1", "10.0.0.1"), ["local is at http://10.0.0.1"]),
        ({"STACKBEAT_PROVIDERS": "local"}, LOCAL, []),
        ({"STACKBEAT_PROVIDERS": "local"}, LOCAL.replace("127.0.0.1", "[::1]"), []),
        ({"GROQ_API_KEY": "k", "GROQ_BASE_URL": "http://localhost:1"}, "", []),
        ({"GROQ_API_KEY": "k", "STACKBEAT_PROVIDERS": "simulated"}, "", []),
    ],
)
async def test_offline_means_loopback_only(
    tmp_path: Path, environ: dict[str, str], toml: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not words:
        assert load(tmp_path, toml, **environ, STACKBEAT_OFFLINE="1").models.offline
        return
    with pytest.raises(ConfigError, match="STACKBEAT_OFFLINE is on") as caught:
        load(tmp_path, toml, **environ, STACKBEAT_OFFLINE="1")
    assert all(word in str(caught.value) for word in words), caught.value
    # Also for settings that never saw the environment.
    monkeypatch.setenv("STACKBEAT_OFFLINE", "1")
    said = load(tmp_path, toml, **environ).models.model_dump(exclude={"offline"})
    with pytest.raises(ConfigError, match="STACKBEAT_OFFLINE is on"):
        async with open_providers(Models.model_validate(said), lambda *_: {}):
            pass


def test_a_replay_needs_a_recording(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="STACKBEAT_REPLAY_FILE"):
        load(tmp_path, STACKBEAT_PROVIDERS="replay")
    models = load(tmp_path, STACKBEAT_PROVIDERS="replay", STACKBEAT_REPLAY_FILE="x.jsonl").models
    assert models.replay.file == Path("x.jsonl")


def test_latency_is_a_range(tmp_path: Path) -> None:
    latency = load(tmp_path, STACKBEAT_SIMULATED_LATENCY="1-3").models.simulated.latency
    assert (latency.low, latency.high) == (1, 3)
    assert load(tmp_path, "[models.simulated]\nlatency = 2").models.simulated.latency.high == 2


def test_the_docs_name_every_limit_of_retention_with_its_default() -> None:
    text = (Path(__file__).parents[3] / "docs" / "growth.md").read_text()
    for name, default in Retention().model_dump().items():
        assert f"`{name}` | {default:g} |" in text
