"""This machine: room on the disk, ports, who may read the secrets."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from orchestrator.doctor.findings import Finding, fail, listing, ok, warn

MEGABYTE = 1_000_000
WARN_FREE_MB, FAIL_FREE_MB = 2_000, 200


def check_disk(folder: Path) -> Finding:
    """Room where the data is, or would be."""
    return judge_disk(folder, shutil.disk_usage(folder).free, may_write=os.access(folder, os.W_OK))


def judge_disk(folder: Path, free: int, *, may_write: bool = True) -> Finding:
    """Postgres stops where a disk is full, so there is a warning long before."""
    if not may_write:
        return fail("disk", f"{folder} cannot be written to", "change its rights, or choose another --workdir")
    said = f"{free / MEGABYTE:,.0f} MB free for {folder}"
    todo = "make room, or let the daemon keep less: [retention] in stackbeat.toml, `stackbeat prune` for now"
    if free < FAIL_FREE_MB * MEGABYTE:
        return fail("disk", f"only {said}", todo)
    return warn("disk", f"only {said}", todo) if free < WARN_FREE_MB * MEGABYTE else ok("disk", said)


def check_ports(wanted: Mapping[int, str]) -> Finding:
    """Are the ports free that a start would take? Their use by number, like ``the API (--port)``."""
    taken = [f"port {port} for {use}" for port, use in wanted.items() if _is_taken(port)]
    if taken:
        todo = "free them, or start with other ones: `stackbeat up --port auto --db-port auto --web-port auto`"
        return warn("ports", f"in use by another program: {listing(taken)}", todo)
    return ok("ports", f"free: {', '.join(map(str, wanted))}" if wanted else "in use by what runs here")


def check_secrets(file: Path) -> Finding | None:
    """A file of secrets that others can read; None where all is well or there is none."""
    if not file.is_file() or not file.stat().st_mode & 0o077:
        return None
    return warn("secrets", f"{file} can be read by other users", f"type: chmod 600 {file}")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return True
    return False
