from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.model.commit_plan import Message
from perdure.model.history import EventRaised
from perdure.storage.provider import StoreError
from perdure.storage.sqlite import SqliteProvider, checkpoints, database, statements
from perdure.storage.sqlite.database import WriteLock
from perdure.storage.sqlite.locks import FileLock
from perdure.testing.contract.site import ContractHost, turn, work
from tests.contract.sites import SqliteSite


class Faults:
    """Connections whose next statement of a kind fails as told."""

    def __init__(self) -> None:
        self.statement = ""
        self.error = ""
        self.after = False
        self.opened = 0

    def arm(self, statement: str, error: str, *, after: bool = False) -> None:
        self.statement, self.error, self.after = statement, error, after

    def connect(self, *arguments: Any, **options: Any) -> sqlite3.Connection:
        self.opened += 1
        faults = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
                if faults.statement and sql == faults.statement:
                    faults.statement = ""
                    if faults.after:
                        super().execute(sql, *parameters)
                    raise sqlite3.OperationalError(faults.error)
                return super().execute(sql, *parameters)

        return sqlite3.connect(*arguments, factory=Connection, **options)


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def site(tmp_path: Path, faults: Faults) -> Iterator[SqliteSite]:
    site = SqliteSite(tmp_path, connect=faults.connect)
    yield site
    site.close()


@pytest.mark.parametrize("applied", [False, True])
def test_after_a_failed_sync_the_outcome_is_asked_for(site: SqliteSite, faults: Faults, applied: bool) -> None:
    host = ContractHost(site)
    batch = host.batch(creations=[host.new("a")])
    faults.arm(statements.SQL.commit, "disk I/O error", after=applied)
    before = faults.opened
    refused = host.ask("commit", batch)
    assert isinstance(refused, StoreError) and refused.lost
    assert str(refused) == f"writing the store file {site.path} failed (disk I/O error): check the disk"
    recorded = host.ask("recorded", host.token, batch.number)
    assert faults.opened == before + 1, "the broken connection is not used again"
    assert (recorded is not None) is applied
    answer = host.ask("commit", batch)
    assert answer.alive and len(host.find("a")) == 1


@pytest.mark.parametrize("applied", [False, True])
def test_activities_whose_claim_got_lost_can_be_claimed_again(site: SqliteSite, faults: Faults, applied: bool) -> None:
    host = ContractHost(site)
    n = host.running("a")
    host.commit(turns=[turn(n, 1, work=(work(n, 0), work(n, 1)))])
    for _ in range(2):
        faults.arm(statements.SQL.commit, "disk I/O error", after=applied)
        refused = host.ask("claim_work", host.token, ("hello",), 1)
        assert isinstance(refused, StoreError) and refused.lost
    first = host.ask("claim_work", host.token, ("hello",), 1)
    second = host.ask("claim_work", host.token, ("hello",), 5)
    assert [item.task for item in first + second] == [0, 1]
    assert host.ask("claim_work", host.token, ("hello",), 5) == []


def test_a_full_disk_refuses_the_commit_and_nothing_is_lost(site: SqliteSite, faults: Faults) -> None:
    host = ContractHost(site)
    batch = host.batch(creations=[host.new("a")])
    faults.arm(statements.SQL.commit, "database or disk is full")
    refused = host.ask("commit", batch)
    assert isinstance(refused, StoreError) and not refused.lost
    assert host.find("a") == []
    assert host.ask("commit", batch).alive


@pytest.mark.parametrize("error", ["database or disk is full", "disk I/O error"])
def test_a_failed_checkpoint_does_not_touch_the_answer_of_a_commit(
    site: SqliteSite, faults: Faults, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    host = ContractHost(site)
    monkeypatch.setattr(checkpoints, "PASSIVE", 1)
    faults.arm("PRAGMA wal_checkpoint(PASSIVE)", error)
    assert host.commit(creations=[host.new("a")]).alive
    assert "a checkpoint of the store failed: " in caplog.text
    assert host.commit(creations=[host.new("b")]).alive
    assert len(host.find("a", "b")) == 2


def test_a_culprit_fails_alone_and_the_others_of_its_transaction_go_through(site: SqliteSite) -> None:
    one, two = ContractHost(site), ContractHost(site)
    n = one.running("a")
    too_large = one.batch(messages=[Message(n, EventRaised("e"), task=1 << 70)])
    good = one.batch(creations=[one.new("b")])
    answers: list[Any] = []
    one.provider.commit(too_large, answers.append)
    one.provider.commit(good, answers.append)
    site.until(lambda: len(answers) == 2)
    assert isinstance(answers[0], StoreError) and not answers[0].lost
    assert str(answers[0]).startswith("an operation on the store failed: OverflowError: ")
    assert answers[1].alive and [record.instance_id for record in two.find("a", "b")] == ["a", "b"]
    assert one.load(n).inbox == []


def test_a_program_that_writes_for_long_gives_a_clear_error(
    tmp_path: Path, site: SqliteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database.Database.writer, "__defaults__", (0.05,))
    host = ContractHost(site)
    other = sqlite3.connect(site.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    batch = host.batch(creations=[host.new("a")])
    refused = host.ask("commit", batch)
    assert isinstance(refused, StoreError) and not refused.lost
    assert str(refused) == (
        f"the store file {site.path} is locked by another program: nothing can be written until it ends"
    )
    other.execute("ROLLBACK")
    other.close()
    assert host.ask("commit", batch).alive


def test_a_process_that_keeps_the_write_lock_gives_a_clear_error(tmp_path: Path) -> None:
    holder = FileLock(tmp_path / "hub.db.lock")
    assert holder.try_acquire()
    lock = WriteLock(tmp_path / "hub.db")
    with pytest.raises(StoreError) as caught:
        lock.acquire(0.02)
    assert str(caught.value) == (
        f"another process has been writing the store for more than 0.02 s (it holds {tmp_path}/hub.db.lock): nothing "
        "can be written until it goes on or ends"
    )
    holder.release()
    lock.acquire(0.02)
    lock.close()
    holder.close()


def test_what_a_callback_raises_does_not_keep_others_from_their_answer(site: SqliteSite) -> None:
    host = ContractHost(site)
    answers: list[Any] = []

    def broken(answer: Any) -> None:
        raise RuntimeError("broken callback")

    host.provider.beat(host.token, broken)
    host.provider.beat(host.token, answers.append)
    with pytest.raises(RuntimeError, match="broken callback"):
        site.until(lambda: False, within=2.0)
    site.until(lambda: bool(answers))
    assert answers == [True]


def test_a_backup_is_complete_and_refuses_to_overwrite(site: SqliteSite, tmp_path: Path) -> None:
    host = ContractHost(site)
    host.running("a", history=b'[{"EventType":"OrchestratorStarted","Timestamp":1}]')
    target = tmp_path / "copy.db"
    assert host.ask("backup", target) is None
    copy = SqliteProvider(target, "hub", lambda call: call())
    copy.open()
    copy.shutdown()
    assert sqlite3.connect(target).execute("SELECT id, status FROM Instances").fetchall() == [("a", "Running")]
    refused = host.ask("backup", target)
    assert isinstance(refused, StoreError)
    assert str(refused) == f"the backup file {target} exists already: give the name of a new file"
