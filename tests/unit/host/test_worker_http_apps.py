"""ASGI and WSGI apps, large bodies and output bindings, in real workers."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from perdure.host.protocol.messages import HttpAnswer, InvocationFailed
from tests.unit.host.worker_world import world


def run(scenario, root: Path, app: str | None, **options) -> None:
    async def within() -> None:
        async with world(root, app, **options) as made:
            await asyncio.wait_for(scenario(made), 50)

    asyncio.run(within())


ASGI = """
import asyncio, json
import azure.functions as func
events = []
async def web(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            events.append(event["type"])
            if event["type"] == "lifespan.startup":
                await asyncio.sleep(0.05)
            else:
                open("ended", "w").close()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    body = (await receive())["body"]
    name = scope["azure_functions.function_name"]
    told = {"path": scope["path"], "events": events, "body": body.decode(), "name": name}
    await send({"type": "http.response.start", "status": 203, "headers": [(b"x-a", b"1")]})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
app = func.AsgiFunctionApp(app=web, http_auth_level=func.AuthLevel.ANONYMOUS)
"""

WSGI = """
import azure.functions as func
def web(environ, start_response):
    if environ["PATH_INFO"].endswith("bad"):
        environ["wsgi.errors"].write("went wrong")
    start_response("200 OK", [("X-A", "1")])
    return [environ["REQUEST_METHOD"].encode(), environ["wsgi.input"].read()]
app = func.WsgiFunctionApp(app=web, http_auth_level=func.AuthLevel.ANONYMOUS)
"""


def test_an_asgi_app_starts_once_and_is_ended(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(ASGI)

    async def scenario(w) -> None:
        assert w.app.functions[0].trigger == "httptrigger" and w.app.functions[0].is_async
        answers = await asyncio.gather(*(w.http("http_app_func", b"in") for _ in range(5)))
        for answer in answers:
            assert isinstance(answer, HttpAnswer) and answer.status == 203 and ("x-a", "1") in answer.headers
            assert json.loads(answer.body) == {
                "path": "/api/http_app_func",
                "events": ["lifespan.startup"],
                "body": "in",
                "name": "http_app_func",
            }

    run(scenario, tmp_path, None)
    assert (tmp_path / "ended").exists()


def test_an_asgi_app_that_does_not_start(tmp_path: Path) -> None:
    text = ASGI.replace('event["type"] + ".complete"', 'event["type"] + ".failed"')
    (tmp_path / "function_app.py").write_text(text)

    async def scenario(w) -> None:
        answer = await w.http("http_app_func")
        assert isinstance(answer, InvocationFailed) and answer.failure.message == "ASGI middleware startup failed."

    run(scenario, tmp_path, None)


def test_a_wsgi_app(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(WSGI)

    async def scenario(w) -> None:
        answer = await w.http("http_app_func", b"-in")
        assert isinstance(answer, HttpAnswer) and answer.body == b"POST-in" and ("x-a", "1") in answer.headers
        bad = await w.supervisor.calls.invoke_http("http_app_func", "GET", "http://localhost/api/bad", [], {}, {}, b"")
        assert isinstance(bad, InvocationFailed)
        # the library puts a line end after every letter
        assert bad.failure.message.replace("\n", "") == "went wrong"

    run(scenario, tmp_path, None)


def test_outputs_that_go_nowhere_are_told_once(tmp_path: Path) -> None:
    app = """
@app.route("r")
@app.queue_output(arg_name="out", queue_name="q", connection="C")
@app.blob_output(arg_name="unused", path="p", connection="C")
def r(req, out: func.Out[str], unused: func.Out[str]):
    out.set([1, 2])
    return "done"
@app.queue_trigger(arg_name="m", queue_name="q", connection="C")
@app.event_hub_output(arg_name="$return", event_hub_name="e", connection="C")
def q(m): return object()
"""

    async def scenario(w) -> None:
        for _ in range(3):
            assert (await w.http("r")).body == b"done"
            await w.supervisor.calls.invoke_trigger("q", "x")
        assert [line for line in w.lines if "not delivered" in line] == [
            "Function r gave values to its output binding out (queue), which is not delivered here.",
            "Function q gave values to its output binding $return (eventHub), which is not delivered here.",
        ]

    run(scenario, tmp_path, app)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_100_megabytes_are_held_three_times_at_most(tmp_path: Path) -> None:
    app = '@app.route("echo")\ndef echo(req): return func.HttpResponse(req.get_body())\n'
    size = 100 * 1024 * 1024

    def peak(pid: int) -> int:
        text = Path(f"/proc/{pid}/status").read_text()
        return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024

    async def scenario(w) -> None:
        await w.http("echo", b"warm")
        worker = peak(w.app.pid)
        Path("/proc/self/clear_refs").write_text("5")
        host = peak("self")  # type: ignore[arg-type]
        answer = await w.http("echo", bytes(size))
        assert len(answer.body) == size
        held = peak(w.app.pid) - worker + peak("self") - host  # type: ignore[arg-type]
        # the request's body here and there, and the answer's here: the worker returns what it got
        assert held < 3.1 * size, held / size

    run(scenario, tmp_path, app)
