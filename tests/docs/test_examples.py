"""Each example does what its page says: on a real minibase, with the daemon at work, as a newcomer would run it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from browsers import open_browser
from playwright.sync_api import Browser, Page, Route, expect
from processes import DASHBOARD, ROOT, Stack, clean_environment, eventually, make_workdir, running_stack

from agents.testing import FakeStack, run_once, scripted_model
from orchestrator.cli.embedded import discard_data
from orchestrator.registry import GROUP, load_agents

EXAMPLES = ROOT / "examples"
PATIENCE_S = 30
LIBRARY = DASHBOARD / "node_modules" / "@supabase" / "supabase-js"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A fresh `up` whose builder has the prompt of the example; the three demo stacks play."""
    folder = make_workdir(tmp_path_factory.mktemp("examples"))
    shutil.copytree(EXAMPLES / "own-prompt", folder, dirs_exist_ok=True)
    settings = {"STACKBEAT_SIMULATED_LATENCY": "0.1", "STACKBEAT_CADENCE_S": "2"}
    try:
        with running_stack(folder, environment=settings) as stack:
            yield stack
    finally:
        discard_data(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that gets supabase-js from this machine: the very file that its integrity hash names."""
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE_S * 1000)
    page.route("https://cdn.jsdelivr.net/**", _serve_library)
    yield page
    context.close()


def _serve_library(route: Route) -> None:
    path = LIBRARY / route.request.url.split("@2", 1)[1].split("/", 1)[1]
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}
    route.fulfill(body=path.read_bytes(), headers=headers)


def create(stack: Stack, name: str, state: str = "running") -> str:
    made = f"insert into agent_stacks (participant_name, execution_state) values ('{name}', '{state}') returning id"
    return stack.sql(made)[0][0]


def test_the_page_names_the_library_that_the_dashboard_uses() -> None:
    source = (EXAMPLES / "watch.html").read_text()
    installed = json.loads((LIBRARY / "package.json").read_text())
    assert f"/supabase-js@{installed['version']}/{installed['jsdelivr']}" in source
    digest = base64.b64encode(hashlib.sha384((LIBRARY / installed["jsdelivr"]).read_bytes()).digest()).decode()
    assert f'integrity="sha384-{digest}"' in source


def test_the_page_follows_a_fleet_by_double_click(fleet: Stack, page: Page) -> None:
    page.goto((EXAMPLES / "watch.html").as_uri())
    page.get_by_label("API address").fill(fleet.api_url)
    page.get_by_label("Publishable key").fill(fleet.publishable_key)
    page.get_by_role("button", name="Watch").click()
    expect(page.get_by_role("status")).to_contain_text("live: ")

    name = "<b>Seen</b> from a file"
    create(fleet, name)
    line = page.get_by_role("row").filter(has_text=name)
    expect(line.get_by_role("cell").nth(1)).to_have_text("running")
    expect(line.get_by_role("cell").nth(4)).not_to_be_empty()
    fleet.sql(f"update agent_stacks set execution_state = 'paused' where participant_name = '{name}'")
    expect(line.get_by_role("cell").nth(1)).to_have_text("paused")
    expect(line.get_by_role("cell").nth(3)).to_have_text("paused by SQL")
    fleet.sql(f"delete from agent_stacks where participant_name = '{name}'")
    expect(line).to_have_count(0)


def test_the_page_takes_address_and_key_from_its_own_address(fleet: Stack, page: Page) -> None:
    file = (EXAMPLES / "watch.html").as_uri()
    page.goto(f"{file}?url={fleet.api_url}&key={fleet.publishable_key}")
    expect(page.get_by_role("row").filter(has_text="Night Owls")).to_have_count(1)
    expect(page.locator("#door")).to_be_hidden()
    page.goto(f"{file}?url={fleet.api_url}&key=sb_publishable_wrong")
    expect(page.get_by_role("status")).to_have_text(re.compile("refused|channel_error|timed_out|closed"))


def test_the_twenty_lines_of_python_print_traces_as_they_are_written(fleet: Stack, tmp_path: Path) -> None:
    environment = clean_environment({"SUPABASE_URL": fleet.api_url, "SUPABASE_PUBLISHABLE_KEY": fleet.publishable_key})
    out = tmp_path / "out"
    with out.open("wb") as sink:
        viewer = subprocess.Popen(
            [sys.executable, EXAMPLES / "watch.py"], env=environment, stdout=sink, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: "realtime: SUBSCRIBED" in out.read_text(), within=PATIENCE_S, what="subscribed")
        stack_id = create(fleet, "Watched by Python")
        written = eventually(lambda: _traces(fleet, stack_id), within=PATIENCE_S, what="a trace")
        line = f"a new stack: {written[0][0]}: {written[0][1]}"
        eventually(lambda: line in out.read_text(), within=PATIENCE_S, what=line)
    finally:
        viewer.kill()
        viewer.wait()
    fleet.sql(f"delete from agent_stacks where id = '{stack_id}'")


def test_rows_with_types_list_what_is_left_to_do(fleet: Stack) -> None:
    stack_id = create(fleet, "Typed", state="idle")
    fleet.sql(f"insert into todos (stack_id, content, priority) values ('{stack_id}', 'A darker teapot', 7)")
    environment = clean_environment({"SUPABASE_URL": fleet.api_url, "SUPABASE_PUBLISHABLE_KEY": fleet.publishable_key})
    done = subprocess.run(
        [sys.executable, EXAMPLES / "typed.py"], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Typed \(idle, \w+\)\n  7: A darker teapot \(\d+ s old\)$", done.stdout, re.MULTILINE)
    fleet.sql(f"delete from agent_stacks where id = '{stack_id}'")


def test_one_stack_by_sql_alone(fleet: Stack) -> None:
    """Each block as a person pastes it; between two of them, what the block promises is waited for."""
    text = (EXAMPLES / "one_stack.sql").read_text()
    block = dict(re.findall(r"^-- (\d+)\. [^\n]*\n(.*?)(?=^-- \d+\. |\Z)", text, re.DOTALL | re.MULTILINE))
    assert list(block) == [str(number) for number in range(1, 10)]

    def stack_rows(columns: str, table: str, key: str = "stack_id") -> list[list[str]]:
        return fleet.sql(
            f"select {columns} from {table} x join agent_stacks a on a.id = x.{key} where a.participant_name = 'By SQL'"
        )

    run(fleet, block["1"])
    assert stack_rows("x.title", "project_ideas") == [["Tea timer"]]
    run(fleet, block["2"])
    eventually(lambda: stack_rows("x.id", "agent_traces"), within=PATIENCE_S, what="a trace")
    run(fleet, block["3"])
    run(fleet, block["4"])
    wish = "select status from todos where content = 'A button that adds one minute.'"
    eventually(lambda: fleet.sql(wish) == [["completed"]], within=PATIENCE_S, what="the todo is done")
    eventually(
        lambda: stack_rows("x.status", "user_messages") == [["answered"]],
        within=PATIENCE_S,
        what="the visitor's answer",
    )
    seen = run(fleet, block["5"])
    assert "planner" in seen
    assert re.search(r"Ada\s*\|\s*What are you building\?\s*\|\s*answered\s*\|\s*\S+", seen)
    assert re.search(r"paused\s*\|\s*paused by SQL", run(fleet, block["6"]))
    # A failed todo, as three failed attempts leave it.
    fleet.sql(
        "set stackbeat.machine = 'on'; update todos set status = 'failed', attempts = 3, last_error = 'for the test'"
        " where content = 'A button that adds one minute.'"
    )
    assert "UPDATE 1" in run(fleet, block["7"])
    eventually(lambda: fleet.sql(wish) == [["completed"]], within=PATIENCE_S, what="the todo is done again")
    assert re.search(r"\d+\s*\|\s*\d+\s*\|\s*\d+\s*\|\s*0\.0+", run(fleet, block["8"])), "simulated calls cost nothing"
    assert "DELETE 1" in run(fleet, block["9"])
    assert fleet.sql(wish) == []


def test_a_changed_prompt_shows_in_the_next_trace(fleet: Stack) -> None:
    stack_id = create(fleet, "Signed")
    built = eventually(lambda: _traces(fleet, stack_id, "build"), within=PATIENCE_S, what="a version")
    assert built[-1][1].endswith(" — the night shift")
    prompt = fleet.workdir / "prompts" / "builder.md"
    prompt.write_text(prompt.read_text().replace("— the night shift", "— the day shift"))
    fleet.sql(f"insert into todos (stack_id, content, priority) values ('{stack_id}', 'One more button.', 10)")
    eventually(
        lambda: any(thought.endswith(" — the day shift") for _, thought in _traces(fleet, stack_id, "build")),
        within=PATIENCE_S,
        what="the changed signature",
    )
    assert "the builder takes its instructions from" in (fleet.workdir / "up.log").read_text()
    fleet.sql(f"delete from agent_stacks where id = '{stack_id}'")


def test_the_prompt_begins_as_the_builder_s_own(fleet: Stack) -> None:
    own = fleet.run("prompt", "builder")
    assert own.returncode == 0, own.stderr
    assert (EXAMPLES / "own-prompt" / "prompts" / "builder.md").read_text().startswith(own.stdout)
    assert fleet.json("prompt", "planner")["prompt"].startswith("You are the planner")
    unknown = fleet.run("prompt", "bilder")
    assert unknown.returncode == 2
    assert "no agent 'bilder' is installed: there are builder, communicator" in unknown.stderr


def test_an_agent_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = EXAMPLES / "own-agent"
    monkeypatch.syspath_prepend(str(folder))
    points = tomllib.loads((folder / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    critic = load_agents(EntryPoint(name, value, GROUP) for name, value in points.items())["critic"]
    stack = FakeStack()
    stack.set_idea("Tea timer")
    assert critic.find_work(stack.snapshot(), stack.now).work == ()
    stack.publish("<!doctype html>")
    (work,) = critic.find_work(stack.snapshot(), stack.now).work
    reply: dict[str, Any] = {"thinking": "Which tea?", "sentence": "It does not say which tea it is for."}
    run_once(stack, critic, work, scripted_model(reply))
    assert stack.agents["planner"]["inbox"]["critic:v1"]["text"] == reply["sentence"]
    assert critic.find_work(stack.snapshot(), stack.now).work == (), "each version once"


def run(stack: Stack, block: str) -> str:
    """What psql prints for a pasted block."""
    return stack.psql(stdin=block)


def _traces(stack: Stack, stack_id: str, action: str | None = None) -> list[list[str]]:
    where = f" and action = '{action}'" if action else ""
    return stack.sql(f"select agent_type, thought from agent_traces where stack_id = '{stack_id}'{where} order by id")
