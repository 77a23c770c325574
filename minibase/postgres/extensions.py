"""Lets migrations create contrib extensions that PostgreSQL itself keeps for superusers.

Hosted Supabase allows `postgres` these with an extension in C. PostgreSQL 18 can look for control files in further
folders, so here it finds a copy of each, marked as trusted; scripts and libraries stay where they are. Older versions
have no such setting, and there the superuser must create these extensions.
"""

from __future__ import annotations

import re
from pathlib import Path

from minibase.postgres.binaries import Binaries

# Those hosted Supabase offers; none of them reads files or runs programs of the server.
_OFFERED = (
    "autoinc",
    "bloom",
    "dblink",
    "earthdistance",
    "insert_username",
    "moddatetime",
    "pg_stat_statements",
    "pgrowlocks",
    "pgstattuple",
    "postgres_fdw",
    "refint",
)
_OWN_LINES = re.compile(r"^\s*(trusted|directory)\s*=.*$", re.MULTILINE)


def trust_offered(binaries: Binaries, folder: Path) -> str | None:
    """Write the copies below `folder` and return the setting `extension_control_path`; None where it cannot be had."""
    source = binaries.extension_folder()
    if binaries.major < 18 or source is None or ":" in str(folder):  # a colon separates the setting's folders
        return None
    copies = folder / "extension"
    copies.mkdir(parents=True, exist_ok=True)
    for path in (folder, copies):
        path.chmod(0o755)
    for name in _OFFERED:
        original = source / f"{name}.control"
        if original.is_file():
            copy = copies / original.name
            copy.write_text(mark_trusted(original.read_text(encoding="utf-8"), source), encoding="utf-8")
            copy.chmod(0o644)
    return f"{folder}:$system"


def mark_trusted(control: str, scripts: Path) -> str:
    """The text of a control file that any owner of a database may use, its scripts being in `scripts`."""
    kept = _OWN_LINES.sub("", control).rstrip("\n")
    quoted = str(scripts).replace("'", "''")
    return f"{kept}\ntrusted = true\ndirectory = '{quoted}'\n"
