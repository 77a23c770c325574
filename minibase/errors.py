"""The one error family that ends a `minibase` command with a sentence instead of a traceback."""


class MinibaseError(Exception):
    """Something the person at the keyboard can act on; `str(error)` says what, which value and what to do."""
