"""What a bench costs on the database's side and ours: counters before and after, by the superuser's address."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

COUNTERS = """
select pg_current_wal_lsn() - '0/0'::pg_lsn as wal,
  (select pg_read_file('postmaster.pid', 0, 20, true)) as postmaster
"""
CALLS = """
select sum(s.calls) as calls, sum(s.calls) filter (where s.query like 'select set\\_config(%''role''%') as requests
from "{schema}".pg_stat_statements(true) s join pg_database d on d.oid = s.dbid
where s.toplevel and d.datname = current_database() and s.query !~* '^(begin|start|commit|rollback)'
"""
TICKS_PER_S = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Counters at one moment; None where they cannot be read."""

    client_cpu_s: float
    server_cpu_s: float | None
    statements: float | None
    transactions: float | None
    wal_bytes: float | None
    db_cpu_s: float | None


class Meter:
    """Reads the counters. Its own few statements are in what it counts."""

    def __init__(self, admin: asyncpg.Connection | None, server_pid: int | None) -> None:
        self._admin = admin
        self._server_pid = server_pid

    async def read(self) -> Reading:
        row = None if self._admin is None else await self._admin.fetchrow(COUNTERS)
        statements, transactions = await self._counts()
        postmaster = None if row is None else _first_number(row["postmaster"])
        return Reading(
            client_cpu_s=time.process_time(),
            server_cpu_s=None if self._server_pid is None else _tree_cpu_s(self._server_pid, below=False),
            statements=statements,
            transactions=transactions,
            wal_bytes=None if row is None else float(row["wal"]),
            db_cpu_s=None if postmaster is None else _tree_cpu_s(postmaster, below=True),
        )

    async def _counts(self) -> tuple[float, float] | tuple[None, None]:
        """Statements as the server received them, transaction control included, and transactions.

        From pg_stat_statements, which counts a prepared BEGIN or COMMIT only the first time it is executed. So these
        are left out there and added by hand: a request to the API is BEGIN, its settings, its statement and COMMIT.
        """
        if self._admin is None:
            return None, None
        schema = await self._admin.fetchval(
            "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace"
            " where e.extname = 'pg_stat_statements'"
        )
        if schema is None:
            return None, None
        try:
            row = await self._admin.fetchrow(CALLS.format(schema=schema))
        except asyncpg.PostgresError:  # installed, but not loaded by this server
            return None, None
        assert row is not None  # sums come as one row, whatever there is to sum
        calls, requests = float(row["calls"] or 0), float(row["requests"] or 0)
        return calls + 2 * requests, calls - requests


@asynccontextmanager
async def open_meter(db_admin_url: str | None, server_pid: int | None) -> AsyncIterator[Meter]:
    """A Meter; without an address only this process is measured."""
    if db_admin_url is None:
        yield Meter(None, server_pid)
        return
    admin = await asyncpg.connect(db_admin_url)
    try:
        yield Meter(admin, server_pid)
    finally:
        await admin.close()


def peak_rss_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _first_number(text: str | None) -> int | None:
    lines = (text or "").split()
    return int(lines[0]) if lines and lines[0].isdigit() else None


def _tree_cpu_s(pid: int, *, below: bool) -> float | None:
    """CPU seconds of a process, its ended children, and (``below``) its living ones; None where /proc is not there."""
    own = _cpu_s(pid)
    if own is None:
        return None
    living = [_cpu_s(child) or 0.0 for child in _children(pid)] if below else []
    return own + sum(living)


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _cpu_s(pid: int) -> float | None:
    """What a process and its ended children used, to the nanosecond where the kernel tells (schedstat, man 5 proc)."""
    fields = _stat(pid)
    if fields is None:
        return None
    own, ended = sum(map(int, fields[11:13])) / TICKS_PER_S, sum(map(int, fields[13:15])) / TICKS_PER_S
    return (_exact_cpu_s(pid) or own) + ended


def _exact_cpu_s(pid: int) -> float | None:
    """A process' own, all threads of it; None where the kernel does not count so."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields is not None and int(fields[1]) == pid:
            found.append(int(entry.name))
    return found
