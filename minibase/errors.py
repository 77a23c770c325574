"""The one error family that ends a `minibase` command with a sentence instead of a traceback."""


class MinibaseError(Exception):
    """Something the person at the keyboard can act on; `str(error)` says what, which value and what to do."""

    exit_code = 1


class BusyError(MinibaseError):
    """Somebody else has what is needed: a port, a folder. `stackbeat` ends with the same code for it."""

    exit_code = 6
