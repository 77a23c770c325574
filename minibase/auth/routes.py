"""What anybody may call: sign up, sign in, refresh, sign out, and read or change oneself."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from minibase.auth.attempts import AttemptLimit
from minibase.auth.bodies import PasswordGrant, RefreshGrant, SignUp, UserChange
from minibase.auth.caller import require_user
from minibase.auth.errors import AuthError, invalid_credentials, too_many_requests, validation_failed
from minibase.auth.passwords import PasswordHasher, check_new_password
from minibase.auth.requests import address_of, read_body
from minibase.auth.store import AuthStore, LiveSession, Method, NewUser, SignOutScope, UserPatch
from minibase.auth.tokens import ReuseRules, access_claims, render_session
from minibase.auth.users import SHOWN_WHEN_SET, UserRecord, render_user
from minibase.config import Config
from minibase.keys import Keyring

EMAIL_METADATA = {"provider": "email", "providers": ["email"]}


class PublicRoutes:
    """The endpoints of a project's users."""

    def __init__(
        self, *, store: AuthStore, keyring: Keyring, config: Config, hasher: PasswordHasher, attempts: AttemptLimit
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._config = config
        self._hasher = hasher
        self._attempts = attempts
        self._issuer = f"http://127.0.0.1:{config.api_port}/auth/v1"

    def routes(self) -> list[Route]:
        return [
            Route("/signup", self.sign_up, methods=["POST"]),
            Route("/token", self.token, methods=["POST"]),
            Route("/user", self.get_user, methods=["GET"]),
            Route("/user", self.change_user, methods=["PUT"]),
            Route("/logout", self.sign_out, methods=["POST"]),
            Route("/settings", self.settings, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
            Route("/.well-known/jwks.json", self.jwks, methods=["GET"]),
        ]

    async def sign_up(self, request: Request) -> Response:
        body = await read_body(request, SignUp)
        if body.phone:
            raise AuthError(400, "phone_provider_disabled", "Phone signups are disabled")
        if body.email is None and not self._config.enable_anonymous_sign_ins:
            raise AuthError(422, "anonymous_provider_disabled", "Anonymous sign-ins are disabled")
        if not self._config.enable_signup:
            raise AuthError(422, "signup_disabled", "Signups not allowed for this instance")
        self._spend_attempt(request)
        if body.email is None:
            return await self._sign_up_anonymous(request, body.data or {})
        return await self._sign_up_with_email(request, body.email, body)

    async def token(self, request: Request) -> Response:
        grant = request.query_params.get("grant_type")
        match grant:
            case "password":
                return await self._sign_in(request)
            case "refresh_token":
                return await self._refresh(request)
            case _:
                raise AuthError(400, "invalid_credentials", "unsupported_grant_type")

    async def get_user(self, request: Request) -> Response:
        caller = await require_user(request, self._keyring, self._store)
        return JSONResponse(render_user(caller.user))

    async def change_user(self, request: Request) -> Response:
        caller = await require_user(request, self._keyring, self._store)
        body = await read_body(request, UserChange)
        changes_email = body.email is not None and body.email != caller.user.row["email"]
        if changes_email and self._config.enable_confirmations:
            message = "Changing the e-mail address needs a confirmation mail, which this server does not send"
            raise AuthError(422, "email_provider_disabled", message)
        patch = UserPatch(
            email=body.email if changes_email else None,
            confirm=changes_email,
            password_hash=await self._changed_password(caller.user, body.password),
            user_metadata=body.data,
            session_to_keep=caller.session_id,
        )
        changed = await self._store.update(caller.user_id, patch)
        if changed is None:
            raise AuthError(403, "user_not_found", "User from sub claim in JWT does not exist")
        return JSONResponse(render_user(changed))

    async def sign_out(self, request: Request) -> Response:
        scope = request.query_params.get("scope", "global")
        if scope not in get_args(SignOutScope):
            raise validation_failed(f"Unsupported logout scope {scope[:40]!r}; write global, local or others")
        caller = await require_user(request, self._keyring, self._store)
        await self._store.end_sessions(caller.user_id, cast("SignOutScope", scope), caller.session_id)
        return Response(status_code=204)

    async def settings(self, _: Request) -> Response:
        return JSONResponse(
            {
                "external": {
                    "anonymous_users": self._config.enable_anonymous_sign_ins,
                    "email": True,
                    "phone": False,
                },
                "disable_signup": not self._config.enable_signup,
                "mailer_autoconfirm": not self._config.enable_confirmations,
                "phone_autoconfirm": False,
                "sms_provider": "",
                "saml_enabled": False,
            }
        )

    async def health(self, _: Request) -> Response:
        return JSONResponse({"version": "minibase", "name": "GoTrue", "description": "minibase's subset of GoTrue"})

    async def jwks(self, _: Request) -> Response:
        return JSONResponse(self._keyring.jwks(), headers={"cache-control": "public, max-age=600"})

    async def _sign_up_anonymous(self, request: Request, data: dict[str, Any]) -> Response:
        new = NewUser(
            id=uuid.uuid4(),
            role="authenticated",
            email=None,
            password_hash=None,
            confirmed=False,
            app_metadata={},
            user_metadata=data,
        )
        user = await self._store.create(new)
        if user is None:
            raise AuthError(500, "unexpected_failure", "Database error creating anonymous user")
        return await self._start_session(request, user, "anonymous")

    async def _sign_up_with_email(self, request: Request, email: str, body: SignUp) -> Response:
        if not body.password:
            raise validation_failed("Signup requires a valid password")
        check_new_password(body.password, minimum_length=self._config.minimum_password_length)
        confirmed = not self._config.enable_confirmations
        new = NewUser(
            id=uuid.uuid4(),
            role="authenticated",
            email=email,
            password_hash=await self._hasher.hash(body.password),
            confirmed=confirmed,
            app_metadata=EMAIL_METADATA,
            user_metadata=body.data or {},
        )
        user = await self._store.create(new)
        if user is None and confirmed:
            raise AuthError(422, "user_already_exists", "User already registered")
        if user is None:
            return JSONResponse(_made_up_user(new))
        if not confirmed:
            return JSONResponse(render_user(user))
        return await self._start_session(request, user, "password")

    async def _sign_in(self, request: Request) -> Response:
        body = await read_body(request, PasswordGrant)
        if body.phone:
            raise AuthError(400, "phone_provider_disabled", "Phone logins are disabled")
        if not body.email:
            raise validation_failed("missing email or phone")
        self._refuse_too_many(request)
        user = await self._store.find_by_email(body.email.strip())
        fits = await self._hasher.matches(body.password, user.password_hash if user else None)
        if user is None or not fits:
            self._attempts.charge(address_of(request), time.monotonic())
            raise invalid_credentials()
        if user.is_banned(datetime.now(UTC)):
            raise AuthError(400, "user_banned", "User is banned")
        if not user.is_confirmed:
            raise AuthError(400, "email_not_confirmed", "Email not confirmed")
        return await self._start_session(request, user, "password")

    async def _refresh(self, request: Request) -> Response:
        body = await read_body(request, RefreshGrant)
        if not body.refresh_token:
            raise validation_failed("refresh_token required")
        rules = ReuseRules(
            interval=self._config.refresh_token_reuse_interval, ends_family=self._config.enable_refresh_token_rotation
        )
        session = await self._store.refresh(body.refresh_token, rules)
        return self._session_response(session)

    async def _start_session(self, request: Request, user: UserRecord, method: Method) -> Response:
        session = await self._store.start_session(
            user, method=method, user_agent=request.headers.get("user-agent"), address=address_of(request) or None
        )
        return self._session_response(session)

    def _session_response(self, session: LiveSession) -> Response:
        now, life = int(time.time()), self._config.jwt_expiry
        claims = access_claims(
            session.user, session_id=str(session.id), amr=session.amr, issuer=self._issuer, now=now, life=life
        )
        token = self._keyring.sign_access_token(claims)
        return JSONResponse(
            render_session(session.user, access_token=token, refresh_token=session.refresh_token, now=now, life=life),
            headers={"cache-control": "no-store"},
        )

    async def _changed_password(self, user: UserRecord, password: str | None) -> str | None:
        if password is None:
            return None
        check_new_password(password, minimum_length=self._config.minimum_password_length)
        if await self._hasher.matches(password, user.password_hash):
            message = "New password should be different from the old password."
            raise AuthError(422, "same_password", message)
        return await self._hasher.hash(password)

    def _refuse_too_many(self, request: Request) -> None:
        if not self._attempts.allows(address_of(request), time.monotonic()):
            raise too_many_requests("too many failed sign-ins from this address, try again in a few minutes")

    def _spend_attempt(self, request: Request) -> None:
        self._refuse_too_many(request)
        self._attempts.charge(address_of(request), time.monotonic())


def _made_up_user(new: NewUser) -> dict[str, Any]:
    """The answer to a repeated sign-up that waits for confirmation: it must not tell that the address is taken."""
    now = datetime.now(UTC).isoformat()
    row = dict.fromkeys(("aud", "phone", *SHOWN_WHEN_SET)) | {
        "id": str(new.id),
        "email": new.email,
        "role": new.role,
        "raw_app_meta_data": new.app_metadata,
        "raw_user_meta_data": new.user_metadata,
        "created_at": now,
        "updated_at": now,
        "is_anonymous": False,
    }
    return render_user(UserRecord(row=row, identities=[]))
