"""Sockets of the host and the server that reads HTTP from them."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from email.utils import formatdate
from typing import Any

from perdure.host.errors import StartError

_BACKLOG = 2048
_LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0")
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL})
_TRIES = 20


def open_sockets(address: str, port: int) -> list[socket.socket]:
    """Listening sockets on `address`; `localhost` is answered on 127.0.0.1 and ::1. Port 0 takes a free one.

    Raises `StartError` that says what is wrong with the port or the address.
    """
    first = "127.0.0.1" if address.lower() == "localhost" else address
    for attempt in range(_TRIES):
        main = _listening(first, port)
        if address.lower() not in _LOOPBACK:
            return [main]
        try:
            second = _listening("::1", main.getsockname()[1])
        except _NoSuchAddress:
            return [main]
        except StartError:
            main.close()
            if port == 0 and attempt < _TRIES - 1:
                continue
            raise
        return [main, second]
    raise AssertionError("unreachable: the last attempt returns or raises")


class _NoSuchAddress(StartError):
    """This machine does not have the address."""


def _listening(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _NoSuchAddress(f"This machine cannot use the address {address}: {error.strerror}.") from None
    try:
        if sys.platform == "win32":
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        opened.bind((address, port))
        opened.listen(_BACKLOG)
        opened.setblocking(False)
    except OSError as error:
        opened.close()
        raise _explained(error, address, port) from None
    return opened


def _explained(error: OSError, address: str, port: int) -> StartError:
    if error.errno in _NO_IPV6:
        return _NoSuchAddress(f"Invalid --address value '{address}'. This machine has no such address.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return StartError(f"Port {port} may not be used by this user. Specify another port using --port [-p].")
    return StartError(
        f"Port {port} is unavailable. Close the process using that port, or specify another port using --port [-p]."
    )


class HttpServer:
    """An HTTP server for one ASGI application on given sockets."""

    def __init__(self, app: Any, *, ssl: dict[str, Any] | None = None) -> None:
        import uvicorn

        from perdure.host.http_protocol import BoundedHttp

        self._config = uvicorn.Config(
            app,
            loop="none",
            http=BoundedHttp,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            backlog=_BACKLOG,
            timeout_keep_alive=120,
            **(ssl or {}),
        )
        self._server = uvicorn.Server(self._config)
        self._sockets: list[socket.socket] = []
        self._date: asyncio.TimerHandle | None = None
        self.started = False

    async def start(self, sockets: list[socket.socket]) -> None:
        """Answer requests from now on."""
        self._sockets = sockets
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        self.started = True
        await self._server.startup(sockets=sockets)
        self._renew_date()

    def _renew_date(self) -> None:
        """The server's own loop would look ten times a second; the date changes once."""
        self._server.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
        self._date = asyncio.get_running_loop().call_later(1.0, self._renew_date)

    async def stop(self, grace: float) -> None:
        """Take no new connection, let answers under way finish for `grace` seconds, close."""
        if self._date is not None:
            self._date.cancel()
        self._config.timeout_graceful_shutdown = max(1, round(grace))
        await self._server.shutdown(sockets=self._sockets)
