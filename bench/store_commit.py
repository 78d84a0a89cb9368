"""What one turn costs inside a group commit of the SQLite store, beyond the sync, beside the bones of the same rows.

    python bench/store_commit.py [turns per commit] [commits]

`bones` are four bare `executemany` on tables without ids, owners or indexes of status and time: the floor. `store` is
the product's commit on the schema of design 6.1: fencing, readiness, verdicts, the recorded answer, all four indexes.
Each turn writes one history row, updates its instance, inserts one work row and deletes one. Times are the CPU time of
the writing thread without its COMMIT, in microseconds per turn; the ratio is what to watch.
"""

from __future__ import annotations

import queue
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure.model.codec import encode_history
from perdure.model.commit_plan import CommitBatch, NewInstance, TurnPlan, WorkItem
from perdure.model.history import OrchestratorStarted, TaskCompleted, TaskScheduled
from perdure.model.instance import InstanceKind, RuntimeStatus, instance_number
from perdure.storage.provider import HostRegistration
from perdure.storage.sqlite import SqliteProvider, commits

INSTANCES = 20_000


def history(turn: int) -> bytes:
    """A row as a chain of activities has it."""
    return encode_history(
        [
            OrchestratorStarted(1_700_000_000_000_000 + turn),
            TaskCompleted(turn - 1, '"Hello Tokyo!"', 1_700_000_000_000_000),
            TaskScheduled(turn, "hello", '"Seattle"'),
        ]
    )


def bones(path: Path, turns: int, rounds: int) -> list[float]:
    """The same four rows a turn on bare tables."""
    c = sqlite3.connect(path, isolation_level=None)
    c.executescript(
        """pragma journal_mode=wal; pragma synchronous=full; pragma wal_autocheckpoint=0;
        create table instance(n integer primary key, id text, status int, seq int, input, output, updated int);
        create table history(n int, seq int, body blob, primary key(n, seq)) without rowid;
        create table work(n int, k int, name text, input, owner text, primary key(n, k)) without rowid;
        begin;"""
    )
    c.executemany("insert into instance values(?,?,0,0,?,null,0)", [(i, f"id{i:030}", '"x"') for i in range(INSTANCES)])
    c.execute("commit")
    took = []
    for turn in range(1, rounds + 1):
        numbers = [(turn * turns + i) % INSTANCES for i in range(turns)]
        body = history(turn)
        c.execute("begin")
        started = time.thread_time()
        c.executemany("insert or replace into history values(?,?,?)", [(n, turn, body) for n in numbers])
        c.executemany("update instance set status=?,seq=?,updated=? where n=?", [(0, turn, turn, n) for n in numbers])
        c.executemany(
            "insert or replace into work values(?,?,?,?,?)", [(n, turn, "hello", '"x"', "h") for n in numbers]
        )
        c.executemany("delete from work where n=? and k=?", [(n, turn - 1) for n in numbers])
        took.append(time.thread_time() - started)
        c.execute("commit")
    return took


class Calls:
    """A provider whose answers are waited for."""

    def __init__(self, path: Path) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.provider = SqliteProvider(path, "bench", self._posted.put)
        self.provider.open()

    def ask(self, call: str, *arguments: Any) -> Any:
        answers: list[Any] = []
        getattr(self.provider, call)(*arguments, answers.append)
        while not answers:
            self._posted.get()()
        return answers[0]


def store(path: Path, turns: int, rounds: int) -> tuple[list[float], list[float]]:
    """The product's commits: CPU time of applying, and the whole call on the clock."""
    took: list[float] = []
    apply = commits.commit

    def timed(*arguments: Any) -> Any:
        started = time.thread_time()
        answer = apply(*arguments)
        took.append(time.thread_time() - started)
        return answer

    calls = Calls(path)
    token = calls.ask("register", HostRegistration("", "bench", {})).token
    numbers = [instance_number(token, i) for i in range(INSTANCES)]
    new = [
        NewInstance(n, f"id{i:030}", InstanceKind.ORCHESTRATION, "hello3", i, input='"x"', owner=token)
        for i, n in enumerate(numbers)
    ]
    number = 0
    for start in range(0, INSTANCES, 1000):
        number += 1
        calls.ask("commit", CommitBatch(token, number, creations=tuple(new[start : start + 1000])))
    at = [0] * INSTANCES
    whole: list[float] = []
    commits.commit = timed
    for turn in range(1, rounds + 1):
        plans = []
        body = history(turn)
        for i in range(turns):
            k = (turn * turns + i) % INSTANCES
            n, base = numbers[k], at[k]
            at[k] = base + 1
            plans.append(
                TurnPlan(
                    n,
                    base,
                    base + 1,
                    0,
                    RuntimeStatus.RUNNING,
                    turn,
                    history=body,
                    first_turn=1,
                    done=(base - 1,) if base else (),
                    work=(WorkItem(n, 0, base, "hello", '"x"', token),),
                )
            )
        number += 1
        batch = CommitBatch(token, number, turns=tuple(plans))
        started = time.perf_counter()
        answer = calls.ask("commit", batch)
        whole.append(time.perf_counter() - started)
        assert all(verdict.verdict == 0 for verdict in answer.turns)
    commits.commit = apply
    calls.provider.shutdown()
    return took, whole


def main() -> None:
    turns, rounds = (int(text) for text in (sys.argv[1:] + ["300", "100"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        floor = statistics.median(bones(Path(folder) / "bones.db", turns, rounds)) / turns * 1e6
        took, whole = store(Path(folder) / "store.db", turns, rounds)
    cost = statistics.median(took) / turns * 1e6
    print(
        f"{turns} turns a commit, {rounds} commits: bones {floor:.1f} us a turn, store {cost:.1f} us a turn", end=", "
    )
    print(f"ratio {cost / floor:.2f}; whole commit with sync {statistics.median(whole) * 1e3:.1f} ms")


if __name__ == "__main__":
    main()
