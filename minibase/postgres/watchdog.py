"""The process between minibase and PostgreSQL that outlives minibase by two seconds, whatever kills it.

Run as a script: `python watchdog.py UID GID FOLDER LOG COMMAND...` (UID and GID `-1`: stay who we are). It starts
COMMAND in FOLDER, keeps what it says in LOG and the one before, LOG_LIMIT bytes each, and ends with its exit code.
Standard input is a pipe whose other end only minibase holds: when minibase closes it, or is killed in a way that lets
it close nothing itself, the pipe ends and COMMAND is stopped. One mechanism serves the clean stop and the crash, so the
crash path is exercised every day.

It imports nothing of ours and nothing installed: it runs with `-I -S`, in 10 MB and a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress

LOG_LIMIT = 5_000_000
_PR_SET_PDEATHSIG = 1
# PostgreSQL's signals: SIGINT ends sessions and checkpoints, SIGQUIT leaves recovery to the next start.
_ESCALATION = ((signal.SIGINT, 2.5), (signal.SIGQUIT, 1.0), (signal.SIGKILL, 5.0))
# A session that its postmaster left behind may hold the pipe open.
_LAST_WORDS_LIMIT = 1.0


def main(arguments: list[str]) -> int:
    uid, gid, folder, log, *command = arguments
    alarm, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    said, mouth = os.pipe()
    child = _start(int(uid), int(gid), folder, mouth, command)
    os.close(mouth)
    writer = threading.Thread(target=_keep_log, args=(said, log), daemon=True)  # after the start, which forks
    writer.start()
    select.select([0, alarm], [], [])
    if child.poll() is None:
        _stop(child)
    writer.join(_LAST_WORDS_LIMIT)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _start(uid: int, gid: int, folder: str, mouth: int, command: list[str]) -> subprocess.Popen[bytes]:
    stay = uid < 0
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=mouth,
        stderr=mouth,
        cwd=folder,
        start_new_session=True,
        preexec_fn=_follow_parent,  # noqa: PLW1509
        user=None if stay else uid,
        group=None if stay else gid,
        extra_groups=None if stay else [],
    )


def _keep_log(said: int, path: str) -> None:
    """Write down what arrives until all who may speak are gone. It must be read whatever the disk does: a server whose
    words nobody takes stops at the next one."""
    log = -1
    while chunk := os.read(said, 65536):
        with suppress(OSError):  # a full disk: these words are lost, the next may not be
            if log < 0:
                log = _open_log(path)
            if os.fstat(log).st_size + len(chunk) > LOG_LIMIT:
                os.replace(path, f"{path}.1")
                os.close(log)
                log = -1
                log = _open_log(path)
            os.write(log, chunk)


def _open_log(path: str) -> int:
    """The log, private, and its folder's owner's: root may be at work in somebody else's project."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = os.stat(os.path.dirname(path))
        os.fchown(log, owner.st_uid, owner.st_gid)
    return log


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
