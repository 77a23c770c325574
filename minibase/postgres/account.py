"""Which system account runs PostgreSQL: it refuses to run as root, so root hands it to an unprivileged one.

No account is ever made and no permission of a folder that is not ours is ever changed.
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from minibase.errors import MinibaseError

_UNPRIVILEGED = ("postgres", "nobody")


class SpawnOptions(TypedDict, total=False):
    """The part of `subprocess.Popen`'s arguments that chooses the account."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An unprivileged system account that root starts processes as."""

    name: str
    uid: int
    gid: int

    def spawn_options(self) -> SpawnOptions:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_enter(self, folder: Path) -> bool:
        """Whether this account may list `folder` and pass every folder above it, by their plain permission bits."""
        folder = folder.resolve()
        needed = stat.S_IROTH | stat.S_IXOTH
        return self._allowed(folder, needed) and all(self._allowed(parent, stat.S_IXOTH) for parent in folder.parents)

    def _allowed(self, folder: Path, needed: int) -> bool:
        status = folder.stat()
        if status.st_uid == self.uid:
            needed <<= 6
        elif status.st_gid == self.gid:
            needed <<= 3
        return status.st_mode & needed == needed


def pick_account(owner: int | None = None) -> Account | None:
    """The account Postgres must run as, or None where this process may run it itself (it is not root).

    `owner` is the user id that an existing state folder belongs to: root working in somebody's project acts as that
    person, so that their files stay theirs. Raises MinibaseError where the system has no unprivileged account.
    """
    if os.geteuid() != 0:
        return None
    if owner:
        return _by_uid(owner)
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid)
    raise MinibaseError(
        "PostgreSQL does not run as root, and this system has neither a user `postgres` nor `nobody` to run it as. "
        "Start minibase as an ordinary user."
    )


def _by_uid(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError as error:
        raise MinibaseError(
            f"The state folder belongs to user id {uid}, which this system does not know, and PostgreSQL needs a "
            "known one. Give the folder to an existing user (chown -R) and start again."
        ) from error
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)
