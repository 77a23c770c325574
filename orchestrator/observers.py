"""Two ways to read the facts: lines for people, JSON lines for machines. Each chooses what it shows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TextIO

import orjson

from orchestrator.facts import (
    AgentBroke,
    BatchSent,
    BeatDone,
    BreakerClosed,
    BreakerOpened,
    CallAttempted,
    CycleBroke,
    DaemonStarted,
    Fact,
    LeaseLost,
    ModelMissing,
    Observer,
    OutcomeDropped,
    PriceUnknown,
    PromptRead,
    ProviderAlarm,
    Pruned,
    RunBegun,
    RunCommitted,
    RunRefused,
    SavingBegan,
    SavingEnded,
    SignalsDown,
    SignalsUp,
    StackClaimed,
    StackSettled,
    StackUnreadable,
    StoreAway,
    StoreBack,
)
from orchestrator.sentences import sentence
from orchestrator.terminal import printable

Now = Callable[[], datetime]
RED, YELLOW, GREEN, DIM, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[0m"
QUIET = (BatchSent, BeatDone, CallAttempted, Pruned, StackClaimed, StackSettled, RunBegun)
BAD = (AgentBroke, CycleBroke, ModelMissing, OutcomeDropped, ProviderAlarm, StackUnreadable)
NOTEWORTHY = (BreakerOpened, LeaseLost, StoreAway, SignalsDown, PriceUnknown, RunRefused, SavingBegan)
GOOD = (BreakerClosed, DaemonStarted, SavingEnded, StoreBack, SignalsUp)
MOST_NAMES = 10_000


def utc_now() -> datetime:
    return datetime.now(UTC)


def json_lines(out: TextIO | None = None, *, now: Now = utc_now) -> Observer:
    """Every fact as one JSON object a line: ``at``, ``fact`` and its fields."""
    stream = out or sys.stderr

    def observe(fact: Fact) -> None:
        line = orjson.dumps({"at": now(), "fact": type(fact).__name__, **asdict(fact)})
        print(line.decode(), file=stream, flush=True)

    return observe


def log_lines(
    out: TextIO | None = None, *, colour: bool | None = None, verbose: bool = False, now: Now = utc_now
) -> Observer:
    """What a person wants to see, a line each; colours only on a terminal unless told otherwise."""
    stream = out or sys.stderr
    coloured = stream.isatty() if colour is None else colour
    names: dict[str, str] = {}

    def observe(fact: Fact) -> None:
        if isinstance(fact, StackClaimed):
            if len(names) >= MOST_NAMES:
                names.clear()
            names[fact.stack] = fact.name
        if isinstance(fact, QUIET) and not verbose:
            return
        words = printable(sentence(fact, names.get(getattr(fact, "stack", ""), "")))
        text = f"{now():%H:%M:%S} {words}"
        paint = _paint(fact) if coloured else ""
        print(f"{paint}{text}{PLAIN}" if paint else text, file=stream, flush=True)

    return observe


def _paint(fact: Fact) -> str:
    if isinstance(fact, BAD) or (isinstance(fact, RunCommitted) and fact.status == "failed"):
        return RED
    if isinstance(fact, NOTEWORTHY) or (isinstance(fact, PromptRead) and fact.error is not None):
        return YELLOW
    if isinstance(fact, GOOD):
        return GREEN
    return DIM if isinstance(fact, QUIET) else ""
