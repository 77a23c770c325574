"""Recorded replies in the place of a model: a file of JSON lines, one a reply, found by the hash of its question.

The same question may have been asked several times (a repair, a failed run): its replies come in the order in which
they were recorded, and the last one stays. What was not recorded is an error that says so, never an invention.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.llm.values import Fault, ProviderError, Reply, Request, Tier

MODEL = "recorded"
TIMEOUT_S = 60.0


class RecordingError(Exception):
    """The file cannot be used; the text is one sentence: which file, which line, what to do."""


class RecordedReply(BaseModel):
    """One line of a recording: a row of the ledger without what it says of its run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ask_hash: str = Field(min_length=1)
    reply: str
    agent: str = ""
    provider: str = ""
    model: str = ""
    tokens_in: int = Field(default=0, ge=0)
    tokens_out: int = Field(default=0, ge=0)
    tokens_cached: int = Field(default=0, ge=0)
    finish_reason: str | None = "stop"

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> RecordedReply:
        """From a row of ``llm_calls``."""
        return cls.model_validate({**row, "agent": row["agent_type"]})

    def as_line(self) -> bytes:
        return orjson.dumps(self.model_dump(), option=orjson.OPT_APPEND_NEWLINE)


def read_recording(file: Path) -> list[RecordedReply]:
    """Every reply of a recording, in its order; raises RecordingError."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f"cannot read the recording {file}: {error.strerror}") from None
    found: list[RecordedReply] = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(RecordedReply.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"])) or "the line"
            raise RecordingError(
                f"line {number} of {file} is no recorded reply ({where}: {fault['msg']}): "
                "`stackbeat bench record` writes such files"
            ) from None
    return found


class ReplayProvider:
    """Answers what was recorded. It costs nothing and asks nobody, so it counts as simulated."""

    name = "replay"
    simulated = True
    timeout_s = TIMEOUT_S

    def __init__(self, replies: Iterable[RecordedReply], *, source: str = "the recording") -> None:
        self._source = source
        self._replies: dict[str, list[RecordedReply]] = {}
        for reply in replies:
            self._replies.setdefault(reply.ask_hash, []).append(reply)

    def model(self, tier: Tier, role: str) -> str:
        return MODEL

    async def complete(self, request: Request) -> Reply:
        known = self._replies.get(request.ask_hash)
        if not known:
            raise ProviderError(
                Fault.BAD_REQUEST,
                f"{self._source} has no reply to this question of the {request.role} ({request.ask_hash[:12]}): "
                "record it with `stackbeat bench record`",
            )
        said = known.pop(0) if len(known) > 1 else known[0]
        return Reply(
            text=said.reply,
            finish_reason=said.finish_reason,
            tokens_in=said.tokens_in,
            tokens_out=said.tokens_out,
            tokens_cached=said.tokens_cached,
        )
