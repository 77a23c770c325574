"""What only the service role may call: the users of the project."""

from __future__ import annotations

import secrets
import uuid
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minibase.auth.bodies import AdminUser, Deletion, parse_ban, parse_user_id
from minibase.auth.caller import require_admin
from minibase.auth.errors import AuthError, user_not_found, validation_failed
from minibase.auth.passwords import PasswordHasher, check_new_password, check_password_hash
from minibase.auth.requests import read_body
from minibase.auth.store import AuthStore, NewUser, UserPatch
from minibase.auth.users import render_user
from minibase.config import Config
from minibase.keys import Keyring

DEFAULT_PAGE_SIZE = 50
LARGEST_PAGE = 1_000
LAST_PAGE = 10_000_000
MOST_DIGITS = 8


class AdminRoutes:
    """The endpoints of a project's administrators."""

    def __init__(self, *, store: AuthStore, keyring: Keyring, config: Config, hasher: PasswordHasher) -> None:
        self._store = store
        self._keyring = keyring
        self._config = config
        self._hasher = hasher

    def routes(self) -> list[Route]:
        return [
            Route("/admin/users", self.list_users, methods=["GET"]),
            Route("/admin/users", self.create_user, methods=["POST"]),
            Route("/admin/users/{user_id}", self.get_user, methods=["GET"]),
            Route("/admin/users/{user_id}", self.update_user, methods=["PUT"]),
            Route("/admin/users/{user_id}", self.delete_user, methods=["DELETE"]),
        ]

    async def list_users(self, request: Request) -> Response:
        require_admin(request, self._keyring)
        page = _positive(request, "page", default=1, most=LAST_PAGE)
        size = _positive(request, "per_page", default=DEFAULT_PAGE_SIZE, most=LARGEST_PAGE)
        users, total = await self._store.page(size=size, offset=(page - 1) * size)
        return JSONResponse(
            {"users": [render_user(user) for user in users], "aud": "authenticated"},
            headers={"x-total-count": str(total), "link": page_links(page=page, size=size, total=total)},
        )

    async def create_user(self, request: Request) -> Response:
        require_admin(request, self._keyring)
        body = await read_body(request, AdminUser)
        _refuse_phone(body)
        if body.email is None:
            raise validation_failed("Cannot create a user without an email")
        new = NewUser(
            id=parse_user_id(body.id) if body.id else uuid.uuid4(),
            role=body.role or "authenticated",
            email=body.email,
            password_hash=await self._password_hash(body) or await self._hasher.hash(secrets.token_urlsafe(32)),
            confirmed=bool(body.email_confirm),
            app_metadata={"provider": "email", "providers": ["email"], **(body.app_metadata or {})},
            user_metadata=body.user_metadata or {},
            banned_until=_ban_end(body.ban_duration),
        )
        user = await self._store.create(new)
        if user is None:
            raise AuthError(422, "email_exists", "A user with this email address has already been registered")
        return JSONResponse(render_user(user))

    async def get_user(self, request: Request) -> Response:
        require_admin(request, self._keyring)
        user = await self._store.find_by_id(parse_user_id(request.path_params["user_id"]))
        if user is None:
            raise user_not_found()
        return JSONResponse(render_user(user))

    async def update_user(self, request: Request) -> Response:
        require_admin(request, self._keyring)
        user_id = parse_user_id(request.path_params["user_id"])
        body = await read_body(request, AdminUser)
        _refuse_phone(body)
        patch = UserPatch(
            email=body.email,
            password_hash=await self._password_hash(body),
            confirm=bool(body.email_confirm),
            app_metadata=body.app_metadata,
            user_metadata=body.user_metadata,
            lifts_or_sets_ban=body.ban_duration is not None,
            banned_until=_ban_end(body.ban_duration),
            role=body.role or None,
        )
        user = await self._store.update(user_id, patch)
        if user is None:
            raise user_not_found()
        return JSONResponse(render_user(user))

    async def delete_user(self, request: Request) -> Response:
        require_admin(request, self._keyring)
        user_id = parse_user_id(request.path_params["user_id"])
        body = await read_body(request, Deletion)
        if not await self._store.delete(user_id, keep_row=body.should_soft_delete):
            raise user_not_found()
        return JSONResponse({})

    async def _password_hash(self, body: AdminUser) -> str | None:
        if body.password and body.password_hash:
            raise validation_failed("Only a password or a password hash should be provided")
        if body.password_hash:
            check_password_hash(body.password_hash)
            return body.password_hash
        if not body.password:
            return None
        check_new_password(body.password, minimum_length=self._config.minimum_password_length)
        return await self._hasher.hash(body.password)


def page_links(*, page: int, size: int, total: int) -> str:
    """The Link header of one page; `page` comes first, because auth-js cuts the number out by position."""
    last = max(1, -(-total // size))
    links = [(page + 1, "next")] if page < last else []
    return ", ".join(
        f'</admin/users?page={number}&per_page={size}>; rel="{relation}"'
        for number, relation in [*links, (last, "last")]
    )


def _positive(request: Request, name: str, *, default: int, most: int) -> int:
    given = request.query_params.get(name, "")
    if not given:
        return default
    is_number = given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS
    if not is_number or not 1 <= int(given) <= most:
        raise validation_failed(f"{name} is {given[:40]!r}, but must be a whole number from 1 to {most}")
    return int(given)


def _refuse_phone(body: AdminUser) -> None:
    if body.phone:
        raise validation_failed("Users with a phone number are not supported by this server")


def _ban_end(duration: str | None) -> datetime | None:
    if not duration:
        return None
    try:
        length = parse_ban(duration)
    except ValueError as error:
        raise validation_failed(str(error)) from error
    return None if length is None else datetime.now(UTC) + length
