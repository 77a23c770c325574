"""``/metrics``, ``/health`` and ``/ready`` of one daemon."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orchestrator.config import Config
from orchestrator.facts import DaemonStopping, Fact, SignalsDown, SignalsUp
from orchestrator.monitor.metrics import Metrics
from orchestrator.monitor.vitals import Bounds, ReadVitals, Vitals, what_is_missing, what_is_stuck

FRESH = {"Cache-Control": "no-store"}


class Monitor:
    """Hears every fact and, once the daemon has its parts, reads its vitals; serves both."""

    def __init__(self, config: Config) -> None:
        self._bounds = Bounds(
            lease_s=config.lease_s, cadence_s=config.cadence_s, request_timeout_s=config.request_timeout_s
        )
        self._metrics = Metrics()
        self._read: ReadVitals | None = None
        self._stopping = False
        self._signals = "down"
        self.app = Starlette(
            routes=[
                Route("/metrics", self._show_metrics),
                Route("/health", self._show_health),
                Route("/ready", self._show_ready),
            ]
        )

    def observe(self, fact: Fact) -> None:
        """The observer to give to the daemon."""
        match fact:
            case SignalsUp():
                self._signals = "up"
            case SignalsDown():
                self._signals = "down"
            case DaemonStopping():
                self._stopping = True
            case _:
                pass
        self._metrics.observe(fact)

    def watch(self, read: ReadVitals) -> None:
        """Take the daemon's vitals from here on."""
        self._read = read
        self._metrics.watch(read)

    def _vitals(self) -> Vitals | None:
        return None if self._read is None else self._read()

    async def _show_metrics(self, request: Request) -> Response:
        body, content_type = self._metrics.render(request.headers.get("accept", ""))
        return Response(body, headers={**FRESH, "Content-Type": content_type})

    async def _show_health(self, _: Request) -> Response:
        vitals = self._vitals()
        problems = what_is_stuck(vitals, self._bounds, stopping=self._stopping)
        return _judged("healthy", problems, loop_age_s=None if vitals is None else round(vitals.loop_age_s, 3))

    async def _show_ready(self, _: Request) -> Response:
        vitals = self._vitals()
        problems = what_is_missing(vitals, self._bounds, stopping=self._stopping)
        age = None if vitals is None or vitals.contact_age_s is None else round(vitals.contact_age_s, 3)
        return _judged("ready", problems, store_contact_age_s=age, signals=self._signals)


def _judged(word: str, problems: tuple[str, ...], **details: float | str | None) -> Response:
    body = {word: not problems, "problems": list(problems), **details}
    return JSONResponse(body, status_code=503 if problems else 200, headers=FRESH)
