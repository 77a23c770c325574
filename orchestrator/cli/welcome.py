"""What `up` says once everything runs: where it is, who may steer it, which model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.cli.folder import Login, Running

SIMULATED_NOTICE = (
    "*** SIMULATED MODEL: no provider key is set, so replies are computed from rules, not by an AI. ***\n"
    "*** Set GROQ_API_KEY or OPENAI_API_KEY and start again for a real one.                          ***"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The facts of a start, or of what runs `already`."""

    running: Running
    login: Login | None
    simulated: bool = False
    played: tuple[str, ...] = ()
    demo_idle: bool = False
    already: bool = False

    def as_values(self) -> dict[str, Any]:
        """For programs: one object. The service key is not in it; `minibase status -o json` prints that."""
        return {
            "pid": self.running.pid,
            "on": self.running.on,
            "already_running": self.already,
            "dashboard_url": self.running.dashboard_url,
            "metrics_url": self.running.metrics_url,
            "api_url": self.running.api_url,
            "db_url": self.running.db_url,
            "publishable_key": self.running.publishable_key,
            "operator": {"email": self.login.email, "password": self.login.password} if self.login else None,
            "simulated": self.simulated,
            "played": list(self.played),
        }


def as_text(welcome: Welcome) -> str:
    """For people: a few lines, the notice of the simulated model among them."""
    running, login = welcome.running, welcome.login
    operator = f"{login.email}  password {login.password}" if login else "make one with `stackbeat operator add EMAIL`"
    rows = {
        "Dashboard": running.dashboard_url,
        "Metrics": running.metrics_url,
        "API": running.api_url,
        "Database": running.db_url,
        "Public key": running.publishable_key,
        "Operator": operator,
    }
    table = [f"  {title:<11}{value}" for title, value in rows.items() if value]
    if welcome.already:
        return "\n".join(
            [f"stackbeat already runs in this folder (pid {running.pid}); `stackbeat down` stops it", *table]
        )
    notes = [SIMULATED_NOTICE, ""] if welcome.simulated else []
    if welcome.played:
        notes.append(f"Demo stacks playing: {', '.join(welcome.played)}")
    if welcome.demo_idle:
        notes.append("Demo stacks stay idle: a real model costs money; play them with --demo or `stackbeat play`")
    return "\n".join(["", *table, "", *notes, "Ctrl-C stops everything."])
