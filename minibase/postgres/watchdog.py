"""The process between minibase and PostgreSQL that outlives minibase by two seconds, whatever kills it.

Run as a script: `python watchdog.py UID GID FOLDER COMMAND...` (UID and GID `-1`: stay who we are). It starts COMMAND
in FOLDER and ends with its exit code. Standard input is a pipe whose other end only minibase holds: when minibase
closes it, or is killed in a way that lets it close nothing itself, the pipe ends and COMMAND is stopped. One mechanism
serves the clean stop and the crash, so the crash path is exercised every day.

It imports nothing of ours and nothing installed: it runs with `-I -S`, in 10 MB and a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
# PostgreSQL's signals: SIGINT ends sessions and checkpoints, SIGQUIT leaves recovery to the next start.
_ESCALATION = ((signal.SIGINT, 2.5), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 5.0))


def main(arguments: list[str]) -> int:
    uid, gid, folder, *command = arguments
    alarm, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    child = _start(int(uid), int(gid), folder, command)
    select.select([0, alarm], [], [])
    if child.poll() is None:
        _stop(child)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _start(uid: int, gid: int, folder: str, command: list[str]) -> subprocess.Popen[bytes]:
    stay = uid < 0
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_follow_parent,  # noqa: PLW1509
        user=None if stay else uid,
        group=None if stay else gid,
        extra_groups=None if stay else [],
    )


def _follow_parent() -> None:
    """Should even the watchdog be killed with -9, Linux tells PostgreSQL.

    It runs after the change of user, which would reset it; and this process has one thread only, so it is safe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _stop(child: subprocess.Popen[bytes]) -> None:
    for number, patience in _ESCALATION:
        child.send_signal(number)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
