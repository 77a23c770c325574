"""The dashboard's web server: the built files, where their Supabase is, and what a page may do.

The page itself talks to Supabase directly with supabase-js; nothing of a stack passes through here.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

# An artifact is a page written by a model. It runs in a frame of this document: scripts of its own, but an origin of
# its own too (sandbox without allow-same-origin), and no way to the network, to forms or to its parent's storage.
FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:; font-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
# Vite puts a hash of the content into the name of everything under assets/.
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Stackbeat: dashboard not built</title>
<body><h1>The dashboard is not built</h1><p>Run <code>./scripts/up --setup-only</code> in the project's folder, then
reload this page. The stacks run meanwhile; <code>stackbeat ls</code> shows them.</p></body></html>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the dashboard has to know: the address of its Supabase as the browser sees it, and the public key."""

    supabase_url: str
    publishable_key: str


def find_dashboard() -> Path | None:
    """The folder of the built dashboard: the one in the wheel, else the one of this checkout; None if not built."""
    package = Path(__file__).resolve().parent
    candidates = (package / "data" / "dashboard", package.parent / "dashboard" / "dist")
    return next((folder for folder in candidates if (folder / "index.html").is_file()), None)


def page_policy(supabase_url: str) -> str:
    """The Content-Security-Policy of the dashboard: own files, and connections to its Supabase only."""
    parts = urlsplit(supabase_url)
    web_socket = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    return (
        "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"connect-src 'self' {parts.scheme}://{parts.netloc} {web_socket}; frame-src 'self'; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def build(page: Page, dashboard: Path | None) -> Starlette:
    """The ASGI application that serves `dashboard`, or a page that says how to build it where that is None."""
    policy = page_policy(page.supabase_url)
    root = dashboard.resolve() if dashboard is not None else None

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n", headers={"Cache-Control": "no-store"})

    async def config(_: Request) -> Response:
        values = {"supabaseUrl": page.supabase_url, "publishableKey": page.publishable_key}
        return JSONResponse(values, headers=_headers(policy, "no-store"))

    async def file(request: Request) -> Response:
        path = request.path_params["path"]
        if root is None:
            return HTMLResponse(_NOT_BUILT, status_code=503, headers=_headers(policy, "no-store"))
        found = await anyio.to_thread.run_sync(_find_file, root, path)
        if found is None:
            raise HTTPException(404, f"there is no file /{path}")
        chosen_policy = FRAME_POLICY if found == root / "frame.html" else policy
        caching = IMMUTABLE if found.parent == root / "assets" else REVALIDATE
        return FileResponse(found, headers=_headers(chosen_policy, caching))

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/config.json", config), Route("/{path:path}", file)],
    )


def _find_file(root: Path, path: str) -> Path | None:
    """The file a path names; the page itself for a path that belongs to the page's own router."""
    wanted = (root / path).resolve()
    if wanted.is_relative_to(root) and wanted.is_file() and not wanted.name.startswith("."):
        return wanted
    # A missing script must be a 404, or the browser takes HTML for it; a page's address has no suffix.
    is_page = "." not in path.rsplit("/", 1)[-1] and not path.startswith("assets/")
    return root / "index.html" if is_page else None


def _headers(policy: str, caching: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": caching,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "X-DNS-Prefetch-Control": "off",  # a name looked up is a message sent; no policy word covers it
    }


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The signals belong to the command that runs this server beside other things.
        yield


@asynccontextmanager
async def serve(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on a bound socket while the block runs; the socket is closed afterwards."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_serve_until_told, server, listener)
        try:
            yield
        finally:
            server.should_exit = True


async def _serve_until_told(server: _Server, listener: socket.socket) -> None:
    with anyio.CancelScope(shield=True):  # ends by `should_exit`, within its grace time, never half-way
        await server.serve([listener])
