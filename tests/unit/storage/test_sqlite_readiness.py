"""What is derived (`instance.ready`, `inbox.held`, payload rows) stays exact whatever is committed."""

from __future__ import annotations

import random
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.model.commit_plan import Message, Parking, Purge, Release, WorkChunk
from perdure.model.history import (
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionSuspended,
    ExecutionTerminated,
    TimerFired,
)
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.model.operations import ExistingPolicy
from perdure.testing.contract.site import ContractHost, turn, work
from tests.contract.sites import SqliteSite

#: ready by the definition, from the tables alone
_READY = """
SELECT i.n FROM instance i WHERE CASE
    WHEN i.kind = 0 AND i.status IN (1, 3, 4, 5)
        THEN EXISTS (SELECT 1 FROM inbox w WHERE w.n = i.n AND w.due = 0 AND w.kind = 'ExecutionRewound')
    WHEN i.parked IS NOT NULL OR i.status = 7
        THEN EXISTS (SELECT 1 FROM inbox w WHERE w.n = i.n AND w.due = 0 AND w.kind IN
            ('ExecutionRewound', 'ExecutionResumed', 'ExecutionSuspended', 'ExecutionTerminated'))
    ELSE i.cursor > 0 OR (i.kind = 0 AND i.first_turn = 0)
        OR EXISTS (SELECT 1 FROM inbox w WHERE w.n = i.n AND w.due = 0) END
"""
_HELD = """
SELECT w.n, w.seq FROM inbox w JOIN instance i ON i.n = w.n WHERE w.due > 0 AND
    (i.parked IS NOT NULL OR i.status = 7 OR (i.kind = 0 AND i.status IN (1, 3, 4, 5)))
"""
_ORPHANS = " UNION ALL ".join(
    f"SELECT '{table}' FROM {table} t WHERE NOT EXISTS (SELECT 1 FROM instance i WHERE i.n = t.n)"
    for table in ("history", "inbox", "work", "payload", "attempt")
)
_STRAY_PAYLOADS = """
SELECT number FROM payload EXCEPT SELECT value FROM (
    SELECT input AS value FROM instance UNION ALL SELECT output FROM instance
    UNION ALL SELECT custom_status FROM instance UNION ALL SELECT state FROM instance)
"""
_EVENTS: list[Any] = [
    EventRaised("e"),
    EventRaised("e"),
    ExecutionResumed(),
    ExecutionRewound(),
    ExecutionSuspended(),
    ExecutionTerminated(),
]
_BIG = '"' + "x" * 3000 + '"'


def check(path: Path) -> None:
    connection = sqlite3.connect(path)
    ready = set(connection.execute("SELECT n FROM instance WHERE ready = 1"))
    assert ready == set(connection.execute(_READY))
    held = set(connection.execute("SELECT n, seq FROM inbox WHERE held = 1"))
    assert held == set(connection.execute(_HELD))
    assert connection.execute(_ORPHANS).fetchall() == []
    assert connection.execute(_STRAY_PAYLOADS).fetchall() == []
    assert connection.execute("SELECT n FROM inbox WHERE (due > 0) <> (lane = 1)").fetchall() == []
    connection.close()


def random_commit(host: ContractHost, pick: random.Random, path: Path) -> None:
    """One commit of a few random items on instances that may or may not be as it thinks."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT n, turn, cursor FROM instance").fetchall()
    inbox = connection.execute("SELECT n, seq FROM inbox").fetchall()
    connection.close()
    lists: dict[str, list[Any]] = {
        name: [] for name in ("turns", "creations", "messages", "parkings", "purges", "releases", "chunks")
    }
    for _ in range(pick.randint(1, 4)):
        n, base, cursor = pick.choice(rows) if rows else (1, 0, 0)
        kind = pick.choice(
            ["turn"] * 4 + ["create", "create", "message", "message", "park", "purge", "release", "chunk"]
        )
        event = pick.choice(_EVENTS)
        due = pick.choice([0, 0, 5, 10**18])
        message = Message(n, TimerFired(1, due) if due else event, 0, 1, due, ahead=not due and pick.random() < 0.2)
        if kind == "turn":
            lists["turns"].append(
                turn(
                    n,
                    base,
                    pick.choice([RuntimeStatus.RUNNING] * 4 + list(RuntimeStatus)),
                    first_turn=pick.choice([0, 1, 1]),
                    cursor=pick.choice([0, 0, 0, 9]),
                    history=b"[]",
                    consumed=tuple(seq for of, seq in inbox if of == n and pick.random() < 0.5),
                    messages=(message,) * pick.randint(0, 2),
                    work=(work(n, base),),
                    close_inbox=pick.random() < 0.1,
                    close_all_timers=pick.random() < 0.1,
                    sets_output=pick.random() < 0.3,
                    output=pick.choice([None, "1", _BIG]),
                    sets_custom_status=pick.random() < 0.3,
                    custom_status=pick.choice([None, _BIG]),
                    sets_input=pick.random() < 0.2,
                    next_input=pick.choice(["2", _BIG]),
                )
            )
        elif kind == "create":
            lists["creations"].append(
                host.new(
                    f"i{pick.randint(0, 5)}",
                    policy=pick.choice(list(ExistingPolicy)),
                    kind=pick.choice([InstanceKind.ORCHESTRATION, InstanceKind.ORCHESTRATION, InstanceKind.ENTITY]),
                    input=pick.choice(["1", _BIG]),
                    parent_n=pick.choice([0, n]),
                )
            )
        elif kind == "message":
            lists["messages"].append(message)
        elif kind == "park":
            lists["parkings"].append(Parking(n, base, pick.choice([None, "report"])))
        elif kind == "purge":
            lists["purges"].append(Purge(n))
        elif kind == "release":
            lists["releases"].append(Release(n))
        else:
            lists["chunks"].append(WorkChunk(n, cursor, pick.choice([0, 12]), (work(n, 100 + base),)))
    assert host.commit(**lists).alive


@given(seed=st.integers(0, 10**9))
@settings(max_examples=15, deadline=None)
def test_what_is_derived_stays_exact(seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        site = SqliteSite(Path(folder))
        pick = random.Random(seed)
        host = ContractHost(site)
        host.commit(creations=[host.new(f"i{number}") for number in range(4)])
        for step in range(25):
            random_commit(host, pick, site.path)
            if step % 5 == 4:
                host.ready()
            check(site.path)
        site.close()


def test_the_check_sees_a_wrong_flag(tmp_path: Path) -> None:
    site = SqliteSite(tmp_path)
    host = ContractHost(site)
    n = host.running("a")
    check(site.path)
    other = sqlite3.connect(site.path, isolation_level=None)
    other.execute("UPDATE instance SET ready = 1 WHERE n = ?", (n,))
    with pytest.raises(AssertionError):
        check(site.path)
    other.close()
    site.close()
