"""run --reload: the daemon as a child process that is drained and started again when its source changes.

The new code is loaded by a new process, so nothing of the old one is left over, and a daemon that the new code does not
let start leaves the supervisor waiting for the next change.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib import invalidate_caches
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import anyio
from anyio.abc import Process
from watchfiles import DefaultFilter, awatch

from orchestrator.cli.errors import CliError
from orchestrator.config import FILE_NAME
from orchestrator.registry import GROUP

# Packages of ours that no entry point names.
OURS = ("agents", "orchestrator")
QUIET_MS = 100
# What a drain takes beyond its grace time: the last commits and the farewell.
DRAIN_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the daemon is made of: whole folders, and single files."""

    folders: frozenset[Path]
    files: frozenset[Path]


def find_sources(workdir: Path) -> Sources:
    """The packages behind the installed agents, ours, and the settings in `workdir`.

    Nothing is imported: the source may be broken just now.
    """
    invalidate_caches()
    names = {point.module.partition(".")[0] for point in entry_points(group=GROUP)} | set(OURS)
    folders: set[Path] = set()
    files = {workdir / FILE_NAME}
    for name in names:
        with suppress(ImportError, ValueError):  # an entry point that leads nowhere is the daemon's to tell
            spec = find_spec(name)
            if spec is not None and spec.submodule_search_locations is not None:
                folders.update(Path(place).resolve() for place in spec.submodule_search_locations)
            elif spec is not None and spec.origin is not None:
                files.add(Path(spec.origin).resolve())
    return Sources(
        folders=frozenset(folder for folder in folders if folder.is_dir()),
        files=frozenset(file for file in files if file.parent.is_dir()),
    )


async def keep_running(command: list[str], workdir: Path, *, grace_s: float, say: Callable[[str], None]) -> None:
    """Run `command` and start it again after each change of its sources, until cancelled, which drains it, too."""
    while True:
        async with _changes(find_sources(workdir)) as change, _running(command, grace_s) as process:
            ended = await _first_of(process, change)
            if ended is not None:
                say(f"the daemon ended (exit code {ended}); it starts again when its source changes")
                await change.happened.wait()
            say(f"{change.path} changed: the daemon starts again")


class _Change:
    """The first file that changed."""

    def __init__(self) -> None:
        self.happened = anyio.Event()
        self.path = Path()

    def note(self, paths: Iterable[str]) -> None:
        if not self.happened.is_set():
            self.path = Path(min(paths))
            self.happened.set()


@asynccontextmanager
async def _changes(sources: Sources) -> AsyncIterator[_Change]:
    """Watch while the block runs. Single files by their folder: an editor may put a new file in the old one's place."""
    change = _Change()
    async with anyio.create_task_group() as tasks:
        if sources.folders:
            tasks.start_soon(_watch, sources.folders, DefaultFilter(), True, change)
        if sources.files:
            folders = frozenset(file.parent for file in sources.files)
            names = {str(file) for file in sources.files}
            tasks.start_soon(_watch, folders, lambda _, path: path in names, False, change)
        yield change
        tasks.cancel_scope.cancel()


async def _watch(folders: Iterable[Path], wanted: Callable[..., bool], recursive: bool, change: _Change) -> None:
    try:
        async for changes in awatch(*folders, watch_filter=wanted, recursive=recursive, step=QUIET_MS):
            change.note(path for _, path in changes)
    except OSError as error:  # most often the system's limit of watches
        raise CliError(f"cannot watch {', '.join(map(str, sorted(folders)))}: {error}; run without --reload") from error


async def _first_of(process: Process, change: _Change) -> int | None:
    """The exit code if the process ends by itself before anything changes, else None."""
    ended: list[int] = []

    async def wait_for_the_end() -> None:
        ended.append(await process.wait())
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_for_the_end)
        await change.happened.wait()
        tasks.cancel_scope.cancel()
    return ended[0] if ended else None


@asynccontextmanager
async def _running(command: list[str], grace_s: float) -> AsyncIterator[Process]:
    """The child, in a session of its own, so that Ctrl-C reaches the supervisor alone; drained at the end of the block.

    Should the supervisor be killed, the kernel closes the lifeline and the child drains by itself.
    """
    lifeline, held_end = os.pipe()
    try:
        try:
            process = await anyio.open_process(
                [*command, "--lifeline", str(lifeline)],
                stdin=subprocess.DEVNULL,
                stdout=sys.stdout.fileno(),
                stderr=sys.stderr.fileno(),
                pass_fds=(lifeline,),
                start_new_session=True,
            )
        finally:
            os.close(lifeline)
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await _drain(process, grace_s + DRAIN_MARGIN_S)
    finally:
        os.close(held_end)


async def _drain(process: Process, limit_s: float) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
        with anyio.move_on_after(limit_s):
            await process.wait()
            return
        process.kill()
    await process.wait()
