"""Clients ask any host: what they want of instances that another host owns is done once, in order, on time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

import perdure
from tests.acceptance.cluster import Cluster
from tests.acceptance.host import WEBHOOK, Host, eventually


def post(host: Host, path: str, body: Any = None) -> None:
    answer = host.post(WEBHOOK + path, json=body)
    assert answer.status_code == 202, answer.text


def shows(host: Host, instance_id: str, status: str) -> dict[str, Any]:
    """The status payload once the host shows this runtime status."""

    def look() -> dict[str, Any] | None:
        found = host.status(instance_id)
        return found if found is not None and found["runtimeStatus"] == status else None

    return eventually(look, 10, f"{status} of {instance_id}")


def state(host: Host, key: str) -> Any:
    answer = host.get(f"{WEBHOOK}/entities/counter/{key}")
    return answer.json() if answer.status_code == 200 else None


def test_an_instance_is_managed_from_another_host(cluster: Cluster) -> None:
    one, two = cluster.start("one", "two")
    for name in ("held", "ended", "gone"):
        one.begin_webhook("waits", 2, name)
        shows(two, name, "Running")
    post(two, "/instances/held/suspend?reason=wait")
    shows(one, "held", "Suspended")
    for value in (1, 2):
        post((one, two)[value % 2], "/instances/held/raiseEvent/go", value)
    time.sleep(0.2)
    assert one.status("held")["runtimeStatus"] == "Suspended"  # type: ignore[index]
    post(two, "/instances/held/resume?reason=go")
    assert one.completed("held", 10) == [1, 2]

    post(two, "/instances/ended/terminate?reason=over")
    assert shows(one, "ended", "Terminated")["output"] == "over"
    assert two.post(f"{WEBHOOK}/instances/ended/raiseEvent/go", json=1).status_code == 410
    assert two.post(f"{WEBHOOK}/instances/ended/restart").status_code in (200, 202)

    # a running instance is purged from elsewhere, and its id is free on both hosts
    assert two.delete(f"{WEBHOOK}/instances/gone").status_code == 200
    assert one.status("gone") is None
    one.begin_webhook("waits", 1, "gone")
    post(two, "/instances/gone/raiseEvent/go", "anew")
    assert one.completed("gone", 10) == ["anew"]


def test_what_is_asked_for_later_comes_then(cluster: Cluster) -> None:
    one, two = cluster.start("one", "two")
    one.post(f"{WEBHOOK}/entities/counter/c?op=add", json=1)
    eventually(lambda: state(two, "c") == 1, what="the entity on the first host")
    due = datetime.now(timezone.utc) + timedelta(seconds=2)
    with perdure.client(two.url, sync=True) as client:
        client.schedule_new_orchestration("sleeps", input=0.5, instance_id="later", start_at=due)
        client.signal_entity(perdure.EntityId("counter", "c"), "add", 1, signal_time=due)
    assert one.status("later")["runtimeStatus"] == "Pending" and state(one, "c") == 1  # type: ignore[index]
    due_at, woken = (datetime.fromisoformat(text) for text in one.completed("later", 10))
    assert due + timedelta(seconds=0.5) <= due_at <= woken < due + timedelta(seconds=1.5)
    assert state(one, "c") == 2


def test_an_entity_answers_callers_of_every_host(cluster: Cluster) -> None:
    hosts = cluster.start("one", "two", "three")
    for number in range(30):
        hosts[number % 3].begin_webhook("calls", ["c", 1], f"call{number}")
        post(hosts[(number + 1) % 3], "/entities/counter/c?op=add", 100)
    answers = [hosts[(number + 2) % 3].completed(f"call{number}", 20) for number in range(30)]
    eventually(lambda: state(hosts[0], "c") == 3030, what="the sum")
    # each call saw all that came before it, and nothing twice
    assert sorted(answer % 100 for answer in answers) == list(range(1, 31))
    assert hosts[1].delete(f"{WEBHOOK}/instances/@counter@c").status_code == 200
    assert eventually(lambda: state(hosts[2], "c") is None, what="the end of the entity")


@pytest.mark.parametrize("rounds", [4])
def test_one_of_fifty_starts_of_a_singleton_runs(cluster: Cluster, rounds: int) -> None:
    hosts = cluster.start("one", "two", "three", "four")
    for number in range(1, rounds + 1):
        answers: Counter[int] = Counter()
        ready = threading.Barrier(50)

        def start(host: Host, answers: Counter[int] = answers, ready: threading.Barrier = ready) -> None:
            with httpx.Client(timeout=30) as http:
                http.get(f"{host.url}/runtime/health/live")
                ready.wait()
                asked = {"width": 1, "seconds": 1.0}
                answers[http.post(f"{host.url}{WEBHOOK}/orchestrators/fan/single", json=asked).status_code] += 1

        threads = [threading.Thread(target=start, args=(hosts[index % 4],)) for index in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # refused as published
        assert answers == {202: 1, 500: 49}
        hosts[number % 4].completed("single", 15)
        assert len(cluster.runs()) == number
