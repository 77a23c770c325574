"""bench record: the ledger's replies as a file that stands in for a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orchestrator.cli.choose import choose
from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import json_option, print_json
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import PAGE_ROWS, fetch_stacks

if TYPE_CHECKING:
    from supabase import Client

COLUMNS = (
    "id,created_at,attempt,agent_type,provider,model,tokens_in,tokens_out,tokens_cached,finish_reason,ask_hash,reply"
)


@click.command("record")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--stack", "word", metavar="STACK", help="Only what this stack was answered.")
@workdir_option
@json_option
def record(file: Path, word: str | None, workdir: Path, as_json: bool) -> None:
    """Write every reply of the ledger to FILE, a JSON line each; replay it with STACKBEAT_PROVIDERS=replay."""
    from orchestrator.llm.replay import RecordedReply

    with connect(resolve(workdir)) as client:
        stack = None if word is None else choose(fetch_stacks(client), word)["id"]
        rows = list(_replies(client, stack))
    if not rows:
        raise CliError("the ledger holds no reply; play a stack first")
    try:
        file.write_bytes(b"".join(RecordedReply.from_row(row).as_line() for row in rows))
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}", ExitCode.USAGE) from error
    if as_json:
        print_json({"file": str(file), "replies": len(rows)})
    else:
        click.echo(f"recorded {len(rows)} replies in {file}")


def _replies(client: Client, stack: str | None) -> Iterator[dict[str, Any]]:
    """Rows with a question and a reply, in the order in which they were asked, page by page."""
    start = 0
    while True:
        query = client.table("llm_calls").select(COLUMNS).is_("error", "null")
        query = query.not_.is_("reply", "null").not_.is_("ask_hash", "null")
        if stack is not None:
            query = query.eq("stack_id", stack)
        ordered = query.order("created_at").order("run_id").order("attempt")
        page: Any = ordered.range(start, start + PAGE_ROWS - 1).execute().data
        yield from page
        start += len(page)
        if len(page) < PAGE_ROWS:
            return
