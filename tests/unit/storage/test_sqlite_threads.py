from __future__ import annotations

import queue
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.model.instance import InstanceFilter
from perdure.storage.sqlite import SqliteProvider, checkpoints, counting, queries, threads
from perdure.storage.sqlite.checkpoints import Checkpoints
from perdure.testing.contract.site import ContractHost, turn
from tests.contract.sites import SqliteSite


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SqliteSite]:
    site = SqliteSite(tmp_path)
    yield site
    site.close()


def test_what_waits_is_one_transaction_and_one_call_of_the_hub(tmp_path: Path) -> None:
    posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    provider = SqliteProvider(tmp_path / "hub.db", "hub", posted.put)
    provider.open()
    order: list[str] = []
    # a first operation keeps the writer until the others wait
    gate: queue.SimpleQueue[None] = queue.SimpleQueue()
    provider._writer.submit(lambda connection: gate.get(), lambda answer: order.append("gate"))
    time.sleep(0.05)
    for number in range(20):
        provider.put_setting("k", str(number), "v", None, lambda answer, number=number: order.append(str(number)))
    gate.put(None)
    posted.get(timeout=5)()
    posted.get(timeout=5)()
    assert order == ["gate", *map(str, range(20))]
    assert posted.empty()
    provider.shutdown()


def test_shutdown_finishes_what_was_asked_for(tmp_path: Path) -> None:
    posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    provider = SqliteProvider(tmp_path / "hub.db", "hub", posted.put)
    provider.open()
    for number in range(100):
        provider.put_setting("k", str(number), "v", None, lambda answer: None)
    provider.shutdown()
    log = tmp_path / "hub.db-wal"
    assert not log.exists() or log.stat().st_size == 0
    connection = sqlite3.connect(tmp_path / "hub.db")
    assert connection.execute("SELECT count(*) FROM setting").fetchone() == (100,)
    connection.close()


def test_a_long_listing_lets_other_readers_in_between_its_slices(
    site: SqliteSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = ContractHost(site)
    for _ in range(5):
        host.commit(creations=[host.new(f"i{host.number}-{number}") for number in range(100)])
    monkeypatch.setattr(queries, "SLICE", 0.0)
    order: list[str] = []
    provider: Any = host.provider
    provider.query(InstanceFilter(name_prefix="Nobody"), 10, None, lambda page: order.append(f"{len(page.items)}"))
    provider.get_setting("a", "b", lambda answer: order.append("setting"))
    site.until(lambda: len(order) == 2)
    assert order == ["setting", "0"]


def test_a_count_goes_on_from_piece_to_piece(site: SqliteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ContractHost(site)
    for number in range(40):
        host.commit(creations=[host.new(f"i{number}", name=f"N{number % 3}", created=number // 3)])
    monkeypatch.setattr(counting, "SLICE", 0.0)
    monkeypatch.setattr(counting, "PIECE", 4)
    for filter in (InstanceFilter(), InstanceFilter(created_from=0), InstanceFilter(id_prefix="i")):
        order: list[Any] = []
        host.provider.count(filter, True, order.append)
        host.provider.get_setting("a", "b", lambda answer, order=order: order.append("setting"))
        site.until(lambda order=order: len(order) == 2)
        assert order == ["setting", {("N0", 6): 14, ("N1", 6): 13, ("N2", 6): 13}], filter
    assert site.ask(host.provider, "count", InstanceFilter(statuses=(6, 1)), False) == {("", 6): 40}


def test_no_read_holds_its_snapshot_between_slices(site: SqliteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    host = ContractHost(site)
    host.commit(creations=[host.new(f"i{number}") for number in range(50)])
    monkeypatch.setattr(queries, "SLICE", 0.0)
    connection = sqlite3.connect(site.path, isolation_level=None)
    listing = queries.Listing(1, InstanceFilter(), 10, None)
    assert listing.step(connection) is None
    other = sqlite3.connect(site.path, isolation_level=None)
    host.commit()
    # with a snapshot still open, the log could not be started over
    assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    other.close()
    connection.close()


def test_the_log_stays_bounded_under_load(site: SqliteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PASSIVE", 200)
    host = ContractHost(site)
    numbers = [host.running(f"i{number}") for number in range(50)]
    sizes = []
    for base in range(1, 60):
        host.commit(turns=[turn(n, base, history=b'["' + b"x" * 500 + b'"]') for n in numbers])
        sizes.append(site.path.with_name("hub.db-wal").stat().st_size)
    assert max(sizes) < 6_000_000, max(sizes)
    assert sizes[-1] == sizes[-20], "the log is started over, not continued"


def test_a_reader_that_stays_does_not_stop_commits(site: SqliteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PASSIVE", 50)
    monkeypatch.setattr(checkpoints, "RESTART", 100)
    host = ContractHost(site)
    reader = sqlite3.connect(site.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM instance").fetchall()
    for number in range(5):
        host.commit(creations=[host.new(f"{number}-{other}", input='"' + "x" * 900 + '"') for other in range(200)])
    reader.execute("COMMIT")
    reader.close()
    assert len(host.find("4-199")) == 1


def test_checkpoints_learn_how_many_pages_a_change_makes(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("CREATE TABLE t (a)")
    counter = Checkpoints()
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(checkpoints.PASSIVE)])
    connection.execute("COMMIT")
    counter.committed(connection)
    # hundreds of such rows stand in a page: the next checkpoint comes much later
    assert counter._pages_per_change < 0.02
    assert counter._changes == 0, "the log is back in the database"


def test_one_transaction_takes_a_bounded_number_of_operations(tmp_path: Path) -> None:
    posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    provider = SqliteProvider(tmp_path / "hub.db", "hub", posted.put)
    provider.open()
    gate: queue.SimpleQueue[None] = queue.SimpleQueue()
    provider._writer.submit(lambda connection: gate.get(), lambda answer: None)
    time.sleep(0.05)
    answers: list[Any] = []
    for number in range(threads.GROUP * 3):
        provider.put_setting("k", str(number), "v", None, answers.append)
    gate.put(None)
    sizes = []
    while len(answers) < threads.GROUP * 3:
        before = len(answers)
        posted.get(timeout=5)()
        sizes.append(len(answers) - before)
    assert sizes == [0, threads.GROUP, threads.GROUP, threads.GROUP], "answers of each transaction, the gate's first"
    provider.shutdown()
