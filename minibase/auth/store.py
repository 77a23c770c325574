"""The Auth API's statements: each a file in `minibase/sql/queries`, run as supabase_auth_admin."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal, assert_never

import asyncpg
import orjson

from minibase.auth.errors import AuthError
from minibase.auth.tokens import Refuse, Repeat, ReuseRules, RevokeFamily, Rotate, StoredToken, judge_refresh
from minibase.auth.users import UserRecord, split_patch
from minibase.postgres.endpoint import Endpoint, Login

POOL_SIZE = 8
WAIT_SECONDS = 10.0
EMAIL_CONSTRAINT = "users_email_partial_key"  # another one may belong to a trigger of the project

Connection = asyncpg.pool.PoolConnectionProxy
SignOutScope = Literal["global", "local", "others"]
Method = Literal["password", "anonymous"]


class DatabaseAwayError(Exception):
    """No connection to be had: whatever was asked for may succeed in a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    id: uuid.UUID
    role: str
    email: str | None
    password_hash: str | None = field(repr=False)
    confirmed: bool
    app_metadata: Mapping[str, Any]
    user_metadata: Mapping[str, Any]
    banned_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPatch:
    """What to change of a user; None leaves a field alone, and `lifts_or_sets_ban` says whether the ban is meant."""

    email: str | None = None
    password_hash: str | None = field(default=None, repr=False)
    confirm: bool = False
    app_metadata: Mapping[str, Any] | None = None
    user_metadata: Mapping[str, Any] | None = None
    lifts_or_sets_ban: bool = False
    banned_until: datetime | None = None
    role: str | None = None
    session_to_keep: uuid.UUID | None = None
    """A new password ends every session but this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSession:
    """A session that was just started or refreshed."""

    id: uuid.UUID
    user: UserRecord
    refresh_token: str = field(repr=False)
    amr: Sequence[Mapping[str, Any]]


class AuthStore:
    """One method per verb. Errors of the database pass through; refusals are AuthError."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find_by_email(self, email: str) -> UserRecord | None:
        return await self._find("user_by_email", email)

    async def find_by_id(self, user_id: uuid.UUID) -> UserRecord | None:
        return await self._find("user_by_id", user_id)

    async def find_by_token(self, user_id: uuid.UUID, session_id: uuid.UUID | None) -> tuple[UserRecord | None, bool]:
        """The user a token speaks for, and whether the session it names still stands."""
        async with self._connection() as connection:
            row = await connection.fetchrow(_statement("user_of_token"), user_id, session_id)
        return (_user(row), bool(row["session_stands"])) if row else (None, False)

    async def page(self, *, size: int, offset: int) -> tuple[list[UserRecord], int]:
        """One page of users, and how many there are in all."""
        async with self._connection() as connection:
            rows = await connection.fetch(_statement("users_page"), size, offset)
            total = await connection.fetchval(_statement("users_count"))
        return [_user(row) for row in rows], int(total)

    async def create(self, new: NewUser) -> UserRecord | None:
        """The user as stored; None where the e-mail address is taken. Raises AuthError where the id is."""
        try:
            async with self._connection() as connection:
                row = await connection.fetchrow(
                    _statement("create_user"),
                    *(new.id, new.role, new.email, new.password_hash, new.confirmed),
                    *(_json(new.app_metadata), _json(new.user_metadata), new.banned_until),
                )
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == "users_pkey":
                raise AuthError(409, "conflict", f"A user with the id {new.id} already exists") from error
            if error.constraint_name != EMAIL_CONSTRAINT:
                raise
            return None
        return _user(row) if row else None

    async def update(self, user_id: uuid.UUID, patch: UserPatch) -> UserRecord | None:
        """The user as changed; None where there is none. Raises AuthError where the new e-mail address is taken."""
        app_set, app_removed = split_patch(patch.app_metadata)
        user_set, user_removed = split_patch(patch.user_metadata)
        try:
            async with self._connection() as connection, connection.transaction():
                row = await connection.fetchrow(
                    _statement("update_user"),
                    *(user_id, patch.email, patch.password_hash, patch.confirm),
                    *(_json(app_set), app_removed, _json(user_set), user_removed),
                    *(patch.lifts_or_sets_ban, patch.banned_until, patch.role),
                )
                if row is not None and patch.password_hash is not None:
                    scope = "global" if patch.session_to_keep is None else "others"
                    await connection.execute(_statement("end_sessions"), user_id, scope, patch.session_to_keep)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name != EMAIL_CONSTRAINT:
                raise
            message = "A user with this email address has already been registered"
            raise AuthError(422, "email_exists", message) from error
        return _user(row) if row else None

    async def delete(self, user_id: uuid.UUID, *, keep_row: bool) -> bool:
        """Whether there was such a user."""
        async with self._connection() as connection:
            found = await connection.fetchval(_statement("forget_user" if keep_row else "delete_user"), user_id)
        return found is not None

    async def start_session(
        self, user: UserRecord, *, method: Method, user_agent: str | None, address: str | None
    ) -> LiveSession:
        session_id, token = uuid.uuid4(), _refresh_token()
        async with self._connection() as connection:
            row = await connection.fetchrow(
                _statement("start_session"), session_id, uuid.UUID(user.id), token, method, user_agent, address
            )
        if row is None:
            raise _user_vanished()
        amr = [{"method": method, "timestamp": row["signed_in_at"]}]
        return LiveSession(id=session_id, user=_user(row), refresh_token=token, amr=amr)

    async def refresh(self, token: str, rules: ReuseRules) -> LiveSession:
        """The session of a refresh token, with the token to use next. Raises AuthError for one that cannot be used."""
        async with self._connection() as connection:
            async with connection.transaction():
                session = await connection.fetchrow(_statement("lock_session_of_token"), token)
                if session is None:
                    raise AuthError(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found")
                if session["is_over"]:
                    raise AuthError(400, "session_expired", "Invalid Refresh Token: Session Expired")
                user = await connection.fetchrow(_statement("user_by_id"), session["user_id"])
                if user is None:
                    raise _user_vanished()
                record = _user(user)
                if record.is_banned(datetime.now(UTC)):
                    raise AuthError(400, "user_banned", "Invalid Refresh Token: User Banned")
                next_token = await _next_token(connection, session["id"], token, rules)
            # Raised only here, because the revocation itself must be committed.
            if next_token is None:
                raise AuthError(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used")
        amr = orjson.loads(session["amr"]) if session["amr"] else []
        return LiveSession(id=session["id"], user=record, refresh_token=next_token, amr=amr)

    async def end_sessions(self, user_id: uuid.UUID, scope: SignOutScope, session_id: uuid.UUID | None) -> None:
        """Sign out; a token without a session of its own can only mean everywhere."""
        meant = scope if session_id is not None else "global"
        async with self._connection() as connection:
            await connection.execute(_statement("end_sessions"), user_id, meant, session_id)

    async def _find(self, statement: str, key: object) -> UserRecord | None:
        async with self._connection() as connection:
            row = await connection.fetchrow(_statement(statement), key)
        return _user(row) if row else None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.acquire(timeout=WAIT_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise DatabaseAwayError(str(error)) from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)


@asynccontextmanager
async def open_store(endpoint: Endpoint) -> AsyncIterator[AuthStore]:
    """A store over a pool that connects when first needed: a database away for a moment delays us, and no more."""
    pool = asyncpg.create_pool(
        endpoint.dsn(Login.AUTH),
        min_size=0,
        max_size=POOL_SIZE,
        timeout=WAIT_SECONDS,
        command_timeout=WAIT_SECONDS,
        server_settings={"timezone": "UTC", "application_name": "minibase auth"},
    )
    async with pool:
        yield AuthStore(pool)


async def _next_token(connection: Connection, session_id: uuid.UUID, presented: str, rules: ReuseRules) -> str | None:
    rows = await connection.fetch(_statement("tokens_of_session"), session_id, presented)
    tokens = [StoredToken(**dict(row)) for row in rows]
    active = next((each for each in tokens if not each.revoked), None)
    outcome = judge_refresh(next(each for each in tokens if each.token == presented), active, rules)
    match outcome:
        case Rotate():
            child = _refresh_token()
            await connection.execute(_statement("rotate_token"), session_id, presented, child)
            return child
        case Repeat(token):
            return token
        case RevokeFamily():
            await connection.execute(_statement("revoke_tokens"), session_id)
            return None
        case Refuse():
            return None
        case _:
            assert_never(outcome)


@cache
def _statement(name: str) -> str:
    return files("minibase").joinpath("sql", "queries", f"auth_{name}.sql").read_text(encoding="utf-8")


def _refresh_token() -> str:
    """Twelve characters of lower-case base32: sixty random bits, the form of GoTrue's first scheme."""
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(12))


def _user(row: asyncpg.Record) -> UserRecord:
    return UserRecord(row=orjson.loads(row["user"]), identities=orjson.loads(row["identities"]))


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _user_vanished() -> AuthError:
    return AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
