"""Errors of the daemon and of the official clients reach people as one sentence, however deep they lie in groups."""

from __future__ import annotations

import httpx
import pytest

from orchestrator.cli.daemon import told_to_people
from orchestrator.cli.door import one_sentence
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.target import Target
from orchestrator.store import StoreError, StoreFault

TARGET = Target(url="http://127.0.0.1:1", service_key="sb_secret_x", publishable_key=None, found="a test")


def nested(error: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("tasks", [ValueError("a consequence"), ExceptionGroup("more tasks", [error])])


@pytest.mark.parametrize("wrap", [lambda error: error, nested], ids=["alone", "in groups"])
def test_an_error_of_the_daemon(wrap) -> None:
    with pytest.raises(CliError) as told, told_to_people():
        raise wrap(StoreError(StoreFault.AWAY, "it is away; wait"))
    assert (told.value.message, told.value.code) == ("it is away; wait", ExitCode.NO_SUPABASE)


@pytest.mark.parametrize("wrap", [lambda error: error, nested], ids=["alone", "in groups"])
def test_an_error_of_the_clients(wrap) -> None:
    with pytest.raises(CliError) as told, one_sentence(TARGET):
        raise wrap(httpx.ConnectError("refused"))
    assert "cannot reach Supabase at http://127.0.0.1:1 (refused)" in told.value.message
    assert told.value.code is ExitCode.NO_SUPABASE


def test_a_bug_stays_what_it_is() -> None:
    bug = nested(KeyError("x"))
    with pytest.raises(ExceptionGroup) as raised, told_to_people(), one_sentence(TARGET):
        raise bug
    assert raised.value is bug
