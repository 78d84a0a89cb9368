from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.model.commit_plan import CommitAnswer, Message, WorkItem
from perdure.storage.sqlite.locks import FileLock, HostLocks
from perdure.testing.contract.site import EVENT, ContractHost, turn
from tests.contract.sites import SqliteSite

#: another host: registers, creates and owns an instance, then waits for a line that tells it to commit once more
_OTHER = """
import sys
from pathlib import Path
from perdure.model.commit_plan import Message
from perdure.testing.contract.site import EVENT, ContractHost, turn, work
from tests.contract.sites import SqliteSite
site = SqliteSite(Path(sys.argv[1]))
host = ContractHost(site)
n = host.running("theirs")
host.commit(turns=[turn(n, 1, work=(work(n, 0, host.token),), messages=(Message(n, EVENT),))])
print(host.token, flush=True)
for line in sys.stdin:
    target = int(line)
    answer = host.commit(messages=[Message(target, EVENT)])
    print(answer.alive, flush=True)
site.close()
print("closed", flush=True)
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SqliteSite]:
    site = SqliteSite(tmp_path)
    yield site
    site.close()


class Other:
    """A host in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OTHER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(path or "." for path in sys.path)},
        )
        self.token = int(self.line())

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def commit_to(self, n: int) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        return self.line()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Other]:
    other = Other(tmp_path)
    yield other
    other.kill()
    for stream in (other.process.stdin, other.process.stdout):
        if stream is not None:
            stream.close()


def test_the_work_of_a_killed_process_is_taken_over_at_once(site: SqliteSite, other: Other) -> None:
    other.kill()
    started = time.monotonic()
    host = ContractHost(site)
    assert [row.token for row in host.ask("hosts")] == [host.token]
    assert len(host.ready()) == 1
    assert [item.task for item in host.ask("claim_work", host.token, ("hello",), 9)] == [0]
    assert time.monotonic() - started < 1.0


def test_a_running_host_learns_of_the_death_of_another(site: SqliteSite, other: Other) -> None:
    host = ContractHost(site)
    assert [row.token for row in host.ask("hosts")] == [other.token, host.token]
    assert host.ready() == []
    other.kill()
    assert [row.token for row in host.ask("hosts")] == [host.token]
    assert len(host.ready()) == 1


def test_what_another_process_commits_is_noticed_within_50_ms(tmp_path: Path, other: Other) -> None:
    seen: list[tuple[float, list[int]]] = []
    site = SqliteSite(tmp_path, changed=lambda numbers: seen.append((time.monotonic(), numbers)))
    host = ContractHost(site)
    n = host.running("mine")
    site.until(lambda: True)
    took = []
    for _ in range(5):
        seen.clear()
        assert other.commit_to(n) == "True"
        committed = time.monotonic()
        site.until(lambda: any(n in numbers for _, numbers in seen))
        took.append(seen[-1][0] - committed)
    assert min(took) < 0.05, took
    assert len(host.load(n).inbox) == 5
    host.commit(messages=[Message(n, EVENT)])
    seen.clear()
    host.ask("beat", host.token)
    assert seen == [], "its own commits are nobody's news"
    site.close()


def test_a_host_that_was_declared_dead_writes_nothing(site: SqliteSite, other: Other) -> None:
    host = ContractHost(site)
    n = host.running("mine")
    other.process.send_signal(signal.SIGSTOP)
    beat = next(row.beat for row in host.ask("hosts") if row.token == other.token)
    assert host.ask("declare_dead", other.token, beat) is True
    (theirs,) = host.ready()
    assert host.commit(turns=[turn(theirs, 2)]).turns[0].verdict == 0
    other.process.send_signal(signal.SIGCONT)
    assert other.commit_to(n) == "False"
    assert host.load(n).inbox == []


def test_claims_of_the_dead_are_freed_in_windows(site: SqliteSite) -> None:
    one, two = ContractHost(site), ContractHost(site)
    provider: Any = two.provider
    provider._sweep._window = 7
    n = one.running("a")
    items = tuple(WorkItem(n, 0, task, "Hello", None, one.token if task % 2 else 0) for task in range(40))
    one.commit(turns=[turn(n, 1, work=items)])
    one.ask("close", one.token)
    assert [row.token for row in two.ask("hosts")] == [two.token]
    claimed: list[int] = []
    deadline = time.monotonic() + 5
    while len(claimed) < 40 and time.monotonic() < deadline:
        claimed += [item.task for item in two.ask("claim_work", two.token, ("hello",), 50)]
    assert sorted(claimed) == list(range(40))


def test_of_starts_at_the_same_time_one_wins(site: SqliteSite) -> None:
    hosts = [ContractHost(site) for _ in range(5)]
    for number in range(10):
        answers: list[CommitAnswer] = []
        for host in hosts:
            host.provider.commit(host.batch(creations=[host.new(f"single{number}")]), answers.append)
        site.until(lambda: len(answers) == len(hosts))  # noqa: B023
        verdicts = [answer.creations[0] for answer in answers]
        assert sorted(verdict.verdict for verdict in verdicts) == [0, 2, 2, 2, 2]
        assert len({verdict.n for verdict in verdicts}) == 1


def test_locks_exclude_each_other_and_end_with_their_file(tmp_path: Path) -> None:
    one, two = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.try_acquire() and not two.try_acquire()
    one.release()
    assert two.try_acquire()
    two.close()
    assert one.try_acquire()
    one.close()


def test_a_host_without_its_lock_file_is_gone(tmp_path: Path) -> None:
    ours, theirs = HostLocks(tmp_path / "hub.db"), HostLocks(tmp_path / "hub.db")
    ours.hold(1)
    theirs.hold(2)
    assert [ours.is_gone(token) for token in (1, 2, 3)] == [False, False, True]
    theirs.close()
    assert ours.is_gone(2)
    assert not (tmp_path / "hub.db.hosts" / "2.lock").exists()
    ours.drop(1)
    assert ours.is_gone(1)
