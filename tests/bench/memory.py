"""How much memory processes hold, by /proc; None where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def rss_mb(pid: int) -> float | None:
    """What one process has in memory now."""
    return _megabytes(Path(f"/proc/{pid}/status"), "VmRSS:")


def tree_mb(pid: int) -> float | None:
    """A process and everything below it, with what they share counted once."""
    shares = [_megabytes(Path(f"/proc/{each}/smaps_rollup"), "Pss:") for each in (pid, *below(pid))]
    known = [share for share in shares if share is not None]
    return round(sum(known), 1) if known else None


def below(pid: int) -> Iterator[int]:
    """Every process that descends from this one."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) == pid:
            yield int(entry.name)
            yield from below(int(entry.name))


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _megabytes(file: Path, name: str) -> float | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    kilobytes = next((line.split()[1] for line in lines if line.startswith(name)), None)
    return None if kilobytes is None else round(int(kilobytes) / 1024, 1)
