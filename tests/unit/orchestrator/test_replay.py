"""Recorded replies: what was asked gets what was said, in turn; anything else is an error that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.llm.replay import RecordedReply, RecordingError, ReplayProvider, read_recording
from orchestrator.llm.values import Fault, ProviderError, Request


def asked(ask_hash: str) -> Request:
    return Request(
        role="planner",
        tier="small",
        turns=(),
        schema={},
        temperature=0,
        max_output_tokens=1,
        timeout_s=1,
        ask_hash=ask_hash,
    )


def written(folder: Path, *replies: RecordedReply) -> Path:
    file = folder / "recording.jsonl"
    file.write_bytes(b"".join(reply.as_line() for reply in replies))
    return file


async def test_the_same_question_gets_its_replies_in_turn_and_the_last_one_stays(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        RecordedReply(ask_hash="a", reply="unfit", tokens_in=7),
        RecordedReply(ask_hash="b", reply="other"),
        RecordedReply(ask_hash="a", reply="fit\u2028 \n two lines"),
    )
    provider = ReplayProvider(read_recording(file))
    said = [await provider.complete(asked(which)) for which in ("a", "b", "a", "a")]
    assert [reply.text for reply in said] == ["unfit", "other", "fit\u2028 \n two lines", "fit\u2028 \n two lines"]
    assert said[0].tokens_in == 7


async def test_what_was_not_recorded_is_said_and_never_invented(tmp_path: Path) -> None:
    provider = ReplayProvider(read_recording(written(tmp_path)), source="the.jsonl")
    with pytest.raises(
        ProviderError, match=r"the\.jsonl has no reply to this question of the planner \(unknown"
    ) as caught:
        await provider.complete(asked("unknown"))
    assert caught.value.fault is Fault.BAD_REQUEST, "nobody else is asked instead"


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot read"), ("{}\n", "line 1 .*ask_hash"), ('{"ask_hash": "a", "reply": "b"}\nnonsense', "line 2")],
)
def test_a_file_that_is_no_recording_is_one_clear_sentence(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "recording.jsonl"
    if text is not None:
        file.write_text(text)
    with pytest.raises(RecordingError, match=words):
        read_recording(file)
