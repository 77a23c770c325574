"""The commands' door to Supabase: supabase-py, with its errors told in one sentence each."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.errors import CliError, ExitCode
from orchestrator.groups import leaves

if TYPE_CHECKING:
    from postgrest.exceptions import APIError
    from supabase import Client

    from orchestrator.cli.target import Target

REQUEST_TIMEOUT_S = 20

# PostgREST's and the gateway's words for "this key is not accepted".
_KEY_CODES = frozenset({"PGRST301", "PGRST302", "PGRST303", "401", "42501"})
# A restart, an outage behind the gateway, too many connections: passes by itself.
_PASSING = ("08", "53", "57", "58", "PGRST00")
_MISSING_TABLE_CODES = frozenset({"PGRST205", "PGRST202", "42P01"})


@contextmanager
def connect(target: Target, *, key: str | None = None) -> Iterator[Client]:
    """A supabase-py client for `target` with the service key, or with `key`.

    Whatever supabase-py raises inside the block leaves it as a CliError of one sentence.
    """
    # The import takes longer than most commands: `--help` and wrong arguments must not wait for it.
    import httpx
    from supabase import Client, ClientOptions

    logging.getLogger("httpx").setLevel(logging.WARNING)

    def refuse_web_page(response: httpx.Response) -> None:
        # postgrest-py would hand the page on as if it were rows.
        if response.is_success and response.headers.get("content-type", "").startswith("text/html"):
            raise CliError(
                f"{target.url} answers with a web page, not as Supabase's API does; check SUPABASE_URL",
                ExitCode.NO_SUPABASE,
            )

    with (
        one_sentence(target),
        httpx.Client(timeout=REQUEST_TIMEOUT_S, event_hooks={"response": [refuse_web_page]}) as http,
    ):
        options = ClientOptions(
            httpx_client=http, postgrest_client_retry=False, auto_refresh_token=False, persist_session=False
        )
        yield Client(target.url, key or target.service_key, options)


@contextmanager
def one_sentence(target: Target) -> Iterator[None]:
    """Whatever the official clients raise inside the block, alone or among others, leaves it as a CliError."""
    try:
        yield
    except Exception as error:
        for leaf in leaves(error):
            told = _told(leaf, target)
            if told is not None:
                raise told from error
        raise


def _told(error: BaseException, target: Target) -> CliError | None:
    import httpx
    from postgrest.exceptions import APIError
    from supabase import SupabaseException
    from supabase_auth.errors import AuthError

    match error:
        case SupabaseException():
            return CliError(f"supabase-py refuses the settings of {target.url}: {error.message}", ExitCode.USAGE)
        case APIError():
            return _told_by_the_api(error, target)
        case AuthError():
            code = ExitCode.NO_SUPABASE if getattr(error, "status", None) in {401, 403} else ExitCode.REFUSED
            return CliError(f"{target.url} refused: {error.message}", code)
        case httpx.TimeoutException():
            return CliError(
                f"Supabase at {target.url} did not answer within {REQUEST_TIMEOUT_S} s; check that it is healthy",
                ExitCode.NO_SUPABASE,
            )
        case httpx.TransportError():
            return CliError(
                f"cannot reach Supabase at {target.url} ({error}); check the address, or start one with `stackbeat up`",
                ExitCode.NO_SUPABASE,
            )
        case _:
            return None


def _told_by_the_api(error: APIError, target: Target) -> CliError:
    code, message = str(error.code or ""), (error.message or "no reason given").strip().rstrip(".")
    if code in _KEY_CODES or "api key" in message.lower():
        return CliError(
            f"Supabase at {target.url} does not accept the service key ({message}); check SUPABASE_SERVICE_ROLE_KEY",
            ExitCode.NO_SUPABASE,
        )
    if code in _MISSING_TABLE_CODES:
        return CliError(
            f"Supabase at {target.url} lacks Stackbeat's tables ({message}); apply supabase/migrations first",
            ExitCode.NO_SUPABASE,
        )
    if code.startswith(_PASSING) or (code.isdigit() and len(code) == 3 and code >= "500"):
        return CliError(
            f"Supabase at {target.url} cannot answer right now ({code}: {message}); try again soon",
            ExitCode.NO_SUPABASE,
        )
    return CliError(f"Supabase refused: {message}", ExitCode.REFUSED)
