"""Management on both stores: races of singletons over two hosts and a client, commands beside a host, its wake-up."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import perdure
from perdure.host.client_hubs import hub_names
from perdure.host.settings.store_url import parse_store_url
from perdure.model.operations import ExistingPolicy
from tests.acceptance.host import APPS, WEBHOOK, Host, eventually


def durable(store: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "perdure", "durable", *words, "--store", store, "--task-hub-name", "TestHubName"],
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_races_and_commands(new_host: Callable[..., Host], store: str) -> None:
    settings = {"PERDURE_STORE": store}
    early = durable(store, "start-new", "--function-name", "echo", "--id", "early", "--input", "1", "--json")
    assert early.returncode == 0, early.stderr
    assert json.loads(early.stdout)["RuntimeStatus"] == "Pending"
    hosts = [new_host(APPS / "managed", settings=settings) for _ in range(2)]
    for host in hosts:
        host.start()
    one = hosts[0]
    assert one.completed("early") == 1, "started before any host was up"

    with perdure.client(store, task_hub="TestHubName", sync=True) as client:

        def by_http(number: int) -> bool:
            answer = hosts[number % 2].post(f"{WEBHOOK}/orchestrators/waiting/single")
            assert answer.status_code in (202, 500), answer.text
            return answer.status_code == 202

        def by_client(_: int) -> bool:
            try:
                client.start_new("waiting", "single")
            except Exception as error:  # noqa: BLE001 - the documented client raises nothing narrower
                assert "already exists" in str(error)
                return False
            return True

        with ThreadPoolExecutor(25) as pool:
            wins = [pool.submit(by_http if number % 3 else by_client, number) for number in range(50)]
            assert sum(win.result() for win in wins) == 1
        policy = ExistingPolicy.RETURN_EXISTING
        with ThreadPoolExecutor(10) as pool:
            ids = pool.map(
                lambda _: client.schedule_new_orchestration("waiting", instance_id="again", reuse_id_policy=policy),
                range(20),
            )
            assert set(ids) == {"again"}
        assert len(one.get(f"{WEBHOOK}/instances?instanceIdPrefix=again").json()) == 1

    assert "No such" not in durable(store, "why", "single").stdout
    time.sleep(1.2)
    # a host that looks for itself alone finds it half a second later on average; whatever else takes its time here
    # takes it as well for what the host starts itself
    delays: dict[str, list[float]] = {"host": [], "client": []}
    for number in range(9):
        with perdure.client(store, task_hub="TestHubName", sync=True) as client:
            for who, waited in delays.items():
                if who == "client":
                    client.start_new("echo", f"{who}{number}")
                else:
                    one.begin_webhook("echo", None, f"{who}{number}")
                begun = time.monotonic()
                while client.get_status(f"{who}{number}").runtime_status.value == "Pending":
                    time.sleep(0.002)
                waited.append(time.monotonic() - begun)
    assert median(delays["client"]) < median(delays["host"]) + 0.05, delays
    assert durable(store, "raise-event", "single", "--event-name", "go", "--event-data", "7").returncode == 0
    ended = durable(store, "wait", "single", "--timeout", "10", "--json")
    assert json.loads(ended.stdout)["Output"] == "7"
    purged = durable(store, "purge-history", "--yes", "--runtime-status", "completed", "--json")
    assert json.loads(purged.stdout)["InstancesDeleted"] >= 7
    eventually(lambda: one.status("single") is None)
    refused = durable(store, "delete-task-hub", "--yes")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Task hub 'TestHubName' is in use: host ")
    assert one.status("again") is not None, "nothing was deleted"
    hosts[0].stop()
    hosts[1].kill()
    assert durable(store, "signal-entity", "@counter@a", "--operation", "add").returncode == 0
    deleted = durable(store, "delete-task-hub", "--yes", "--json")
    assert deleted.returncode == 0, deleted.stderr
    assert json.loads(deleted.stdout)["InstancesDeleted"] >= 2
    assert hubs(store) == []


def hubs(store: str) -> list[str]:
    """The hubs that a store knows."""
    return hub_names(parse_store_url(store, "test", Path.cwd())) or []


def test_a_store_is_asked_for_its_hubs_and_reading_makes_none(store: str) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "perdure", "durable", *words, "--store", store]
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)

    start = ("start-new", "--function-name", "echo", "--id")
    assert json.loads(run("get-instances", "--task-hub-name", "First", "--json").stdout) == []
    assert run("get-runtime-status", "one").returncode == 4
    assert hubs(store) == []
    assert run(*start, "one", "--task-hub-name", "First").returncode == 0
    assert run("get-runtime-status", "one").returncode == 0, "the only hub of a store needs no name"
    assert run("get-instances", "--task-hub-name", "Other").returncode == 0
    assert hubs(store) == ["First"]
    assert run(*start, "two", "--task-hub-name", "Second").returncode == 0
    several = run("get-runtime-status", "one")
    assert (several.returncode, "holds the task hubs First, Second: give --task-hub-name." in several.stderr) == (
        1,
        True,
    )


def test_who_did_what(new_host: Callable[..., Host], store: str) -> None:
    host = new_host(APPS / "managed", settings={"PERDURE_STORE": store}).start()
    for name in ("a", "b", "c"):
        host.begin_webhook("waiting", None, name)
    eventually(lambda: host.status("a")["customStatus"] == "waits")  # type: ignore[index]
    assert host.post(f"{WEBHOOK}/instances/a/suspend?reason=lunch").status_code == 202
    eventually(lambda: host.status("a")["runtimeStatus"] == "Suspended")  # type: ignore[index]
    assert durable(store, "resume", "a", "--reason", "back").returncode == 0
    with perdure.client(store, task_hub="TestHubName", sync=True) as client:
        client.terminate("a", "enough")
        client.raise_event("b", "go", 1)
    host.finished("a")
    host.finished("b")
    assert host.post(f"{WEBHOOK}/instances/a/terminate?reason=late").status_code == 410
    me = f"{getpass.getuser()}@{socket.gethostname()}"

    def recorded(*words: str) -> list[tuple[str, str, str, str]]:
        shown = json.loads(durable(store, "audit", *words, "--json").stdout)
        return [(entry["Operation"], entry["Who"], entry["Reason"], entry["Result"]) for entry in shown]

    assert recorded("a") == [
        ("terminate", f"{me} (script)", "enough", "accepted"),
        ("resume", f"{me} (command line)", "back", "accepted"),
        ("suspend", "127.0.0.1", "lunch", "accepted"),
    ]
    assert recorded("b") == []
    assert host.delete(f"{WEBHOOK}/instances/b").status_code == 200
    assert recorded("b") == [("purge", "127.0.0.1", None, "accepted")]
    assert host.post(f"{WEBHOOK}/instances/a/restart").status_code == 202
    assert host.delete(f"{WEBHOOK}/instances?createdTimeFrom=2000-01-01&runtimeStatus=Terminated").status_code == 200
    assert recorded("a") == []
    whole = recorded()
    purge = ("purge", "127.0.0.1", "Terminated, created from 2000-01-01T00:00:00.0000000Z", "1 instances deleted")
    assert [entry[0] for entry in whole] == ["purge", "restart:a", "purge"]
    assert whole[0] == purge
    # over HTTP the host adds where it came from
    by_url = [sys.executable, "-m", "perdure", "durable", "terminate", "c", "--reason", "x", "--url", host.url]
    assert subprocess.run(by_url, capture_output=True, timeout=60, check=False).returncode == 0
    assert recorded("c") == [("terminate", f"{me} (command line) from 127.0.0.1", "x", "accepted")]


def test_ids_that_orchestrators_give(new_host: Callable[..., Host], store: str) -> None:
    host = new_host(APPS / "managed", settings={"PERDURE_STORE": store}).start()
    host.begin_webhook("long_ids", 682, "fit")
    host.begin_webhook("long_ids", 900, "too-long")
    assert host.completed("fit") == [1, None]
    failed = host.finished("too-long")
    assert failed["runtimeStatus"] == "Failed", "the signal has nobody to tell"
    assert failed["output"].startswith("Orchestrator function 'long_ids' failed: The instance ID '@counter@")
    assert failed["output"].endswith("has 2700 bytes in UTF-8. Expected at most 2048.")
    history = host.status("too-long", showHistory="true")["historyEvents"]  # type: ignore[index]
    reasons = [event["Reason"] for event in history if event["EventType"].endswith("Failed")]
    assert len(reasons) == 2
    assert all(reason.endswith("has 2700 bytes in UTF-8. Expected at most 2048.") for reason in reasons), reasons


def test_keys_of_any_kind_start_once(new_host: Callable[..., Host], store: str) -> None:
    host = new_host(APPS / "managed", settings={"PERDURE_STORE": store}).start()
    for name, key in (("echo", "a\0b"), ("f" * 6000, "k"), ("echo", "\u4e00" * 256)):
        start = [0, name, None, "1", None, None, 0, None, key]
        answers = {host.post(f"{WEBHOOK}/operations?taskHub=Other", start).text for _ in range(2)}
        assert (len(answers), answers.pop()[:2]) == (1, "[1")


def test_numbers_that_no_store_takes(new_host: Callable[..., Host], store: str) -> None:
    host = new_host(APPS / "managed", settings={"PERDURE_STORE": store}).start()
    huge = 2**64
    for hub in ("", "?taskHub=Other"):
        host.post(f"{WEBHOOK}/operations{hub}", [0, "echo", "one"])
        for operation in (
            [2, {}, 10, f'["created",[{huge},1]]'],
            [2, {"id_prefix": "a"}, 10, f'["id",[{huge}]]'],
            [10, {}, True, False, 1, f'[{huge},0,"x"]'],
            [10, {}, True, False, 1, f'[1,0,"[\\"created\\",[{huge},1]]"]'],
            [17, 1, str(huge)],
        ):
            answer = host.post(f"{WEBHOOK}/operations{hub}", operation)
            told = f"{operation}: {answer.status_code} {answer.text}"
            assert "unknown continuation" in answer.text, told
        audited = host.post(f"{WEBHOOK}/operations{hub}", [18, 'a\0["'])
        assert audited.json() in ([11, []], [0, "not_found", "There is no task hub 'Other' in this store.", ""])
    assert "Traceback" not in host.log()
