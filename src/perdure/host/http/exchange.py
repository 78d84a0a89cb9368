"""One HTTP request and its response, as the parts of the front see them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, unquote_plus

import msgspec

from perdure.model.trace_context import read

Headers = list[tuple[bytes, bytes]]
JSON_TYPE = (b"content-type", b"application/json; charset=utf-8")


class Response(NamedTuple):
    """An answer whose body is whole."""

    status: int
    body: bytes = b""
    headers: Headers = []


class BodyTooLarge(Exception):
    """The request's body is above the limit."""


class ClientGone(Exception):
    """The connection was closed before the request was complete."""


class Request:
    """One request over ASGI. Header names are lower case; names in `query` are as sent."""

    __slots__ = ("_headers", "_receive", "limit", "method", "path", "raw_path", "raw_query", "scope")

    def __init__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], limit: int) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope["raw_path"]
        self.raw_query: bytes = scope["query_string"]
        self.limit = limit
        self._receive = receive
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; a repeated one joined by commas."""
        if self._headers is None:
            self._headers = {}
            for raw_name, raw_value in self.scope["headers"]:
                name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
                known = self._headers.get(name)
                self._headers[name] = value if known is None else f"{known},{value}"
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """The first header of this lower-case name."""
        return next((value for key, value in self.scope["headers"] if key == name), None)

    @property
    def trace(self) -> str | None:
        """The trace context that the caller gave, see `model.trace_context`."""
        parent = self.headers.get("traceparent")
        return None if parent is None else read(parent, self.headers.get("tracestate"))

    def query(self) -> list[tuple[str, str]]:
        """Names and values; a name without `=` is left out."""
        if not self.raw_query:
            return []
        pairs = (part.partition("=") for part in self.raw_query.decode("latin-1").split("&"))
        return [(unquote_plus(name), unquote_plus(value)) for name, equals, value in pairs if equals]

    def segments(self) -> list[str]:
        """The decoded segments of the path, without empty ones at its ends."""
        return [unquote(part) for part in self.raw_path.decode("latin-1").strip("/").split("/")]

    async def body(self) -> bytes:
        """The whole body. Raises `BodyTooLarge` or `ClientGone`."""
        announced = self.header(b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > self.limit:
            raise BodyTooLarge
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            whole: bytes = message.get("body", b"")
            if len(whole) > self.limit:
                raise BodyTooLarge
            return whole
        collected = bytearray()
        while True:
            if message["type"] != "http.request":
                raise ClientGone
            collected += message.get("body", b"")
            if len(collected) > self.limit:
                raise BodyTooLarge
            if not message.get("more_body"):
                return bytes(collected)
            message = await self._receive()

    async def gone(self) -> None:
        """Wait until the client has closed the connection. What is left of the body is dropped."""
        while (await self._receive())["type"] == "http.request":
            pass

    def address(self, forwarded: bool) -> str:
        """Where the request comes from; `forwarded` believes X-Forwarded-For."""
        client = self.scope.get("client")
        address = client[0] if client else "unknown"
        said = self.headers.get("x-forwarded-for") if forwarded else None
        return f"{said.split(',')[0].strip()} through {address}" if said else address

    def origin(self, forwarded: bool) -> str:
        """Scheme and authority that the client used; `forwarded` believes X-Forwarded-Host and X-Forwarded-Proto."""
        if forwarded:
            scheme, authority = self._first(b"x-forwarded-proto"), self._first(b"x-forwarded-host")
            if _SCHEME.fullmatch(scheme) and _AUTHORITY.fullmatch(authority):
                return f"{scheme}://{authority}"
        scheme, authority = self.scope.get("scheme", "http"), (self.header(b"host") or b"").decode("latin-1")
        if not _AUTHORITY.fullmatch(authority):
            host, port = self.scope.get("server") or ("localhost", 80)
            authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return f"{scheme}://{authority}"

    def _first(self, name: bytes) -> str:
        """The first of the values that a header lists."""
        return (self.header(name) or b"").split(b",")[0].strip().decode("latin-1")


class Handler(Protocol):
    """Answers one request."""

    async def __call__(self, request: Request) -> Response: ...


def json_response(status: int, value: Any, headers: Headers | None = None) -> Response:
    """A compact JSON answer."""
    return Response(status, msgspec.json.encode(value), [JSON_TYPE, *(headers or ())])


#: what may stand in a URL; anything else in a header would break the links that are made of it
_SCHEME = re.compile(r"https?", re.IGNORECASE)
_AUTHORITY = re.compile(r"[A-Za-z0-9._~%:\[\]-]+")
_MEDIA_TYPE = re.compile(r"\s*([^;\s]+)")


def media_type(content_type: str | None) -> str:
    """The media type of a Content-Type header, in lower case, without parameters."""
    match = _MEDIA_TYPE.match(content_type or "")
    return match.group(1).lower() if match else ""
