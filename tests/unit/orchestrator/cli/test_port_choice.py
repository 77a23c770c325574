"""Ports: given, free, remembered, taken."""

from __future__ import annotations

import pytest

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.ports import Use, listen, port_of

USE = Use(name="the dashboard", option="--web-port")


def test_a_taken_port_is_named_with_the_option_that_changes_it() -> None:
    with listen("auto", USE) as taken, pytest.raises(CliError) as raised:
        listen(port_of(taken), USE)
    assert f"port {port_of_message(raised.value.message)} for the dashboard" in raised.value.message
    assert "--web-port auto" in raised.value.message
    assert raised.value.exit_code == ExitCode.BUSY


def port_of_message(message: str) -> int:
    return int(message.split()[1])


def test_auto_takes_the_remembered_port_when_it_is_free_and_another_when_not() -> None:
    with listen("auto", USE) as first:
        remembered = port_of(first)
        with listen("auto", USE, remembered) as other:
            assert port_of(other) != remembered
    with listen("auto", USE, remembered) as again:
        assert port_of(again) == remembered
