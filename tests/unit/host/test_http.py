"""The HTTP front over a real server: what functions get, what clients get back, limits."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import select
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import httpx
import pytest

from perdure.host.errors import StartError
from perdure.host.functions.routing import RouteTable
from perdure.host.http.server import open_sockets
from perdure.host.protocol.messages import HttpAnswer, InvocationFailed
from perdure.host.settings.config import Flags
from perdure.model.failure import FailureDetails
from tests.unit.host.front_fakes import Running, configured, running

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def routes(prefix: str = "api") -> RouteTable:
    table = RouteTable(prefix)
    table.add("Items", "items/{id:int}/{*rest}", ["GET", "POST"])
    table.add("Any", None, [])
    return table


def ready(server: Running) -> None:
    server.front.serve(routes())


@pytest.fixture
def front(tmp_path: Path) -> Iterator[tuple[Running, httpx.Client]]:
    with running(configured(tmp_path), ready) as made:
        yield made


def test_what_a_function_gets(front: tuple[Running, httpx.Client]) -> None:
    server, client = front
    client.headers = httpx.Headers(
        [("X-One", "1"), ("x-one", "2"), ("traceparent", CALLER), ("tracestate", "a=1"), ("Host", "me.example")]
    )
    answer = client.post("/API/Items/7/a%20b/c?q=1&q=2&empty=&flag&plus=a+b", content=b"body\x00")
    assert answer.status_code == 200
    (call,) = server.workers.calls
    assert (call.function, call.method, call.body) == ("Items", "POST", b"body\x00")
    assert call.url == "http://me.example/API/Items/7/a b/c?q=1&q=2&empty=&flag&plus=a+b"
    assert call.params == {"q": "1,2", "plus": "a b"}
    assert call.route_params == {"id": "7", "rest": "a b/c"}
    assert dict(call.headers)["x-one"] == "1,2"
    assert call.trace == f"{CALLER} a=1"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/api/items/7"), ("GET", "/api/items/x"), ("GET", "/any"), ("GET", "/api"), ("GET", "/x")],
)
def test_everything_else_is_a_404_without_body(front: tuple[Running, httpx.Client], method: str, path: str) -> None:
    answer = front[1].request(method, path)
    assert (answer.status_code, answer.content) == (404, b"")
    assert "content-type" not in answer.headers


def test_answers_pass_as_they_are(front: tuple[Running, httpx.Client]) -> None:
    server, client = front
    headers = [("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("Content-Length", "99"), ("x-line", "a\r\nevil: 1")]
    server.workers.answer = lambda call: HttpAnswer(call.invocation, 418, headers, "tea é".encode())
    answer = client.get("/api/any")
    assert (answer.status_code, answer.text) == (418, "tea é")
    assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
    assert "evil" not in answer.headers
    server.workers.answer = lambda call: HttpAnswer(call.invocation, 204, [], b"ignored")
    assert client.get("/api/any").content == b""


def test_failed_function_is_an_empty_500(front: tuple[Running, httpx.Client]) -> None:
    server, client = front
    server.workers.answer = lambda call: InvocationFailed(call.invocation, FailureDetails("ValueError", "secret"))
    answer = client.get("/api/any")
    assert (answer.status_code, answer.content) == (500, b"")


def test_defect_of_the_host_is_logged_and_answered(front: tuple[Running, httpx.Client]) -> None:
    server, client = front

    def broken(call: Any) -> HttpAnswer:
        raise RuntimeError("defect")

    server.workers.answer = broken
    assert client.get("/api/any").status_code == 500
    assert "GET /api/any failed in the host:" in server.records[0].text
    assert "RuntimeError: defect" in server.records[0].text


def test_custom_headers(tmp_path: Path) -> None:
    host = json.dumps({"version": "2.0", "extensions": {"http": {"customHeaders": {"X-All": "yes", "X-Own": "no"}}}})
    with running(configured(tmp_path, host), ready) as (server, client):
        server.workers.answer = lambda call: HttpAnswer(call.invocation, 200, [("x-own", "mine")], b"")
        answer = client.get("/api/any")
        assert (answer.headers["x-all"], answer.headers["x-own"]) == ("yes", "mine")
        assert "x-all" not in client.get("/").headers


def test_body_limit(tmp_path: Path) -> None:
    with running(configured(tmp_path, FUNCTIONS_REQUEST_BODY_SIZE_LIMIT="10"), ready) as (server, client):
        assert client.post("/api/any", content=b"x" * 10).status_code == 200
        assert client.post("/api/any", content=b"x" * 11).status_code == 413
        assert client.post("/api/any", content=iter([b"x" * 6, b"x" * 6])).status_code == 413
        assert len(server.workers.calls) == 1


def hold(server: Running) -> None:
    server.workers.hold = asyncio.Event()


def wait_for_calls(server: Running, count: int) -> None:
    async def until() -> None:
        while len(server.workers.calls) < count:
            await asyncio.sleep(0.005)

    server.run(until())


def test_outstanding_requests_are_bounded(tmp_path: Path) -> None:
    host = '{"version": "2.0", "extensions": {"http": {"maxOutstandingRequests": 2, "maxConcurrentRequests": 1}}}'
    with running(configured(tmp_path, host), ready) as (server, client), ThreadPoolExecutor() as pool:
        server.call(hold, server)
        first = [pool.submit(httpx.get, f"http://127.0.0.1:{server.port}/api/any") for _ in range(2)]

        async def both_wait() -> None:
            while server.front.outstanding < 2:
                await asyncio.sleep(0.005)

        server.run(both_wait())
        assert len(server.workers.calls) == 1
        refused = client.get("/api/any")
        assert (refused.status_code, refused.headers["x-function-scaleout"]) == (429, "1")
        assert client.get("/").status_code == 200
        server.call(lambda: server.workers.hold and server.workers.hold.set())
        assert [future.result().status_code for future in first] == [200, 200]


def test_homepage(front: tuple[Running, httpx.Client], tmp_path: Path) -> None:
    answer = front[1].get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    with running(configured(tmp_path, AzureWebJobsDisableHomepage="true"), ready) as (_, client):
        assert client.get("/").status_code == 204


def test_function_at_the_root_wins_over_the_homepage(tmp_path: Path) -> None:
    with running(configured(tmp_path), lambda server: server.front.serve(root_table())) as (_, client):
        assert client.get("/").text == "ok"


def root_table() -> RouteTable:
    table = RouteTable("")
    table.add("Everything", "{*route}", [])
    return table


def test_requests_wait_for_the_host_then_get_503(tmp_path: Path) -> None:
    with running(configured(tmp_path), lambda server: server.front.pause(0.05)) as (server, client):
        answer = client.get("/api/any")
        assert (answer.status_code, answer.text) == (503, "Function host is not running.")
        server.call(server.front.pause, 10.0)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(httpx.get, f"http://127.0.0.1:{server.port}/api/any")
            server.call(server.front.serve, routes())
            assert waiting.result().status_code == 200


@pytest.mark.parametrize(
    ("cors", "credentials", "origin", "allowed"),
    [
        ("https://a.example,https://b.example", False, "https://b.example", "https://b.example"),
        ("https://a.example", False, "https://c.example", None),
        ("*", False, "https://c.example", "*"),
        ("*", True, "https://c.example", "https://c.example"),
    ],
)
def test_cors(tmp_path: Path, cors: str, credentials: bool, origin: str, allowed: str | None) -> None:
    flags = Flags(cors=cors, cors_credentials=credentials)
    with running(configured(tmp_path, flags=flags), ready) as (server, client):
        answer = client.get("/api/any", headers={"Origin": origin})
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert ("access-control-allow-credentials" in answer.headers) == credentials
        preflight = client.options(
            "/api/any",
            headers={"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-a"},
        )
        assert preflight.status_code == 204
        origins = preflight.headers.get_list("access-control-allow-origin")
        assert origins == ([] if allowed is None else [allowed]), "browsers refuse an answer that names two"
        assert preflight.headers.get("access-control-allow-methods") == (None if allowed is None else "PUT")
        assert len(server.workers.calls) == 1


def test_a_request_that_is_cut_off_when_the_server_stops_says_so(front: tuple[Running, httpx.Client]) -> None:
    server, client = front
    begun = threading.Event()

    async def never(*_: Any) -> HttpAnswer:
        begun.set()
        return await asyncio.Event().wait()  # type: ignore[return-value]

    server.workers.invoke_http = never  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.get, "/api/any")
        assert begun.wait(10)
        server.call(lambda: [task.cancel() for task in asyncio.all_tasks() if "run_asgi" in repr(task)])
        assert (answer.result().status_code, answer.result().text) == (503, "Function host is not running.")


def test_localhost_is_both_loopback_addresses(front: tuple[Running, httpx.Client]) -> None:
    server, _ = front
    assert httpx.get(f"http://127.0.0.1:{server.port}/api/any").status_code == 200
    if socket.has_ipv6:
        assert httpx.get(f"http://[::1]:{server.port}/api/any").status_code == 200


def test_port_in_use() -> None:
    sockets = open_sockets("127.0.0.1", 0)
    port = sockets[0].getsockname()[1]
    with pytest.raises(StartError) as caught:
        open_sockets("127.0.0.1", port)
    assert str(caught.value) == (
        f"Port {port} is unavailable. Close the process using that port, or specify another port using --port [-p]."
    )
    for opened in sockets:
        opened.close()


def test_address_of_another_machine() -> None:
    with pytest.raises(
        StartError, match=r"Invalid --address value '192\.0\.2\.1'\. This machine has no such address\."
    ):
        open_sockets("192.0.2.1", 0)


@pytest.mark.parametrize("head", [b"GET /" + b"a" * 65536, b"GET / HTTP/1.1\r\nX: " + b"a" * 65536, None])
def test_headers_without_end_are_refused(front: tuple[Running, httpx.Client], head: bytes | None) -> None:
    _, client = front
    address = ("127.0.0.1", client.base_url.port)
    with socket.create_connection(address, 10) as sock:
        sock.sendall(b"GET /api/any HTTP/1.1\r\nHost: x\r\n\r\n")
        first = HTTPResponse(sock)
        first.begin()
        assert (first.status, first.read()) == (200, b"ok"), "the headers of one request are not those of another"
        lines = itertools.repeat(b"X: 1\r\n" * 1000) if head is None else itertools.repeat(b"a" * 1000)
        sock.sendall(b"GET / HTTP/1.1\r\n" if head is None else head)
        with contextlib.suppress(ConnectionError):
            for _, more in zip(range(10_000), lines, strict=False):
                sock.sendall(more)
                if select.select([sock], [], [], 0)[0]:
                    break
        answer = sock.recv(65536)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n"), answer[:100]
    assert answer.endswith(b"Request line and headers have more than 65536 bytes.")


def test_headers_may_be_large_and_a_body_larger(front: tuple[Running, httpx.Client]) -> None:
    server, client = front
    answer = client.post("/api/any", content=b"b" * 1_000_000, headers={"X": "a" * 60_000})
    assert answer.status_code == 200
    (call,) = server.workers.calls
    assert (len(call.body or b""), len(dict(call.headers)["x"])) == (1_000_000, 60_000)
