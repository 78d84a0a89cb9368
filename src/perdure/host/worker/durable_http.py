"""The activity behind `call_http`: one request, as the published host sends it (sdk-api.md 4.13).

Polling of 202 answers belongs to the orchestrator, which comes back for each poll.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from perdure.model.trace_context import headers as trace_headers

#: the name that history shows
NAME = "BuiltIn::HttpActivity"
TIMEOUT_SECONDS = 100.0
_MOST_REDIRECTS = 50
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_HEADERS = frozenset(
    {
        "allow",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-location",
        "content-md5",
        "content-range",
        "content-type",
        "expires",
        "last-modified",
    }
)
#: headers that never follow to another origin
_PRIVATE = frozenset({"authorization", "cookie", "proxy-authorization", "x-functions-key"})

TokenProvider = Callable[[dict[str, Any]], str]
_token_provider: TokenProvider | None = None


class HttpNotAllowedError(Exception):
    """A durable HTTP call, or a redirect of it, goes where `httpAllow` does not."""


def set_token_provider(provider: TokenProvider | None) -> None:
    """`provider` gets a token source as JSON (`{"kind", "resource"}`) and gives the bearer token."""
    global _token_provider
    _token_provider = provider


def is_allowed(uri: str, patterns: list[str]) -> bool:
    """Whether `uri` matches one of `patterns`: `*`, a host (`*.example.com`, `example.com:8080`) or a URL pattern."""
    parts = urlsplit(uri)
    host, full = (parts.hostname or "").lower(), f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path}"
    try:
        with_port = f"{host}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    except ValueError:
        return False
    for pattern in patterns:
        wanted = pattern.lower()
        if wanted == "*":
            return True
        if "://" in wanted:
            if any(fnmatch.fnmatchcase(full.lower(), form) for form in (wanted, wanted.rstrip("/") + "/*")):
                return True
        elif fnmatch.fnmatchcase(host, wanted) or fnmatch.fnmatchcase(with_port, wanted):
            return True
    return False


def call(text: str | None, allow: list[str], trace: str | None = None) -> dict[str, Any]:
    """Send the request that `text` describes and give `{"statusCode", "headers", "content"}`. It names the span of
    `trace` as the caller's, unless the request says whose it is.

    Raises ValueError for a request that cannot be sent, `HttpNotAllowedError`, OSError when there is no answer.
    """
    request = {name.lower(): value for name, value in json.loads(text or "{}").items()}
    method, uri = str(request.get("method") or "GET").upper(), str(request.get("uri") or "")
    if urlsplit(uri).scheme not in ("http", "https"):
        raise ValueError(f"call_http needs an absolute http or https URL, got {uri!r}.")
    headers = _request_headers(request.get("headers") or {})
    given = frozenset(headers)
    for name, value in zip(("traceparent", "tracestate"), trace_headers(trace), strict=True):
        if value and "traceparent" not in given:
            headers[name] = value
    content = request.get("content")
    body = None if content is None else str(content).encode()
    kind = headers.get("content-type", "")
    if kind.lower().startswith("multipart/"):
        raise ValueError("call_http does not send multipart content.")
    if body is not None and not kind:
        headers["content-type"] = "text/plain; charset=utf-8"
    source = request.get("tokensource")
    if source:
        headers["authorization"] = f"Bearer {_token(source)}"
    return _send(method, uri, headers, body, allow)


def _request_headers(written: dict[str, Any]) -> dict[str, str]:
    return {
        name.lower(): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in written.items()
    }


def _token(source: dict[str, Any]) -> str:
    if _token_provider is not None:
        return _token_provider(source)
    try:
        from azure.identity import DefaultAzureCredential  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ValueError(
            f"call_http was asked for a token for {source.get('resource')!r}: "
            "pip install azure-identity, or give tokens by "
            "perdure.host.worker.durable_http.set_token_provider(provider) in the app."
        ) from None
    resource = str(source.get("resource", "")).rstrip("/")
    token: str = DefaultAzureCredential().get_token(f"{resource}/.default").token
    return token


def _send(method: str, uri: str, headers: dict[str, str], body: bytes | None, allow: list[str]) -> dict[str, Any]:
    """Send, following redirects as browsers and the published host do; each address is checked."""
    for _ in range(_MOST_REDIRECTS):
        if not is_allowed(uri, allow):
            raise HttpNotAllowedError(
                f"Durable HTTP may not go to {uri}: extensions.perdure.httpAllow is {json.dumps(allow)}."
            )
        status, pairs, content = _exchange(method, uri, headers, body)
        location = next((value for name, value in pairs if name.lower() == "location"), None)
        if status not in _REDIRECTS or not location:
            return {"statusCode": status, "headers": _response_headers(pairs), "content": content}
        target = urljoin(uri, location)
        if urlsplit(uri).scheme == "https" and urlsplit(target).scheme != "https":
            return {"statusCode": status, "headers": _response_headers(pairs), "content": content}
        if urlsplit(target)[:2] != urlsplit(uri)[:2]:
            headers = {name: value for name, value in headers.items() if name not in _PRIVATE}
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
            headers = {name: value for name, value in headers.items() if not name.startswith("content-")}
        uri = target
    raise OSError(f"call_http followed {_MOST_REDIRECTS} redirects without an answer; the last was {uri}.")


def _exchange(
    method: str, uri: str, headers: dict[str, str], body: bytes | None
) -> tuple[int, list[tuple[str, str]], str]:
    """One request on a connection of its own, through the proxy that the environment names."""
    import urllib.request

    class Plain(urllib.request.HTTPErrorProcessor):
        """Every answer is a result."""

        def http_response(self, request: Any, response: Any) -> Any:
            return response

        https_response = http_response

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        Plain(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(uri, data=body, headers=headers, method=method)
    with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
        charset = response.headers.get_content_charset() or "utf-8"
        raw = response.read()
        try:
            content = raw.decode(charset, "replace")
        except LookupError:
            content = raw.decode("utf-8", "replace")
        return response.status, list(response.headers.items()), content


def _response_headers(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Response headers without content headers; a repeated one is a list."""
    headers: dict[str, Any] = {}
    for name, value in pairs:
        if name.lower() in _CONTENT_HEADERS:
            continue
        if name not in headers:
            headers[name] = value
        elif isinstance(headers[name], list):
            headers[name].append(value)
        else:
            headers[name] = [headers[name], value]
    return headers
