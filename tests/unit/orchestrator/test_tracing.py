"""Without the extra `otel` the same code runs and imports no OpenTelemetry; the reference names what spans say."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from orchestrator import tracing

REFERENCE = Path(__file__).parents[3] / "docs" / "observability.md"

WITHOUT = """
import sys
sys.modules["opentelemetry"] = None  # as if it were not installed
import uuid
from datetime import UTC, datetime
from agents.work import Work
import orchestrator.daemon
from orchestrator.tracing import agent_span, chat_span, cycle_span, unchanged
from orchestrator.verbs import ClaimedStack, PlannedRun

work = Work(agent="planner", priority=1, reason="r", key="k", at=datetime.now(UTC))
planned = PlannedRun(run_id=uuid.uuid4(), stack_id=uuid.uuid4(), fence=1, work=work, needs_artifact=False)
claimed = ClaimedStack(stack_id=planned.stack_id, fence=1, wakes=0, snapshot={})
with cycle_span(claimed), agent_span(planned, 1) as ended:
    assert ended is unchanged
    with chat_span(None, [], provider="p", simulated=True) as answered:
        assert answered("result") == "result"
assert not [name for name in sys.modules if name.startswith("opentelemetry.")]
"""


def test_a_daemon_without_opentelemetry_traces_nothing_and_works() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_only_the_extra_asks_for_it() -> None:
    asked = [line for line in requires("stackbeat") or [] if "opentelemetry" in line]
    assert asked
    assert all('extra == "otel"' in line.replace("'", '"') for line in asked)


def test_the_reference_names_every_attribute_and_no_other() -> None:
    attribute = r"((?:gen_ai|stackbeat|error)\.[a-z_.]+)"
    said = set(re.findall(f'"{attribute}"', Path(tracing.__file__).read_text()))
    section = REFERENCE.read_text().partition("## Spans")[2].partition("\n## ")[0]
    assert set(re.findall(f"`{attribute}`", section)) == said
    assert len(said) > 20
