"""minibase as a child process of `up`: started, waited for, watched, stopped.

It runs in a session of its own, so that Ctrl-C reaches `up` alone, which then stops things in order. Should `up` be
killed, the kernel closes its end of the lifeline pipe and minibase stops by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.cli.ports import Choice
from orchestrator.cli.resolve import minibase_command, minibase_status
from orchestrator.cli.target import Target, from_status

READY_LINE = "minibase is ready."
START_TIMEOUT_S = 180
STOP_TIMEOUT_S = 4
KEPT_ERROR_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A running minibase: how to talk to it, and its process."""

    target: Target
    pid: int


@asynccontextmanager
async def open_minibase(
    workdir: Path, *, api_port: Choice | None, db_port: Choice | None, say: Callable[[str], None]
) -> AsyncIterator[Embedded]:
    """Run minibase while the block runs; yields it once it answers. None as a port is the one of config.toml.

    Raises CliError with minibase's own sentence where it does not start or ends early.
    """
    ports = (("--port", api_port), ("--db-port", db_port))
    chosen = [text for option, port in ports if port is not None for text in (option, str(port))]
    lifeline, held_end = os.pipe()
    try:
        command = minibase_command("start", "--workdir", workdir, *chosen, "--lifeline", str(lifeline))
        try:
            process = await anyio.open_process(
                command, stdin=subprocess.DEVNULL, pass_fds=(lifeline,), start_new_session=True
            )
        finally:
            os.close(lifeline)
        try:
            async with anyio.create_task_group() as tasks:
                ready = anyio.Event()
                tasks.start_soon(_watch, process, ready, say)
                with anyio.fail_after(START_TIMEOUT_S):
                    await ready.wait()
                yield Embedded(target=await _describe(workdir), pid=process.pid)
                tasks.cancel_scope.cancel()
        finally:
            await _stop(process)
    except TimeoutError as error:
        raise CliError(f"minibase did not start within {START_TIMEOUT_S} s; see .minibase/ for its logs") from error
    finally:
        os.close(held_end)


def discard_data(workdir: Path) -> None:
    """Remove the data that a throw-away project's minibase keeps outside its folder, as it does for root."""
    pointer = workdir / ".minibase" / "data-folder"
    if not pointer.is_file():
        return
    data = Path(pointer.read_text(encoding="utf-8").strip())
    owner = data / "project"
    if owner.is_file() and Path(owner.read_text(encoding="utf-8").strip()) == workdir.resolve():
        shutil.rmtree(data)


async def _describe(workdir: Path) -> Target:
    status = await anyio.to_thread.run_sync(minibase_status, workdir)
    if status is None:
        raise CliError("minibase started, but `minibase status` does not find it; see .minibase/ for its logs")
    return from_status(status, "minibase")


async def _watch(process: Process, ready: anyio.Event, say: Callable[[str], None]) -> None:
    """Pass on what minibase says while it starts; raise CliError with its last words when it ends."""
    last_words: deque[str] = deque(maxlen=KEPT_ERROR_LINES)

    def hear(line: str) -> None:
        if line.strip() == READY_LINE:
            ready.set()
        elif not ready.is_set():  # what follows the ready line is for people who started it themselves
            say(line)

    def keep(line: str) -> None:
        last_words.append(line)
        if ready.is_set():
            say(f"minibase: {line}")

    assert process.stdout is not None
    assert process.stderr is not None
    async with anyio.create_task_group() as readers:
        readers.start_soon(_read_lines, process.stdout, hear)
        readers.start_soon(_read_lines, process.stderr, keep)
    code = await process.wait()
    sentence = _error_in([line for line in last_words if line.strip()])
    busy = code == ExitCode.BUSY  # the one code of its own that minibase has, and the same here
    raise CliError(
        sentence or f"minibase ended with exit code {code} and said nothing", ExitCode.BUSY if busy else ExitCode.FAILED
    )


def _error_in(lines: list[str]) -> str:
    """The error among the last lines of a minibase that ended, with what follows it; else the very last line."""
    begin = max((n for n, line in enumerate(lines) if line.startswith("error: ")), default=len(lines) - 1)
    return "\n".join(lines[begin:]).removeprefix("error: ") if lines else ""


async def _read_lines(stream: ByteReceiveStream, hear: Callable[[str], None]) -> None:
    rest = ""
    async for text in TextReceiveStream(stream, errors="replace"):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            hear(line)
    if rest:
        hear(rest)


async def _stop(process: Process) -> None:
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            process.terminate()
            with anyio.move_on_after(STOP_TIMEOUT_S):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await process.aclose()
