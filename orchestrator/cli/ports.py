"""Ports, on the loopback address unless told otherwise: given, the usual one, or any free one, then remembered."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import Literal

import click

from orchestrator.cli.errors import CliError, ExitCode

HOST = "127.0.0.1"
Choice = int | Literal["auto"]


class PortType(click.ParamType[Choice]):
    """An option's value: a port number, or `auto`."""

    name = "PORT|auto"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Choice:
        """The number or `auto`; fails with a usage error for anything else."""
        text = str(value)
        if text == "auto":
            return "auto"
        if not (text.isdecimal() and 1 <= int(text) <= 65535):
            self.fail(f"{text!r} is not a port; give a number from 1 to 65535, or auto", param, ctx)
        return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What a port is for, and the option that changes it."""

    name: str
    option: str


def listen(choice: Choice, use: Use, remembered: int | None = None, host: str = HOST) -> socket.socket:
    """A bound socket: on the port given, or for `auto` on the remembered port if it is free, else on any.

    Raises CliError, naming port and option, where the port given is taken, and where `host` is not this machine's.
    """
    if choice != "auto":
        return _bind(choice, use, host)
    if remembered is not None:
        try:
            return _bind(remembered, use, host)
        except CliError:
            pass  # somebody else took it in the meantime; `auto` promises a free port, not the same one
    return _bind(0, use, host)


def port_of(listener: socket.socket) -> int:
    """The port a socket is bound to."""
    port: int = listener.getsockname()[1]
    return port


def url_of(listener: socket.socket) -> str:
    """The address a browser on this machine would use."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(port: int, use: Use, host: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        # Binding alone does not clash with a socket that is bound with SO_REUSEADDR and listens.
        listener.listen(128)
    except OSError as error:
        listener.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise CliError(
                f"the address {host!r} for {use.name} is not this machine's; write 127.0.0.1, or 0.0.0.0 for all",
                ExitCode.USAGE,
            ) from error
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        why = "is already in use" if error.errno == errno.EADDRINUSE else "needs more rights than this user has"
        raise CliError(
            f"port {port} for {use.name} {why}; free it, or choose another: {use.option} NUMBER or {use.option} auto",
            ExitCode.BUSY,
        ) from error
    return listener
