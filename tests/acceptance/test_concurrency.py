"""The concurrency settings on real hosts: what runs at one moment, where, and what stays in the store meanwhile."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.host import APPS, WEBHOOK, Host, eventually

DURABLE = "AzureFunctionsJobHost__extensions__durableTask__"


class Run(NamedTuple):
    kind: str
    key: str
    host: str
    process: int
    begun: float
    ended: float


class Site:
    """Hosts of the app on one store, and what ran on them."""

    def __init__(self, new_host: Callable[..., Host], folder: Path) -> None:
        self._new_host = new_host
        self.store = folder / "store" / "hub.db"
        self.runs_file = folder / "runs"
        self.runs_file.touch()

    def host(
        self, name: str = "one", *, processes: int = 1, threads: int = 16, args: tuple[str, ...] = (), **limits: int
    ) -> Host:
        settings = {
            "PERDURE_STORE": f"sqlite:///{self.store}",
            "RUNS_FILE": str(self.runs_file),
            "HOST_NAME": name,
            "FUNCTIONS_WORKER_PROCESS_COUNT": str(processes),
            "PYTHON_THREADPOOL_THREAD_COUNT": str(threads),
            **{f"{DURABLE}maxConcurrent{kind}Functions": str(limit) for kind, limit in limits.items()},
        }
        host = self._new_host(APPS / "limits", settings=settings, args=args).start()
        eventually(lambda: work_items(host)["activities"]["threads"] == processes * threads, 5, "all processes")
        return host

    def runs(self, *kinds: str) -> list[Run]:
        lines = [line.split() for line in self.runs_file.read_text().splitlines()]
        runs = [Run(kind, key, host, int(pid), float(a), float(b)) for kind, key, host, pid, a, b in lines]
        return [run for run in runs if not kinds or run.kind in kinds]

    def open_work(self) -> Counter[int]:
        """Activities in the store by the token that has claimed them; 0: nobody."""
        with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=ro", uri=True)) as store:
            return Counter(dict(store.execute("SELECT owner, count(*) FROM work GROUP BY owner").fetchall()))


@pytest.fixture
def site(new_host: Callable[..., Host], tmp_path: Path) -> Site:
    return Site(new_host, tmp_path)


def work_items(host: Host) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = host.get("/admin/host/status").json()["workItems"]
    return found


def at_once(runs: list[Run]) -> int:
    """How many of them were under way at one moment, at most."""
    steps = sorted([(run.begun, 1) for run in runs] + [(run.ended, -1) for run in runs])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


@pytest.mark.parametrize(
    ("limit", "processes", "threads", "expected"), [(2, 1, 16, 2), (20, 2, 1, 2), (20, 3, 1, 3), (3, 2, 4, 3)]
)
def test_activities_run_within_limit_and_threads(
    site: Site, limit: int, processes: int, threads: int, expected: int
) -> None:
    host = site.host(processes=processes, threads=threads, Activity=limit)
    width = expected * 4
    host.begin_webhook("fan", [["plain", 0.4]] * width, "f")
    eventually(lambda: work_items(host)["activities"]["active"] == expected, what="all slots taken")
    seen: list[Counter[int]] = []
    while host.status("f")["runtimeStatus"] != "Completed":  # type: ignore[index]
        seen.append(site.open_work())
        time.sleep(0.02)
    runs = site.runs("plain")
    assert len(runs) == width and at_once(runs) == expected
    assert len({run.process for run in runs}) == min(processes, expected)
    # what found no slot lay in the store, unclaimed, although nobody else was there to take it
    claimed = [sum(count for owner, count in work.items() if owner) for work in seen]
    assert Counter(claimed).most_common(1)[0][0] == expected, seen
    # one that has ended is there until its result is committed, when the next has its slot already
    assert max(claimed) <= 2 * expected, seen
    assert max(work[0] for work in seen) == width - expected, seen


def test_a_coroutine_takes_a_slot_and_no_thread(site: Site) -> None:
    host = site.host(threads=1, Activity=6)
    host.begin_webhook("fan", [["plain", 0.5]] * 3 + [["coroutine", 0.5]] * 10, "f")
    host.completed("f", 20)
    assert at_once(site.runs("plain")) == 1
    assert 5 <= at_once(site.runs("coroutine")) <= 6 and at_once(site.runs("plain", "coroutine")) == 6


def test_a_host_that_joins_takes_its_part_at_once(site: Site) -> None:
    one = site.host("one", Activity=2)
    one.begin_webhook("fan", [["plain", 1.0]] * 24, "f")
    eventually(lambda: len(site.runs("plain")) >= 2, what="the first activities")
    joined = time.time()
    two = site.host("two", Activity=4)
    ready = time.time()
    two.completed("f", 30)
    runs = site.runs("plain")
    first = min(run.begun for run in runs if run.host == "two")
    assert first - ready < 1.0, "the new host waits although there is work in the store"
    # from then on six at a time: within a round of the best that there is
    left = 24 - sum(run.begun < joined for run in runs)
    ends = max(run.ended for run in runs)
    assert ends - first <= -(-left // 6) + 1.6, (left, ends - first)
    assert len(runs) == 24


def test_autoscalers_are_told_what_waits_on_a_shared_file(site: Site) -> None:
    one = site.host("one", threads=2, Activity=20)
    one.begin_webhook("fan", [["plain", 1.5]] * 9, "f")
    eventually(lambda: work_items(one)["activities"]["active"] == 2, what="the first activities")
    time.sleep(0.3)
    told = one.get("/runtime/scale").json()
    assert 0.2 < told.pop("oldestWaitingSeconds") < 1.5
    # a host like this one has two threads
    assert told == {"activities": {"waiting": 7, "running": 2}, "instances": 0, "hosts": 1, "recommendedHosts": 5}
    two = site.host("two", threads=4, Activity=20)
    eventually(lambda: work_items(two)["activities"]["active"] == 4, what="the help of the other")
    told = two.get("/runtime/scale").json()
    assert told["hosts"] == 2 and told["activities"]["running"] == 6
    two.completed("f", 20)
    told = one.get("/runtime/scale").json()
    assert told == {
        "activities": {"waiting": 0, "running": 0},
        "instances": 0,
        "oldestWaitingSeconds": 0.0,
        "hosts": 2,
        "recommendedHosts": 1,
    }


def test_turns_at_one_moment_and_not_instances(site: Site) -> None:
    host = site.host(processes=3, threads=4, args=("--verbose",), Orchestrator=1)
    for number in range(8):
        host.begin_webhook("waits", None, f"w{number}")
    eventually(lambda: len(site.runs("top")) == 8, what="the start of all")
    for number in range(5):
        host.begin_webhook("block", 0.2, f"b{number}")
        assert host.post(f"{WEBHOOK}/entities/slow/e{number}?op=x", json=0.2).status_code == 202
    for number in range(5):
        host.completed(f"b{number}", 20)
    eventually(lambda: len(site.runs("batch")) == 5, what="the batches")
    assert at_once(site.runs("turn", "batch")) == 1
    # those that wait are in memory all the while, their sessions hot: none begins anew
    for number in range(8):
        assert host.post(f"{WEBHOOK}/instances/w{number}/raiseEvent/go", json=number).status_code == 202
    assert [host.completed(f"w{number}", 10) for number in range(8)] == list(range(8))
    assert len(site.runs("top")) == 8
    line = "-0: Delaying work item fetching because the current active work-item count (1) exceeds the configured "
    assert f"{line}maximum active work-item count (1)" in host.log() and "TaskOrchestrationDispatcher-" in host.log()


def test_entities_have_a_limit_of_their_own_when_it_is_written(site: Site) -> None:
    host = site.host(processes=2, threads=4, Orchestrator=1, Entity=3)
    for number in range(6):
        host.begin_webhook("block", 0.3, f"b{number}")
        assert host.post(f"{WEBHOOK}/entities/slow/e{number}?op=x", json=0.3).status_code == 202
    for number in range(6):
        host.completed(f"b{number}", 20)
    eventually(lambda: len(site.runs("batch")) == 6, what="the batches")
    assert at_once(site.runs("turn")) == 1
    assert at_once(site.runs("batch")) == 3
    assert at_once(site.runs("turn", "batch")) > 1


def test_the_log_and_the_status_say_how_the_host_is(site: Site) -> None:
    host = site.host(processes=2, threads=1, args=("--verbose",), Activity=1)
    status = host.get("/admin/host/status").json()
    assert status["hostLock"] == {"held": True, "token": 1}
    assert f"Host lock lease acquired by instance ID '{status['instanceId']}'.\n" in host.log()
    host.begin_webhook("fan", [["plain", 4.0]] * 3, "f")
    eventually(lambda: work_items(host)["activities"]["active"] == 1, what="an activity")
    assert work_items(host) == {
        "activities": {"active": 1, "maximum": 1, "threads": 2},
        "orchestrators": {"active": 0, "maximum": 10 * len(os.sched_getaffinity(0))},
    }
    held_back = (
        f"TaskActivityDispatcher-{status['instanceId']}-0: Delaying work item fetching because the current active "
        "work-item count (1) exceeds the configured maximum active work-item count (1)\n"
    )
    report = re.compile(
        r"""\[HostMonitor\] Checking worker statuses \(Count=2\)
\[HostMonitor\] Worker status: ID=worker-\d, Latency=\d+ms
\[HostMonitor\] Worker status: ID=worker-\d, Latency=\d+ms
\[HostMonitor\] Host process CPU stats \(PID (\d+)\): History=\(\d+,\d+,\d+,\d+,\d+\), AvgCpuLoad=\d+, MaxCpuLoad=\d+
\[HostMonitor\] Host process CPU stats \(PID (\d+)\): History=\(\d+(?:,\d+){3,4}\), AvgCpuLoad=\d+, MaxCpuLoad=\d+
\[HostMonitor\] Host process CPU stats \(PID (\d+)\): History=\(\d+(?:,\d+){3,4}\), AvgCpuLoad=\d+, MaxCpuLoad=\d+
\[HostMonitor\] Host aggregate CPU load \d+
"""
    )

    def said() -> re.Match[str] | None:
        return report.search(re.sub(r"(?m)^\[\d{4}-\d\d-\d\dT[\d:.]+Z\] ", "", host.log()))

    found = eventually(said, 20, "the lines of the monitor")
    figures = host.get("/admin/host/status").json()["hostMonitor"]
    assert host.process is not None
    pids = [load["processId"] for load in figures["processes"]]
    assert [int(pid) for pid in found.groups()] == pids and pids[0] == host.process.pid
    assert [worker["processId"] for worker in figures["workers"]] == pids[1:]
    assert all(0 <= worker["latency"] < 2000 for worker in figures["workers"])
    assert all(0 <= load["avgCpuLoad"] <= load["maxCpuLoad"] <= 100 for load in figures["processes"])
    host.completed("f", 20)
    assert host.log().count(held_back) == 1


def test_all_worker_processes_are_there_at_once(site: Site) -> None:
    begun = time.monotonic()
    host = site.host(processes=4, threads=1)
    assert time.monotonic() - begun < 15
    host.begin_webhook("fan", [["plain", 1.0]] * 4, "f")
    assert len(set(host.completed("f", 20))) == 4
