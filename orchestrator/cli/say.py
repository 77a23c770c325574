"""say: a visitor's line to a stack, and its answer."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from orchestrator.cli.choose import choose
from orchestrator.cli.create import checked_text
from orchestrator.cli.door import connect
from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.output import json_option, print_json, print_line
from orchestrator.cli.resolve import resolve, workdir_option
from orchestrator.cli.tables import fetch_stacks

if TYPE_CHECKING:
    from supabase import Client

TEXT_CHARACTERS = 2000
SENDER_CHARACTERS = 40
POLL_S = 0.3


@click.command("say", help="Say something to a stack, as a visitor would. TEXT of - is read from stdin.")
@click.argument("stack")
@click.argument("text")
@click.option("--as", "sender", default="Visitor", show_default=True, metavar="NAME", help="Who says it.")
@click.option("--wait", is_flag=True, help="Wait for the answer and print it.")
@click.option("--timeout", default=120.0, show_default=True, type=click.FloatRange(0.1), help="Seconds to wait.")
@workdir_option
@json_option
def say(*, stack: str, text: str, sender: str, wait: bool, timeout: float, workdir: Path, as_json: bool) -> None:
    """Insert the line; with --wait print the answer."""
    content = checked_text(sys.stdin.read() if text == "-" else text, "the text", TEXT_CHARACTERS)
    name = checked_text(sender, "the name of --as", SENDER_CHARACTERS)
    with connect(resolve(workdir)) as client:
        row = choose(fetch_stacks(client), stack)
        line = {"stack_id": row["id"], "sender_name": name, "content": content}
        sent = cast("dict[str, Any]", client.table("user_messages").insert(line).execute().data[0])
        if wait:
            _require_running(row, sent["id"])
            sent = _wait_for_answer(client, sent["id"], timeout)
        answer = _fetch_answer(client, sent) if wait else None
    if as_json:
        print_json({"id": sent["id"], "stack_id": row["id"], "status": sent["status"], "answer": answer})
    elif answer is not None:
        print_line(answer)
    else:
        print_line(f"said to {row['participant_name']} ({sent['id']})")


def _require_running(row: dict[str, Any], message_id: str) -> None:
    if row["execution_state"] != "running":
        name, state = row["participant_name"], row["execution_state"]
        raise CliError(
            f"{name} is {state} and answers once it is played; the line is kept (message {message_id})",
            ExitCode.NO_ANSWER,
        )


def _wait_for_answer(client: Client, message_id: str, timeout: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout
    while True:
        query = client.table("user_messages").select("id,status,response_id,last_error").eq("id", message_id)
        message = cast("dict[str, Any]", query.single().execute().data)
        if message["status"] == "answered":
            return message
        if message["status"] == "failed":
            raise CliError(f"the stack could not answer: {message['last_error']}", ExitCode.NO_ANSWER)
        if time.monotonic() >= deadline:
            raise CliError(
                f"no answer within {timeout:g} s; the line is kept and will be answered (message {message_id})",
                ExitCode.NO_ANSWER,
            )
        time.sleep(POLL_S)


def _fetch_answer(client: Client, message: dict[str, Any]) -> str:
    found = client.table("messages").select("content").eq("id", message["response_id"]).single().execute()
    return str(cast("dict[str, Any]", found.data)["content"])
