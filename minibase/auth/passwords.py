"""Password rules, and bcrypt kept off the event loop."""

from __future__ import annotations

import re

import bcrypt
from anyio import CapacityLimiter, to_thread

from minibase.auth.errors import AuthError, too_many_requests, validation_failed

COST = 10  # GoTrue's, so that auth.users can move to hosted Supabase unchanged
MAXIMUM_BYTES = 72  # bcrypt looks at no more
PARALLEL_HASHES = 2  # one takes 50 ms of a core; more at once only starve everything else
WAITING_HASHES = 64
_BCRYPT_HASH = re.compile(r"\$2[aby]\$(0[4-9]|1[0-4])\$[./A-Za-z0-9]{53}")  # a higher cost takes seconds a try
_NOBODYS_HASH = "$2a$10$4Q2TQyBw1q1d0LdQ4bOB5e0m6vTQe4s1mYFz2ZkC9j2O8m2yQbJ0G"  # well-formed; of no known password


def check_new_password(password: str, *, minimum_length: int) -> None:
    """Raises AuthError for a password too long for bcrypt, or shorter than the project's minimum."""
    if len(password.encode()) > MAXIMUM_BYTES:
        raise validation_failed("Password cannot be longer than 72 characters")
    if len(password) < minimum_length:
        message = f"Password should be at least {minimum_length} characters."
        raise AuthError(422, "weak_password", message, weak_password={"reasons": ["length"]})


def check_password_hash(value: str) -> None:
    """Raises AuthError unless `value` is a bcrypt hash, the only kind this server can check a password against."""
    if not _BCRYPT_HASH.fullmatch(value):
        raise validation_failed("password_hash is not a bcrypt hash ($2a$, $2b$ or $2y$, cost 4 to 14).")


class PasswordHasher:
    """bcrypt in worker threads, a few at a time; refuses with 429 where too many already wait."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(PARALLEL_HASHES)

    async def hash(self, password: str) -> str:
        """A fresh `$2a$10$` hash of a password of at most 72 bytes."""
        self._refuse_when_crowded()
        salted = await to_thread.run_sync(_hash, password.encode(), limiter=self._limiter)
        return salted.decode()

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether `stored` is a hash of `password`. Takes as long where nothing usable is stored (no user)."""
        self._refuse_when_crowded()
        usable = stored if stored and _BCRYPT_HASH.fullmatch(stored) else None
        offered = password.encode()
        fits = await to_thread.run_sync(
            bcrypt.checkpw, offered[:MAXIMUM_BYTES], (usable or _NOBODYS_HASH).encode(), limiter=self._limiter
        )
        return fits and usable is not None and len(offered) <= MAXIMUM_BYTES

    def _refuse_when_crowded(self) -> None:
        if self._limiter.statistics().tasks_waiting >= WAITING_HASHES:
            raise too_many_requests("too many sign-ins are waiting, try again in a moment")


def _hash(password: bytes) -> bytes:
    return bcrypt.hashpw(password, bcrypt.gensalt(COST, prefix=b"2a"))
