"""Fan-out/fan-in: order of results, what each activity logs, and times read with sqlite3 alone."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import REPLAY_ON_EVERY_TURN, eventually

LINE = re.compile(r"measuring sample (\d+) on (\S+) in process (\d+), thread (\d+)")


def test_a_hundred_sleeping_activities_in_order(new_host: NewHost) -> None:
    host = new_host("fan_out").start()
    links = host.begin("/api/fan-out?count=100&seconds=0.05")
    output = host.completed(links["id"])
    assert output["count"] == 100
    assert output["results"] == [number**2 for number in range(100)]
    eventually(lambda: len(LINE.findall(host.log())) >= 100)
    found = LINE.findall(host.log())
    assert sorted(int(number) for number, *_ in found) == list(range(100)), "each is logged once"
    assert {name for _, name, _, _ in found} == {socket.gethostname()}
    assert len({thread for *_, thread in found}) > 1, "plain activities run side by side"
    assert host.process is not None
    assert str(host.process.pid) not in {pid for _, _, pid, _ in found}, "the host runs no user code"
    assert str(os.getpid()) not in {pid for _, _, pid, _ in found}


def test_counts_from_the_query_string(new_host: NewHost) -> None:
    host = new_host("fan_out", settings=REPLAY_ON_EVERY_TURN).start()
    for count in (0, 1, 7):
        links = host.begin(f"/api/fan-out?count={count}&seconds=0")
        output = host.completed(links["id"])
        # task_all([]) is None in the 1.x dialect.
        assert output["results"] == ([number**2 for number in range(count)] or None)


PER_ACTIVITY = """
    select scheduled.name, scheduled.task, (completed.microseconds - scheduled.microseconds) / 1e6,
           completed.result_size
    from HistoryEvents scheduled join HistoryEvents completed using (instance, execution, task)
    where instance = '{id}' and scheduled.event_type = 'TaskScheduled' and completed.event_type = 'TaskCompleted'
    order by scheduled.task
"""


def test_sqlite3_alone_says_how_long_each_activity_took_while_the_host_runs(new_host: NewHost) -> None:
    host = new_host("fan_out").start()
    links = host.begin("/api/fan-out?count=10&seconds=0.1")
    host.completed(links["id"])
    (database,) = (host.app / ".perdure").glob("*.db")
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as store:
        rows = store.execute(PER_ACTIVITY.format(id=links["id"])).fetchall()
        (instance,) = store.execute(
            "select name, status, duration from Instances where id = ?", (links["id"],)
        ).fetchall()
    store.close()
    assert [(name, task) for name, task, *_ in rows] == [("measure", task) for task in range(10)]
    assert all(0.1 <= seconds < 5 for _, _, seconds, _ in rows), rows
    assert [size for *_, size in rows] == [len(str(number**2)) for number in range(10)]
    assert instance[:2] == ("measure_all", "Completed")
    assert instance[2] >= max(seconds for _, _, seconds, _ in rows)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the sqlite3 command")
def test_the_sqlite3_command_reads_the_views(new_host: NewHost) -> None:
    host = new_host("fan_out").start()
    links = host.begin("/api/fan-out?count=3&seconds=0")
    host.completed(links["id"])
    (database,) = (host.app / ".perdure").glob("*.db")
    query = PER_ACTIVITY.format(id=links["id"])
    printed = subprocess.run(
        ["sqlite3", "-readonly", database, query], capture_output=True, text=True, check=True
    ).stdout
    assert [line.split("|")[0] for line in printed.splitlines()] == ["measure"] * 3
