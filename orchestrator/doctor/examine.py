"""The examination: what is asked in which order, what rests on what, and that nothing takes for ever."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import httpx

from orchestrator.config import Config
from orchestrator.doctor.findings import Finding, Level, fail, has_failed, warn
from orchestrator.doctor.keys import PUBLIC, SERVICE, Access, judge_forms
from orchestrator.doctor.providers import check_provider
from orchestrator.doctor.realtime import check_realtime
from orchestrator.doctor.supabase import (
    check_address,
    check_database,
    check_public_key,
    check_service_key,
    check_visitors,
    judge_silence,
)
from orchestrator.groups import leaves

# A subscription ends a little before its limit, so that it can say how far it came.
CLOSING_S = 0.2

Check = Callable[[], Awaitable[Finding | list[Finding]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found, in the order of reading, and which checks could not be made."""

    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        return not has_failed(self.findings)


@dataclass(slots=True, kw_only=True)
class _Examination:
    """Checks of one Supabase; each gets ``limit_s``."""

    http: httpx.AsyncClient
    access: Access
    limit_s: float
    skipped: list[str] = field(default_factory=list)

    async def limited(self, name: str, check: Check) -> list[Finding]:
        try:
            with anyio.fail_after(self.limit_s):
                found = await check()
        except Exception as error:
            silence = next((leaf for leaf in leaves(error) if isinstance(leaf, TimeoutError | httpx.HTTPError)), None)
            if silence is not None:
                return [judge_silence(name, silence, self.access.url)]
            # An answer nobody foresaw must not hide the other lines.
            said = f"could not be checked: {type(error).__name__}"
            return [fail(name, said, "report this with the output of `stackbeat doctor --json`")]
        return found if isinstance(found, list) else [found]

    async def together(self, *checks: tuple[str, Check]) -> list[Finding]:
        """Several checks at once; their findings in the order given."""
        found: list[list[Finding]] = [[] for _ in checks]

        async def run(place: int, name: str, check: Check) -> None:
            found[place] = await self.limited(name, check)

        async with anyio.create_task_group() as tasks:
            for place, (name, check) in enumerate(checks):
                tasks.start_soon(run, place, name, check)
        return [finding for each in found for finding in each]


async def examine_supabase(access: Access, *, shipped: list[str], limit_s: float) -> Report:
    """Everything about a Supabase. What rests on something that failed is left out and named as skipped."""
    async with httpx.AsyncClient(timeout=limit_s) as http:
        examination = _Examination(http=http, access=access, limit_s=limit_s)
        found = await _examine(examination, shipped)
    return Report(findings=tuple(found), skipped=tuple(examination.skipped))


async def _examine(ex: _Examination, shipped: list[str]) -> list[Finding]:
    access, http = ex.access, ex.http
    found = await ex.limited("address", lambda: check_address(http, access))
    wrong = judge_forms(access)
    if has_failed(found):
        ex.skipped += ["keys, database, visitors and realtime, because of the address"]
        return found + list(wrong.values())
    asked = {SERVICE: check_service_key, PUBLIC: check_public_key}
    keys = dict(zip(asked, await ex.together(*((kind, _key_check(ex, kind, wrong)) for kind in asked)), strict=True))
    found += keys.values()
    good = {kind for kind, finding in keys.items() if finding.level is Level.OK}
    if SERVICE in good:
        found += await ex.limited("database", lambda: check_database(http, access, shipped))
    else:
        ex.skipped.append(f"database and realtime, because of the {SERVICE}")
    if PUBLIC in good:
        found += await ex.limited("visitors", lambda: check_visitors(http, access))
    else:
        ex.skipped.append(f"visitors, because of the {PUBLIC}")
    if SERVICE not in good:
        return found
    if any(finding.check == "migrations" and finding.level is Level.FAIL for finding in found):
        ex.skipped.append("realtime, because of the migrations")
        return found
    listeners = [
        (kind, key) for kind, key in ((SERVICE, access.service_key), (PUBLIC, access.public_key)) if kind in good
    ]
    return found + await ex.together(
        *((f"realtime, {kind}", _realtime_check(ex, kind, key)) for kind, key in listeners)
    )


def _key_check(ex: _Examination, kind: str, wrong: dict[str, Finding]) -> Check:
    async def check() -> Finding:
        if kind in wrong:
            return wrong[kind]
        ask = check_service_key if kind == SERVICE else check_public_key
        return await ask(ex.http, ex.access)

    return check


def _realtime_check(ex: _Examination, kind: str, key: str | None) -> Check:
    async def check() -> Finding:
        return await check_realtime(
            ex.http,
            ex.access.url,
            key=key or "",
            key_kind=kind,
            service_key=ex.access.service_key or "",
            limit_s=ex.limit_s - CLOSING_S,
        )

    return check


async def examine_models(config: Config, *, limit_s: float) -> list[Finding]:
    """Every provider of the chain, at once."""
    found: dict[str, Finding] = {}

    async def ask(name: str) -> None:
        with anyio.move_on_after(limit_s) as scope:
            found[name] = await check_provider(http, name, config)
        if scope.cancelled_caught:
            found[name] = warn(f"models, {name}", "did not answer in time", "check the network and the base_url")

    async with httpx.AsyncClient(timeout=limit_s, follow_redirects=True) as http, anyio.create_task_group() as tasks:
        for name in config.models.chain():
            tasks.start_soon(ask, name)
    return [found[name] for name in config.models.chain()]
