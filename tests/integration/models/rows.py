"""What providers do wrong, one row each, and what the chain makes of it. docs/models.md has the same table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from llmock.scenarios import Behavior, Delay, Fail, Match, Reply

CUT = Reply(text='{"word": "ye', finish_reason="length")
MISFIT = Reply(text='{"words": 1}')
EMPTY = Reply(text="")
SHORT_TIMEOUT_S = 0.25


class Wire(StrEnum):
    """Faults that llmock does not have, done to what it answers."""

    DROPPED = "dropped"
    CUT = "cut"
    REFUSED = "refused"
    SILENT = "silent"  # without the Retry-After that llmock gives every 429 and 503


class End(StrEnum):
    ANSWERED = "it answers"
    NEXT = "the next one answers"
    FAILED = "the run fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``calls`` are the server's count at the provider and at the next one; ``ledger`` the errors of all, in order."""

    name: str
    does: Sequence[Behavior] = ()
    wire: Wire | None = None
    calls: tuple[int, int]
    end: End
    ledger: tuple[str, ...]
    opens: bool = False
    alarm: bool = False
    impatient: bool = False
    sdks: Sequence[str] = ("groq", "openai", "box")

    @property
    def what_happens(self) -> str:
        more = [word for word, so in (("alarm", self.alarm), ("its breaker opens", self.opens)) if so]
        return ", ".join([self.end.value, *more])

    def as_markdown(self) -> str:
        ledger = ", ".join(f"`{error}`" for error in self.ledger)
        return f"| {self.name} | {self.calls[0]} | {self.calls[1]} | {self.what_happens} | {ledger} |"


OK = "answered"


def busy(seconds: float | None = None) -> Fail:
    return Fail(429, retry_after=seconds, message="slow down")


def fails(status: int, **more: str) -> Fail:
    return Fail(status, message="no luck", **more)


def _away(
    name: str, does: Behavior, error: str, *, opens: bool = False, impatient: bool = False, wire: Wire | None = None
) -> Row:
    return Row(
        wire=wire,
        name=name,
        does=(does,),
        calls=(1, 1),
        end=End.NEXT,
        ledger=(error, OK),
        opens=opens,
        impatient=impatient,
    )


def _denied(name: str, status: int) -> Row:
    return Row(
        name=name,
        does=(fails(status),),
        calls=(1, 1),
        end=End.NEXT,
        ledger=(f"{status} no luck", OK),
        opens=True,
        alarm=True,
    )


def _bad_request(status: int) -> Row:
    return Row(
        name=f"{status}",
        does=(fails(status),),
        calls=(1, 0),
        end=End.FAILED,
        ledger=(f"{status} no luck",),
    )


def _repaired(name: str, does: Behavior, error: str = OK) -> Row:
    return Row(name=name, does=(does,), calls=(2, 0), end=End.ANSWERED, ledger=(error, OK))


ROWS: tuple[Row, ...] = (
    Row(
        name="429, Retry-After 1",
        does=(busy(1),),
        calls=(2, 0),
        end=End.ANSWERED,
        ledger=("429 slow down", OK),
        opens=True,
        sdks=("groq", "openai"),  # it really waits
    ),
    Row(
        name="429, Retry-After 1, twice",
        does=(busy(1), busy(1)),
        calls=(2, 1),
        end=End.NEXT,
        ledger=("429 slow down", "429 slow down", OK),
        opens=True,
        sdks=("groq",),  # it really waits
    ),
    _away("429, Retry-After 30", busy(30), "429 slow down", opens=True),
    _away("429, Retry-After 90", busy(90), "429 slow down", opens=True),
    _away("429, no Retry-After", busy(), "429 slow down", wire=Wire.SILENT),
    _away("408", fails(408), "408 no luck"),
    _away("409", fails(409), "409 no luck"),
    _away("498 (Groq: no capacity)", fails(498), "498 no luck"),
    _away("500", fails(500), "500 no luck"),
    _away("503", fails(503), "503 no luck", wire=Wire.SILENT),
    _away("503, Retry-After 30", Fail(503, retry_after=30, message="no luck"), "503 no luck", opens=True),
    _away("no answer in time", Delay(0.6), "did not answer within 0.25 s", impatient=True),
    Row(
        name="a slow first byte, in time",
        does=(Delay(0.2),),
        calls=(1, 0),
        end=End.ANSWERED,
        ledger=(OK,),
    ),
    Row(
        name="the connection drops in mid-answer",
        wire=Wire.DROPPED,
        calls=(1, 1),
        end=End.NEXT,
        ledger=("cannot be reached: ...", OK),
    ),
    Row(
        name="the answer's JSON is cut",
        wire=Wire.CUT,
        calls=(1, 1),
        end=End.NEXT,
        ledger=("answered with text that is not JSON; check its base URL", OK),
    ),
    _repaired("the reply is cut at the token limit", CUT),
    _repaired("the reply does not fit the schema", MISFIT),
    _repaired("the reply is empty", EMPTY),
    _repaired("400 `json_validate_failed`", fails(400, code="json_validate_failed"), "400 no luck"),
    Row(
        name="the reply does not fit, nor does the repaired one",
        does=(MISFIT, MISFIT),
        calls=(2, 1),
        end=End.NEXT,
        ledger=(OK, OK, OK),
    ),
    Row(name="the model refuses", wire=Wire.REFUSED, calls=(1, 1), end=End.NEXT, ledger=(OK, OK)),
    _denied("401", 401),
    _denied("403", 403),
    _denied("404 (no such model)", 404),
    _bad_request(400),
    _bad_request(413),
    _bad_request(422),
)


def behaviours(row: Row, provider: str) -> list[Behavior]:
    """The row's faults for one provider's requests."""
    match = Match(provider=provider, path="*/chat/completions")
    return [type(each)(**{**_fields(each), "match": match}) for each in row.does]


def _fields(behaviour: Behavior) -> dict[str, object]:
    return {name: getattr(behaviour, name) for name in behaviour.__dataclass_fields__}
