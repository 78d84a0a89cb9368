"""The HTTP front: one ASGI application that gives each request to a function, the webhook API or the admin API."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import unquote

from perdure.host.functions.routing import RouteTable
from perdure.host.http.cors import Cors
from perdure.host.http.exchange import BodyTooLarge, ClientGone, Handler, Request, Response
from perdure.host.http.health import PREFIX as HEALTH_PATH
from perdure.host.http.homepage import HOMEPAGE
from perdure.host.http.links import WEBHOOK_PATH
from perdure.host.logs.log import ERROR, HostLog
from perdure.host.protocol.messages import HttpAnswer, InvocationFailed
from perdure.host.settings.config import HostConfig

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

_NOT_FOUND = Response(404)
_FAILED = Response(500)
_BUSY = Response(429, b"", [(b"x-function-scaleout", b"1")])
_NOT_RUNNING = Response(503, b"Function host is not running.", [(b"content-type", b"text/plain; charset=utf-8")])
_TOO_LARGE = Response(413, b"", [(b"connection", b"close")])
_NO_BODY = frozenset({204, 205, 304})
_OURS = frozenset({"content-length", "transfer-encoding"})
#: how long a request waits for a host that starts or reloads, in seconds
READY_WAIT = 30.0


class FunctionRunner(Protocol):
    """Runs HTTP functions in workers."""

    async def invoke_http(
        self,
        function: str,
        method: str,
        url: str,
        headers: list[tuple[str, str]],
        params: dict[str, str],
        route_params: dict[str, str],
        body: bytes,
        trace: str | None = None,
    ) -> HttpAnswer | InvocationFailed:
        """Run to the end. A failure is an answer, not an exception."""


class Front:
    """The ASGI application. `serve` opens it; until then, and after `pause`, requests wait and then get a 503."""

    def __init__(self, config: HostConfig, log: HostLog, runner: FunctionRunner) -> None:
        self._log = log
        self._runner = runner
        self._management: Handler | None = None
        self._admin: Handler | None = None
        self._health: Callable[[Request], Response] | None = None
        self._at: dict[str, Handler] = {}
        self._routes = RouteTable(config.route_prefix)
        self._ready = asyncio.Event()
        self._ready_wait = READY_WAIT
        self._outstanding = 0
        self.configure(config)

    def configure(self, config: HostConfig) -> None:
        """Take limits and headers from this configuration from now on."""
        self._limit = config.body_limit
        self._forwarded = config.use_forwarded_host
        self._homepage = config.homepage
        self._cors = Cors(config.cors, config.cors_credentials)
        self._custom = [
            (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
            for name, value in config.custom_headers.items()
        ]
        self._most_outstanding = config.max_outstanding_requests
        concurrent = config.max_concurrent_requests
        self._slots = asyncio.Semaphore(concurrent) if concurrent > 0 else None

    def watch(self, health: Callable[[Request], Response]) -> None:
        """Give probes to this, at any time."""
        self._health = health

    def answer_at(self, path: str, handler: Handler) -> None:
        """Give requests for this path (below /runtime/, lower case) to this, also while the host starts or stops."""
        self._at[path] = handler

    def attach(self, admin: Handler, management: Handler) -> None:
        """Give requests below /admin and below the webhook path to these."""
        self._admin, self._management = admin, management

    def serve(self, routes: RouteTable) -> None:
        """Answer requests of functions by these routes from now on."""
        self._routes = routes
        self._ready.set()

    def pause(self, wait: float = READY_WAIT) -> None:
        """Let requests wait up to `wait` seconds until `serve` is called again."""
        self._ready.clear()
        self._ready_wait = wait

    @property
    def outstanding(self) -> int:
        """HTTP functions under way or waiting."""
        return self._outstanding

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request of the server."""
        request = Request(scope, receive, self._limit)
        try:
            response = await self._respond(request)
        except BodyTooLarge:
            response = _TOO_LARGE
        except ClientGone:
            return
        except asyncio.CancelledError:
            # the server cancels what is still under way when it stops, and nothing else does
            response = _NOT_RUNNING
        except Exception as error:  # noqa: BLE001 - one request must not end the connection of others unanswered
            trace = "".join(traceback.format_exception(error)).rstrip()
            self._log.write("Host.Http", ERROR, f"{request.method} {request.path} failed in the host:\n{trace}")
            response = _FAILED
        status, body, headers = response
        if self._cors.enabled:
            headers = headers + self._cors.headers(request)
        if status in _NO_BODY:
            body = b""
        else:
            headers = [*headers, (b"content-length", str(len(body)).encode("ascii"))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, request: Request) -> Response:
        path = request.path
        if self._cors.enabled:
            preflight = self._cors.preflight(request)
            if preflight is not None:
                return preflight
        if path[:7].lower() == "/admin/":
            return _NOT_RUNNING if self._admin is None else await self._admin(request)
        if self._health is not None and path[: len(HEALTH_PATH)].lower() == HEALTH_PATH:
            return self._health(request)
        below_runtime = path[:9].lower() == "/runtime/"
        if below_runtime and (handler := self._at.get(path.lower())) is not None:
            return await handler(request)
        if not self._ready.is_set() and not await self._becomes_ready():
            return _NOT_RUNNING
        if below_runtime:
            below = path[len(WEBHOOK_PATH) : len(WEBHOOK_PATH) + 1]
            if self._management is None or path[: len(WEBHOOK_PATH)].lower() != WEBHOOK_PATH or below not in ("", "/"):
                return _NOT_FOUND
            return await self._management(request)
        found = self._routes.match(request.method, path)
        if found is not None:
            return await self._call(request, *found)
        if path in ("/", "") and request.method in ("GET", "HEAD"):
            return HOMEPAGE if self._homepage else Response(204)
        return _NOT_FOUND

    async def _becomes_ready(self) -> bool:
        try:
            await asyncio.wait_for(self._ready.wait(), self._ready_wait)
        except (TimeoutError, asyncio.TimeoutError):
            return False
        return True

    async def _call(self, request: Request, function: str, route_params: dict[str, str]) -> Response:
        if 0 <= self._most_outstanding <= self._outstanding:
            return _BUSY
        self._outstanding += 1
        try:
            if self._slots is None:
                return await self._run(request, function, route_params)
            async with self._slots:
                return await self._run(request, function, route_params)
        finally:
            self._outstanding -= 1

    async def _run(self, request: Request, function: str, route_params: dict[str, str]) -> Response:
        headers = request.headers
        query = request.raw_query.decode("latin-1")
        path = unquote(request.raw_path.decode("latin-1"))
        answer = await self._runner.invoke_http(
            function,
            request.method,
            f"{request.origin(self._forwarded)}{path}{'?' + query if query else ''}",
            list(headers.items()),
            joined(request.query()),
            route_params,
            await request.body(),
            request.trace,
        )
        if isinstance(answer, InvocationFailed):
            return Response(500, b"", list(self._custom))
        return self._response(answer)

    def _response(self, answer: HttpAnswer) -> Response:
        headers = [
            (name.encode("latin-1", "replace"), _one_line(value))
            for name, value in answer.headers
            if name.lower() not in _OURS
        ]
        if self._custom:
            named = {name.lower() for name, _ in headers}
            headers += [header for header in self._custom if header[0] not in named]
        return Response(answer.status, answer.body, headers)


def joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Query values by name: repeated ones joined by commas, empty ones left out."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if value:
            values[name] = f"{values[name]},{value}" if name in values else value
    return values


def _one_line(value: str) -> bytes:
    """A header's value; line breaks would end the header and begin another."""
    return value.replace("\r", " ").replace("\n", " ").encode("latin-1", "replace")
