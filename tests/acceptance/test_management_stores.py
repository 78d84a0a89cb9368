"""Management on both stores: races of singletons over two hosts and a client, commands beside a host, its wake-up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import perdure
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
    delays = []
    for number in range(5):
        with perdure.client(store, task_hub="TestHubName", sync=True) as client:
            client.start_new("echo", f"n{number}")
            begun = time.monotonic()
            while client.get_status(f"n{number}").runtime_status.value == "Pending":
                time.sleep(0.002)
            delays.append(time.monotonic() - begun)
    assert sorted(delays)[2] < 0.05, delays
    assert durable(store, "raise-event", "single", "--event-name", "go", "--event-data", "7").returncode == 0
    ended = durable(store, "wait", "single", "--timeout", "10", "--json")
    assert json.loads(ended.stdout)["Output"] == "7"
    purged = durable(store, "purge-history", "--yes", "--runtime-status", "completed", "--json")
    assert json.loads(purged.stdout)["InstancesDeleted"] >= 7
    eventually(lambda: one.status("single") is None)
    assert durable(store, "delete-task-hub", "--yes").returncode == 0
    assert json.loads(durable(store, "get-instances", "--json").stdout) == []
