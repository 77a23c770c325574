"""All the chance there is in one history, from one seed.

Each matter has a stream of its own, so that one more draw here does not turn everything over there. How likely each
fault is, is drawn too: some histories have none of a kind, some have plenty, because faults that never come alone and
faults that always come together both hide things.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, fields


@dataclass(kw_only=True)
class Odds:
    """How likely things go wrong, each per call, reply or turn; all zero in the quiet end of a history."""

    # One call of a verb.
    slow: float = 0.0
    lost_request: float = 0.0
    lost_answer: float = 0.0
    late_delivery: float = 0.0
    double_delivery: float = 0.0
    server_error: float = 0.0
    crash_at_call: float = 0.0
    # One model call.
    slow_model: float = 0.0
    failing_model: float = 0.0
    garbage: float = 0.0
    crash_at_model: float = 0.0
    # One turn of an agent.
    bug: float = 0.0
    rejection: float = 0.0
    refused_change: float = 0.0
    forgetful: float = 0.0
    # One signal.
    lost_signal: float = 0.0
    late_signal: float = 0.0
    double_signal: float = 0.0

    # Not a fault: whether planners plan and reviewers review. In half of the histories they do not, so that stacks are
    # idle and live by people's wakes alone; at the end they never do, so that a history comes to rest.
    planning: bool = True

    def clear(self) -> None:
        for field in fields(self):
            setattr(self, field.name, type(field.default)())


class Chance:
    def __init__(self, seed: int) -> None:
        self.people = random.Random(f"people {seed}")
        self.network = random.Random(f"network {seed}")
        self.model = random.Random(f"model {seed}")
        self.operations = random.Random(f"operations {seed}")
        draw = random.Random(f"odds {seed}")
        most = {"crash_at_call": 0.02, "crash_at_model": 0.04, "slow_model": 0.3, "slow": 0.2, "late_signal": 0.5}
        self.odds = Odds(
            **{
                field.name: draw.choice((0.0, 0.0, 0.3, 1.0)) * most.get(field.name, 0.25)
                for field in fields(Odds)
                if field.name != "planning"
            },
            planning=draw.random() < 0.5,
        )
