"""Breakpoints: a real debugger holds user code longer than every time-out, and nothing runs twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.debug_adapter import DebugClient
from tests.acceptance.host import Host, free_port

APP = """\
import os

import azure.durable_functions as df

app = df.DFApp()


def ran(what):
    with open(os.environ["RUNS_FILE"], "a") as file:
        print(what, file=file)


@app.orchestration_trigger(context_name="context")
def held(context):
    if not context.is_replaying:
        ran("orchestrator")  # line 16
    return (yield context.call_activity("work", "x"))


@app.activity_trigger(input_name="value")
def work(value: str) -> str:
    ran("activity")  # line 22
    return value
"""
#: shorter than the time at a breakpoint
LIMITS = {
    "AzureFunctionsJobHost__functionTimeout": "00:00:01",
    "AzureFunctionsJobHost__extensions__perdure__hostTtl": "00:00:02",
}
HELD = 3.0


@pytest.fixture(params=["--debug", "--language-worker", "languageWorkers__python__arguments"])
def debugged(request: pytest.FixtureRequest, new_host: NewHost, tmp_path: Path) -> Iterator[tuple[Host, DebugClient]]:
    app = tmp_path / "debugged"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(APP)
    port = free_port()
    settings = {**LIMITS, "RUNS_FILE": str(tmp_path / "runs.txt"), "FUNCTIONS_WORKER_PROCESS_COUNT": "2"}
    debugpy = f"-m debugpy --listen 127.0.0.1:{port}"
    args: tuple[str, ...] = ()
    if request.param == "--debug":
        args = ("--debug", str(port))
    elif request.param == "--language-worker":
        args = ("--language-worker", debugpy)
    else:
        settings[request.param] = debugpy
    host = new_host(app, settings=settings, args=args).start()
    client = DebugClient(port)
    yield host, client
    client.close()


def test_breakpoints_hold_an_orchestrator_and_an_activity(debugged: tuple[Host, DebugClient], tmp_path: Path) -> None:
    host, client = debugged
    client.attach({str(host.app / "function_app.py"): [16, 22]})
    host.begin_webhook("held", None, "held")
    for line in (16, 22):
        thread, stopped = client.stopped_at()
        assert stopped == line
        time.sleep(HELD)
        assert host.get("/admin/host/status").json()["state"] == "Running", "the host answers meanwhile"
        client.go_on(thread)
    assert host.completed("held") == "x"
    assert (tmp_path / "runs.txt").read_text().split() == ["orchestrator", "activity"], host.log()
    assert "without reaching a yield" not in host.log(), "whoever stands at a breakpoint knows"
    assert "file changes do not reload the app" in host.log(), "a second worker could not listen on the same port"
    assert host.log().count("Host started") == 1
