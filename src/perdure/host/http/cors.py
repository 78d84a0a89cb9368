"""Answers to pages of other origins (--cors, --cors-credentials)."""

from __future__ import annotations

from perdure.host.http.exchange import Headers, Request, Response

_PREFLIGHT = b"access-control-request-method"


class Cors:
    """Which origins may read answers. Without origins nothing is added."""

    def __init__(self, origins: tuple[str, ...], credentials: bool) -> None:
        self._any = "*" in origins
        self._origins = frozenset(origin.lower() for origin in origins)
        self._credentials = credentials

    @property
    def enabled(self) -> bool:
        """Whether any origin is allowed."""
        return bool(self._origins)

    def preflight(self, request: Request) -> Response | None:
        """The answer to a preflight request, None for every other one; it gets `headers` as every answer does."""
        method = request.header(_PREFLIGHT)
        if request.method != "OPTIONS" or method is None or request.header(b"origin") is None:
            return None
        headers: Headers = []
        if self.headers(request):
            headers.append((b"access-control-allow-methods", method))
            wanted = request.header(b"access-control-request-headers")
            if wanted is not None:
                headers.append((b"access-control-allow-headers", wanted))
        return Response(204, b"", headers)

    def headers(self, request: Request) -> Headers:
        """The headers that an answer gets; none for an origin that is not allowed."""
        origin = request.header(b"origin")
        if origin is None:
            return []
        if self._any and not self._credentials:
            return [(b"access-control-allow-origin", b"*")]
        if not self._any and origin.decode("latin-1").lower() not in self._origins:
            return []
        headers = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        if self._credentials:
            headers.append((b"access-control-allow-credentials", b"true"))
        return headers
