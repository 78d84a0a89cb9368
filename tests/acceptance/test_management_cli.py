"""The command line beside a running host: over its store, and over its address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.host import APPS, WEBHOOK, Host, eventually


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    made = Host(APPS / "managed", tmp_path_factory.mktemp("cli"))
    try:
        yield made.start()
    finally:
        made.close()


def run(host: Host, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PERDURE_")}
    return subprocess.run(
        [sys.executable, "-m", "perdure", *words],
        cwd=host.app,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def durable(host: Host, *words: str) -> Any:
    ended = run(host, "durable", *words, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_a_life(host: Host) -> None:
    started = durable(host, "start-new", "--function-name", "waiting", "--id", "life", "--input", '{"a": 1}')
    assert started["OrchestrationInstance"]["InstanceId"] == "life"
    eventually(lambda: (host.status("life") or {}).get("customStatus") == "waits")
    why = run(host, "durable", "why", "life").stdout
    assert "function_app.py:" in why
    assert "It waits for the event 'go' since " in why
    durable(host, "suspend", "life", "--reason", "lunch")
    eventually(lambda: (host.status("life") or {})["runtimeStatus"] == "Suspended")
    assert "(lunch)" in run(host, "durable", "why", "life").stdout
    durable(host, "resume", "life")
    durable(host, "raise-event", "life", "--event-name", "go", "--event-data", "[1, 2]")
    state = durable(host, "wait", "life", "--timeout", "10")
    assert (state["RuntimeStatus"], state["OrchestrationStatus"], state["Output"]) == ("Completed", 1, "[1, 2]")
    events = [event["EventType"] for event in durable(host, "get-history", "life")]
    assert [e for e in events if e != "OrchestratorStarted"] == [
        "ExecutionStarted", "ExecutionSuspended", "ExecutionResumed", "EventRaised", "ExecutionCompleted",
    ]  # fmt: skip


def test_failure_rewind_terminate_purge(host: Host) -> None:
    run(host, "durable", "start-new", "--function-name", "failing", "--id", "f1")
    assert run(host, "durable", "wait", "f1", "--timeout", "10").returncode == 1
    out = run(host, "durable", "rewind", "--id", "f1").stdout.splitlines()
    assert out[0] == "Rewind message sent to instance 'f1'. Retrieving new status now..."
    assert out[1] == "Status before rewind: Failed"
    host.begin_webhook("waiting", None, "t1")
    ended = run(host, "durable", "terminate", "--id", "t1", "--reason", "enough")
    assert ended.stdout.splitlines()[-1] == "Successfully terminated 't1'"
    assert host.finished("t1")["output"] == "enough"
    assert durable(host, "purge-history", "--id", "t1", "--yes") == {"InstancesDeleted": 1}
    assert run(host, "durable", "get-runtime-status", "t1").returncode == 4


def test_entities(host: Host) -> None:
    run(host, "durable", "signal-entity", "@counter@a", "--operation", "add", "--input", "5")
    eventually(lambda: host.get(f"{WEBHOOK}/entities/counter/a").status_code == 200)
    assert run(host, "durable", "get-entity", "@counter@a").stdout == "5\n"
    assert [entity["EntityId"] for entity in durable(host, "list-entities")] == [{"Name": "counter", "Key": "a"}]


def test_over_the_address_of_the_host(host: Host) -> None:
    to = ("--url", host.url)
    durable(host, "start-new", "--function-name", "waiting", "--id", "remote", *to)
    assert "doesn't exist" in run(host, "durable", "start-new", "--function-name", "wating", *to).stderr
    assert durable(host, "get-runtime-status", "remote", *to)["Name"] == "waiting"
    durable(host, "raise-event", "remote", "--event-name", "go", *to)
    assert durable(host, "wait", "remote", "--timeout", "10", *to)["RuntimeStatus"] == "Completed"
    assert durable(host, "get-history", "remote", *to)[0]["EventType"] == "OrchestratorStarted"


def test_a_host_that_has_been_idle_notices_at_once(host: Host) -> None:
    import perdure

    store = f"sqlite:///{host.app}/.perdure/TestHubName.db"
    delays = []
    for number in range(5):
        time.sleep(1.1)
        with perdure.client(store, sync=True) as client:
            client.start_new("echo", f"notice-{number}")
            begun = time.monotonic()
            while client.get_status(f"notice-{number}").runtime_status.value == "Pending":
                time.sleep(0.002)
            delays.append(time.monotonic() - begun)
    assert sorted(delays)[2] < 0.05, delays


def test_the_log_is_kept(host: Host) -> None:
    host.begin_webhook("echo", None, "logged")
    host.finished("logged")
    shown = eventually(lambda: run(host, "logs", "--instance", "logged").stdout)
    assert "Executing 'Functions.echo'" in shown
