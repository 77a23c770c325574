"""The first page, typed block by block as it stands there, by somebody who has nothing but the page."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from processes import ROOT, eventually, running_stack, stackbeat

PATIENCE_S = 30
STEPS = (
    "1. Start",
    "2. Look",
    "3. Make one of your own",
    "4. Pause it by SQL",
    "5. Change a prompt",
    "6. See the change",
)


def blocks() -> Mapping[str, list[str]]:
    """The page's commands by step, without the one that goes to the folder where they are."""
    text = (ROOT / "docs" / "start.md").read_text()
    steps = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE))
    return {
        title: [
            re.sub(r"^cd stackbeat .*\n", "", code, flags=re.MULTILINE)
            for code in re.findall(r"^```\n(.*?)^```$", body, re.DOTALL | re.MULTILINE)
        ]
        for title, body in steps.items()
    }


def type_in(folder: Path, code: str, commands: Path) -> str:
    """What a shell in the folder prints for a block; every line of it must work."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("SUPABASE_", "STACKBEAT_"))},
        "PATH": f"{commands}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}"
    return done.stdout


def put_commands(folder: Path) -> Path:
    """`stackbeat` and `minibase` as a newcomer's shell finds them, with the Python of the tests."""
    python, *rest = stackbeat()
    folder.mkdir()
    programs = {"stackbeat": [python, *rest], "minibase": [python, "-m", "minibase.cli"]}
    for name, command in programs.items():
        words = " ".join(f"'{word}'" if "'" not in word else f'"{word}"' for word in command)
        (folder / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.mark.minibase_only("the page begins with a minibase")
def test_the_first_page_works_as_it_stands(workdir: Path, tmp_path: Path) -> None:
    page, commands = blocks(), put_commands(tmp_path / "bin")
    assert tuple(page) == STEPS
    assert "./scripts/up" in page["1. Start"][0]
    environment = {"STACKBEAT_SIMULATED_LATENCY": "0"}
    with running_stack(workdir, environment=environment) as up:
        eventually(lambda: up.sql("select 1 from artifacts limit 1"), within=PATIENCE_S, what="a first version")
        looked = type_in(workdir, page["2. Look"][0], commands)
        assert "Night Owls" in looked
        assert "Visitor" in looked, "the answer is printed"
        type_in(workdir, page["3. Make one of your own"][0], commands)
        tea = "select execution_state from agent_stacks where participant_name = 'Tea Time'"
        assert up.sql(tea) == [["running"]]
        pause, play = page["4. Pause it by SQL"][0].strip().splitlines()
        type_in(workdir, pause, commands)
        assert up.sql(tea) == [["paused"]]
        type_in(workdir, play, commands)
        assert up.sql(tea) == [["running"]]
        type_in(workdir, page["5. Change a prompt"][0], commands)
    with running_stack(workdir, environment=environment) as up:
        create, show = page["6. See the change"][0].strip().splitlines()
        type_in(workdir, create, commands)
        eventually(
            lambda: "— made by me" in type_in(workdir, show, commands),
            within=PATIENCE_S,
            what="the builder's signature",
        )
        assert "the builder takes its instructions from" in (workdir / "up.log").read_text()
