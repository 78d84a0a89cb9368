"""The request behind `call_http`, against a server of this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from perdure.host.worker import durable_http
from perdure.host.worker.durable_http import HttpNotAllowedError, call, is_allowed


class Echo(BaseHTTPRequestHandler):
    def answer(self) -> None:
        size = int(self.headers.get("content-length", 0))
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": self.rfile.read(size).decode(),
        }
        status = int(self.path.split("/")[1])
        self.send_response(status)
        if status in (301, 302, 303, 307, 308):
            self.send_header("Location", "/" + self.path.split("/", 2)[2])
        self.send_header("X-Two", "1")
        self.send_header("X-Two", "2")
        self.send_header("X-One", "1")
        self.send_header("Content-Type", "application/json")
        body = json.dumps(seen).encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def send(base: str, path: str, allow: list[str] | None = None, **fields: object) -> dict:
    text = json.dumps({"method": "POST", "uri": base + path, **fields})
    return call(text, allow if allow is not None else ["*"])


@pytest.mark.parametrize("status", [200, 202, 404, 500])
def test_every_answer_is_a_result(base: str, status: int) -> None:
    got = send(base, f"/{status}/x", content='{"a": 1}', headers={"X-Mine": "y"})
    assert got["statusCode"] == status
    seen = json.loads(got["content"])
    assert (seen["method"], seen["body"], seen["headers"]["x-mine"]) == ("POST", '{"a": 1}', "y")
    assert seen["headers"]["content-type"] == "text/plain; charset=utf-8"


def test_headers_of_the_answer(base: str) -> None:
    headers = send(base, "/200/x")["headers"]
    assert headers["X-Two"] == ["1", "2"] and headers["X-One"] == "1"
    assert not {"content-type", "content-length"} & {name.lower() for name in headers}


def test_content_type_is_kept_and_multipart_refused(base: str) -> None:
    seen = json.loads(send(base, "/200/x", content="{}", headers={"Content-Type": "application/json"})["content"])
    assert seen["headers"]["content-type"] == "application/json"
    with pytest.raises(ValueError, match="multipart"):
        send(base, "/200/x", content="x", headers={"content-type": "multipart/form-data"})


def test_redirects(base: str) -> None:
    kept = json.loads(send(base, "/307/200/x", content="b")["content"])
    assert (kept["method"], kept["path"], kept["body"]) == ("POST", "/200/x", "b")
    turned = json.loads(send(base, "/302/200/x", content="b")["content"])
    assert (turned["method"], turned["body"]) == ("GET", "")


def test_where_it_may_go(base: str) -> None:
    assert send(base, "/200/x", allow=["127.0.0.1"])["statusCode"] == 200
    with pytest.raises(HttpNotAllowedError, match=r"may not go to http://127.*httpAllow is \[\"\*\.example\.com\"\]"):
        send(base, "/200/x", allow=["*.example.com"])
    with pytest.raises(HttpNotAllowedError, match="/200/y"):
        send(base, "/307/200/y", allow=[base + "/307/*"])


@pytest.mark.parametrize(
    ("uri", "pattern", "expected"),
    [
        ("https://a.example.com/x", "*.example.com", True),
        ("https://example.com.evil.org/x", "example.com", False),
        ("https://evil.org/example.com", "*.example.com", False),
        ("https://user@evil.org/", "user", False),
        ("https://example.com:8443/x", "example.com:8443", True),
        ("https://example.com:8443/x", "example.com:443", False),
        ("https://EXAMPLE.com/v1/a", "https://example.com/v1", True),
        ("http://example.com/v1/a", "https://example.com/v1", False),
        ("https://example.com/v2", "https://example.com/v1", False),
        ("https://example.com:99999/", "example.org", False),
    ],
)
def test_patterns(uri: str, pattern: str, expected: bool) -> None:
    assert is_allowed(uri, [pattern]) is expected


def test_tokens(base: str) -> None:
    asked: list = []
    durable_http.set_token_provider(lambda source: asked.append(source) or "secret")
    try:
        source = {"kind": "AzureManagedIdentity", "resource": "https://r"}
        seen = json.loads(send(base, "/200/x", tokenSource=source)["content"])
    finally:
        durable_http.set_token_provider(None)
    assert seen["headers"]["authorization"] == "Bearer secret" and asked == [source]


def test_no_answer_and_no_url() -> None:
    with pytest.raises(OSError, match="refused"):
        call('{"method": "GET", "uri": "http://127.0.0.1:9/"}', ["*"])
    with pytest.raises(ValueError, match="absolute http or https URL, got 'file:///etc/passwd'"):
        call('{"method": "GET", "uri": "file:///etc/passwd"}', ["*"])
