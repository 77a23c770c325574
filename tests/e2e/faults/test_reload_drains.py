"""`run --reload` in development: new code comes in by a drain and a new process, broken code only makes it wait."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import eventually

PATIENCE_S = 60
AGENT = '''
from agents.ask import Ask, with_context
from agents.changes import Remember
from agents.outcome import Outcome
from agents.planner.output import PlannerReply
from agents.work import Agenda, Work

WORD = "{word}"

class Scribe:
    """Says its word once."""
    name, needs_artifact, excludes = "scribe", False, frozenset()

    def find_work(self, snapshot, now):
        if snapshot.agent("scribe").memory.get("word") == WORD:
            return Agenda()
        return Agenda(work=(Work(agent="scribe", priority=5, reason=WORD, key=WORD, at=now, urgent=True),))

    def ask(self, snapshot, work):
        context = {{"role": "planner", "stack": {{"name": WORD}}}}
        return Ask(system="s", user=with_context("Say it.", context), output=PlannerReply, temperature=0.0,
            max_output_tokens=500, tier="small")

    def interpret(self, reply, snapshot, work):
        return Outcome(thought=WORD, action="scribe", changes=(Remember(set={{"word": WORD}}),))

agent = Scribe()
'''
SAID = "select count(*) > 0 from agent_traces where stack_id = %s and agent_type = 'scribe' and thought = %s"
IN_FLIGHT = (
    "select count(*) > 0 from agent_executions"
    " where stack_id = %s and agent_type = 'scribe' and reason = %s and status = 'running'"
)
LEASED = "select count(*) from stack_schedule where lease_owner is not null"
DAEMONS = "select count(*) from workers"


class PlugIn:
    """An installed package with one agent, as pip would leave it."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self._source = site / "scribbling" / "scribe.py"
        self._source.parent.mkdir(parents=True)
        (site / "scribbling" / "__init__.py").write_text("")
        info = site / "scribbling-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scribbling\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[stackbeat.agents]\nscribe = scribbling.scribe:agent\n")

    def write(self, source: str) -> None:
        """As editors do: a new file in the old one's place."""
        beside = self._source.with_name("scribe.py.new")
        beside.write_text(source)
        beside.replace(self._source)

    def says(self, word: str) -> None:
        self.write(AGENT.format(word=word))


@pytest.fixture
def plug_in(tmp_path: Path) -> PlugIn:
    made = PlugIn(tmp_path / "site")
    made.says("one")
    return made


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "reload.log"


@pytest.fixture
def supervisor(place: Any, plug_in: PlugIn, log: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `run --reload` with the plug-in installed; killed afterwards, and its daemon with it."""
    started: list[subprocess.Popen[bytes]] = []

    def start(latency: str) -> subprocess.Popen[bytes]:
        settings = {"STACKBEAT_SIMULATED_LATENCY": latency, "PYTHONPATH": str(plug_in.site)}
        started.append(place.daemon(log, place.url, settings, "--reload"))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait(10)
    eventually(lambda: not place.one(LEASED), within=PATIENCE_S, what="the daemon is gone, too")


def test_a_change_drains_the_daemon_and_the_new_code_goes_on(
    place: Any, plug_in: PlugIn, supervisor: Callable[..., subprocess.Popen[bytes]], log: Path
) -> None:
    stack = busy_for_long(place)
    before = place.one(DAEMONS)
    process = supervisor("0.8")
    place.until(IN_FLIGHT, stack, "one")
    plug_in.says("two")
    place.until(SAID, stack, "two")
    assert place.one(SAID, stack, "one"), "the run in flight landed"
    assert place.one("select count(*) from agent_executions where status = 'abandoned'") == 0
    assert place.one("select count(*) from agent_executions where reason = 'one'") == 1
    assert place.one(DAEMONS) == before + 2
    assert "scribe.py changed" in log.read_text()
    assert process.poll() is None


def test_broken_code_is_shown_and_the_next_change_is_waited_for(
    place: Any, plug_in: PlugIn, supervisor: Callable[..., subprocess.Popen[bytes]], log: Path
) -> None:
    stack = busy_for_long(place)
    process = supervisor("0.1")
    place.until(SAID, stack, "one")
    plug_in.write("def agent(:\n")
    eventually(lambda: "it starts again when" in log.read_text(), within=PATIENCE_S, what="it says that it waits")
    assert "SyntaxError" in log.read_text()
    assert process.poll() is None
    place.sql("insert into todos (stack_id, content) values (%s, 'Wakes the stack')", stack)
    plug_in.says("three")
    place.until(SAID, stack, "three")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_ends_both(
    place: Any, supervisor: Callable[..., subprocess.Popen[bytes]], sent: signal.Signals
) -> None:
    stack = busy_for_long(place)
    process = supervisor("0.8")
    place.until(IN_FLIGHT, stack, "one")
    child = child_of(process.pid)
    process.send_signal(sent)
    assert process.wait(PATIENCE_S) == 0
    assert not Path(f"/proc/{child}").exists()
    assert place.one(SAID, stack, "one")
    assert place.one(LEASED) == 0


def test_a_killed_supervisor_takes_its_daemon_along(
    place: Any, supervisor: Callable[..., subprocess.Popen[bytes]]
) -> None:
    stack = busy_for_long(place)
    process = supervisor("0.8")
    place.until(IN_FLIGHT, stack, "one")
    child = child_of(process.pid)
    process.kill()
    eventually(lambda: not Path(f"/proc/{child}").exists(), within=PATIENCE_S, what="the daemon has drained and ended")
    assert place.one(SAID, stack, "one")


def test_the_settings_are_watched_too(
    place: Any, supervisor: Callable[..., subprocess.Popen[bytes]], log: Path
) -> None:
    stack = busy_for_long(place)
    supervisor("0.1")
    place.until(SAID, stack, "one")
    file = place.workdir / "stackbeat.toml"
    try:
        file.write_text("slotz = 3\n")
        eventually(lambda: "unknown key slotz" in log.read_text(), within=PATIENCE_S, what="the wrong key is named")
        file.write_text("slots = 3\n")
        place.until("select count(*) > 0 from workers where slots = 3 and stopped_at is null")
    finally:
        file.unlink()


def busy_for_long(place: Any) -> str:
    """A playing stack whose project is not complete before tomorrow."""
    stack: str = place.stack("Owls", state="idle")
    place.sql("update todos set available_at = now() + interval '1 day' where stack_id = %s", stack)
    place.sql("update agent_stacks set execution_state = 'running' where id = %s", stack)
    return stack


def child_of(pid: int) -> int:
    found = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert len(found) == 1
    return found[0]
