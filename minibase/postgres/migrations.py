"""Which migration files a database still needs, by the Supabase CLI's rules. Values only; `migrate` does the work.

A file is `<digits>_<name>.sql`; the digits are its version, compared as text; a version is applied when the history
table holds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from minibase.errors import MinibaseError
from minibase.postgres.splitter import Statement, split_statements

_FILE_NAME = re.compile(r"(?P<version>[0-9]+)_(?P<name>.*)\.sql")
_NO_TRANSACTION = re.compile(r"--\s*pg-delta:\s*transaction\s*=\s*false\s*", re.IGNORECASE)
_TRANSACTION_EDGES = frozenset({"begin", "start", "commit", "end"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One migration file by its name."""

    version: str
    name: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The contents of a SQL file, ready to run."""

    file: str
    statements: tuple[Statement, ...]
    in_transaction: bool
    """False only where PostgreSQL or the file's first line forbids one: a failure then leaves half of it done."""


def parse_file_name(file: str) -> Migration | None:
    """The migration a file name stands for, or None where the CLI would skip the file too."""
    match = _FILE_NAME.fullmatch(file)
    return match and Migration(version=match["version"], name=match["name"], file=file)


def choose_pending(
    local: Iterable[Migration], applied: Sequence[str], *, include_all: bool = False
) -> tuple[Migration, ...]:
    """The migrations to apply, in order.

    Raises MinibaseError where two files share a version, where the history holds a version without a file, and,
    unless `include_all`, where a file is older than the newest applied version.
    """
    by_version: dict[str, Migration] = {}
    for migration in local:
        other = by_version.setdefault(migration.version, migration)
        if other is not migration:
            raise MinibaseError(
                f"{other.file} and {migration.file} have the same version {migration.version}. Rename one of them."
            )
    missing = [version for version in applied if version not in by_version]
    if missing:
        raise MinibaseError(
            f"The database has had migration {', '.join(missing)}, but supabase/migrations has no such file. Put the "
            "file back (it may be on another branch); or, where a newer release made it, update to that one; or begin "
            "anew with `minibase reset`, which deletes all data; or "
            f"declare it undone with `supabase migration repair --status reverted {' '.join(missing)}`."
        )
    pending = sorted((m for m in by_version.values() if m.version not in applied), key=lambda m: m.version)
    newest = max(applied, default="")
    late = [migration.file for migration in pending if migration.version < newest]
    if late and not include_all:
        raise MinibaseError(
            f"{', '.join(late)} would be applied after the newer {newest}, out of order. Give it a version above "
            f"{newest}; or apply it as it is with `minibase migrate --include-all`; or begin anew with "
            "`minibase reset`, which deletes all data."
        )
    return tuple(pending)


def read_script(file: str, sql: str) -> Script:
    """Split a file and decide whether it runs as a unit.

    `begin` and `commit` of the file's own are dropped, for the whole file is one transaction already. Raises
    MinibaseError for a `rollback`, which would undo the bookkeeping with it.
    """
    statements = split_statements(sql)
    in_transaction = not (
        _NO_TRANSACTION.fullmatch(sql.partition("\n")[0].strip())
        or any(_refuses_transaction(statement.words) for statement in statements)
    )
    if in_transaction:
        for statement in statements:
            if statement.words[:1] == ("rollback",) and "to" not in statement.words:
                raise MinibaseError(
                    f"{file}, line {statement.line}: a file is applied as a whole, without ROLLBACK. Remove that line."
                )
    return Script(file=file, statements=statements, in_transaction=in_transaction)


def is_transaction_edge(statement: Statement) -> bool:
    """Whether the statement only opens or closes a transaction."""
    words = statement.words
    return (
        words[:1] != () and words[0] in _TRANSACTION_EDGES and (words[0] != "start" or words[1:2] == ("transaction",))
    )


def _refuses_transaction(words: tuple[str, ...]) -> bool:
    """The statements PostgreSQL itself refuses inside a transaction block."""
    match words:
        case ("create" | "drop" | "reindex", *rest):
            return "concurrently" in rest or rest[:1] == ["database"]
        case ("vacuum", *_) | ("alter", "system", *_):
            return True
    return False
