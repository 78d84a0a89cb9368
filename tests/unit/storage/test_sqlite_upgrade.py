"""A store that an older release made opens, is brought forward, and goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.model.codec import decode_history
from perdure.model.commit_plan import Audit, Message, Verdict
from perdure.model.history import EventRaised, ExecutionStarted
from perdure.model.instance import InstanceFilter, RuntimeStatus
from perdure.storage.sqlite.statements import SCHEMA
from perdure.testing.contract.site import ContractHost, turn
from tests.contract.sites import SqliteSite

VERSION_1 = Path(__file__).with_name("version1.sql")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SqliteSite]:
    connection = sqlite3.connect(tmp_path / "hub.db")
    connection.executescript(VERSION_1.read_text(encoding="utf-8"))
    connection.close()
    site = SqliteSite(tmp_path)
    yield site
    site.close()


def rows(site: SqliteSite, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(site.path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def test_what_was_under_way_goes_on(site: SqliteSite) -> None:
    host = ContractHost(site, {"orchestration": ("Chain",), "activity": ("Hello",)})
    waiting, pending = (host.find(name)[0].n for name in ("waiting", "pending"))
    assert sorted(host.ready()) == sorted([waiting, pending])
    loaded = host.load(waiting)
    assert (loaded.record.input, loaded.record.tags) == ('"in"', {"team": "x"})
    assert [row.event for row in loaded.inbox] == [EventRaised("go", '"now"', timestamp=1767225600000000)]
    (row,) = host.ask("read_history", waiting, 0)
    assert ExecutionStarted("Chain", '"in"') in decode_history(row)
    (item,) = host.ask("claim_work", host.token, ("hello",), 5)
    assert (item.n, item.name) == (waiting, "Hello")
    seq = loaded.inbox[0].seq
    ended = turn(waiting, 1, RuntimeStatus.COMPLETED, history=b"[]", completed=5, consumed=(seq,), done=(0,))
    assert host.commit(turns=[ended]).turns[0].verdict is Verdict.APPLIED
    (done,) = host.find("done")
    assert (done.status, done.output, len(done.input or "")) == (RuntimeStatus.COMPLETED, '"out"', 2002)
    assert host.ask("get_setting", "timer", "tick") == "1"
    assert host.ask("count", InstanceFilter(), False) == {("", 1): 2, ("", 6): 1}


def test_it_has_what_this_release_adds(site: SqliteSite) -> None:
    host = ContractHost(site)
    pending = host.find("pending")[0].n
    asked = Audit("terminate", "pending", "anna", 7, "enough")
    host.commit(messages=[Message(pending, EventRaised("e"), audit=asked)])
    assert host.ask("audit", "pending", pending, 5) == [asked]
    shown = "SELECT instance, time, operation, who, reason, result, hub FROM ManagementOperations"
    row = ("pending", "1970-01-01T00:00:00.000007Z", "terminate", "anna", "enough", "accepted", "hub")
    assert rows(site, shown) == [row]
    assert rows(site, "PRAGMA user_version") == [(SCHEMA,)]
    assert set(rows(site, "SELECT schema FROM hub")) == {(SCHEMA,)}


def test_the_older_release_may_open_it_again(site: SqliteSite) -> None:
    site.open()
    assert set(rows(site, "SELECT min_reader, min_writer FROM hub")) == {(1, 1)}


def test_an_upgraded_store_is_as_a_new_one(site: SqliteSite, tmp_path: Path) -> None:
    site.open()
    (tmp_path / "new").mkdir()
    new = SqliteSite(tmp_path / "new")
    new.open()
    schema = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY type, name"
    assert rows(site, schema) == rows(new, schema)
    for (table,) in rows(new, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        assert rows(site, f"PRAGMA table_info({table})") == rows(new, f"PRAGMA table_info({table})")
    new.close()
