"""From what people type to the stacks they mean."""

from __future__ import annotations

import pytest

from orchestrator.cli.choose import choose, choose_all
from orchestrator.cli.errors import CliError, ExitCode

ROWS = [
    {"id": "11111111-0000-4000-8000-000000000001", "participant_name": "Atlas"},
    {"id": "11111111-0000-4000-8000-000000000002", "participant_name": "Atlas Two"},
    {"id": "22222222-0000-4000-8000-000000000003", "participant_name": "Ösel"},
]


@pytest.mark.parametrize(
    ("typed", "index"),
    [("Atlas", 0), ("atlas t", 1), ("ÖSEL", 2), ("2222", 2), (ROWS[1]["id"], 1), ("  Atlas ", 0)],
)
def test_name_id_or_beginning_finds_one_stack(typed: str, index: int) -> None:
    assert choose(ROWS, typed) == ROWS[index]


@pytest.mark.parametrize(("typed", "said"), [("Nobody", "'Nobody'"), ("", "empty"), ("1111", "fits 2 stacks")])
def test_none_or_several_is_an_error_that_names_what_was_typed(typed: str, said: str) -> None:
    with pytest.raises(CliError) as raised:
        choose(ROWS, typed)
    assert said in raised.value.message
    assert raised.value.exit_code == ExitCode.NO_STACK


def test_two_stacks_of_the_same_name_are_ambiguous() -> None:
    with pytest.raises(CliError, match="fits 2 stacks"):
        choose([ROWS[0], {**ROWS[1], "participant_name": "Atlas"}], "atlas")


def test_several_references_to_one_stack_choose_it_once() -> None:
    assert choose_all(ROWS, ["Atlas", "2222", ROWS[0]["id"]]) == [ROWS[0], ROWS[2]]


def test_one_wrong_reference_chooses_nothing() -> None:
    with pytest.raises(CliError, match="Nobody"):
        choose_all(ROWS, ["Atlas", "Nobody"])
