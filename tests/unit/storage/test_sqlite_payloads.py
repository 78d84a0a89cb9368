from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.model.codec import encode_history
from perdure.model.commit_plan import Message, Purge
from perdure.model.history import EventRaised, OrchestratorStarted, TaskCompleted, TaskScheduled
from perdure.storage.sqlite.payloads import INLINE, history_body, history_row, pack, unpack
from perdure.testing.contract.site import ContractHost, turn, work
from tests.contract.sites import SqliteSite

SHORT, LONG, LARGE = '"s"', '"' + "l" * INLINE + '"', '"' + "€" * 5000 + '"'


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SqliteSite]:
    site = SqliteSite(tmp_path, large_payload_bytes=4000)
    yield site
    site.close()


def rows(site: SqliteSite, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(site.path)
    found = connection.execute(query).fetchall()
    connection.close()
    return found


def test_short_values_stand_in_the_row_and_long_ones_apart(site: SqliteSite) -> None:
    host = ContractHost(site)
    for text, form, formats in ((SHORT, "text", []), (LONG, "integer", [(1,)]), (LARGE, "integer", [(2,)])):
        n = host.create(text, input=text)
        assert rows(site, f"SELECT typeof(input) FROM instance WHERE n = {n}") == [(form,)]
        assert rows(site, f"SELECT format FROM payload WHERE n = {n}") == formats
        assert host.record(n).input == text


def test_a_value_that_is_replaced_leaves_no_payload_row(site: SqliteSite) -> None:
    host = ContractHost(site)
    n = host.create("a", input=LONG)
    for base, (text, count) in enumerate([(LONG, 2), (LARGE, 2), (SHORT, 1), (LONG, 2), (None, 1)]):
        host.commit(turns=[turn(n, base, custom_status=text, sets_custom_status=True)])
        assert host.record(n).custom_status == text
        assert rows(site, "SELECT count(*) FROM payload") == [(count,)]
    host.commit(purges=[Purge(n)])
    assert rows(site, "SELECT count(*) FROM payload") == [(0,)]


def test_a_turn_does_not_write_the_values_that_it_does_not_touch(site: SqliteSite) -> None:
    host = ContractHost(site)
    n = host.create("a", input='"' + "i" * 3_000_000 + '"')
    (before,) = rows(site, "SELECT number FROM payload")
    wal = site.path.with_name("hub.db-wal")
    host.commit()
    size = wal.stat().st_size
    for base in range(5):
        host.commit(turns=[turn(n, base)])
    assert rows(site, "SELECT number FROM payload") == [before]
    assert wal.stat().st_size - size < 500_000


def test_messages_and_inputs_of_activities_are_compressed_where_they_stand(site: SqliteSite) -> None:
    host = ContractHost(site)
    n = host.running("a")
    host.commit(turns=[turn(n, 1, messages=(Message(n, EventRaised("e", LARGE)),), work=(work(n, 0, input=LARGE),))])
    assert rows(site, "SELECT typeof(body), length(body) < 1000 FROM inbox") == [("blob", 1)]
    assert rows(site, "SELECT typeof(input), length(input) < 1000 FROM work") == [("blob", 1)]
    assert host.load(n).inbox[0].event == EventRaised("e", LARGE)
    (item,) = host.ask("claim_work", host.token, ("hello",), 1)
    assert item.input == LARGE


def test_history_with_long_values_is_packed_and_keeps_an_outline() -> None:
    events = [OrchestratorStarted(5), TaskCompleted(3, LARGE), TaskScheduled(4, "Next", SHORT)]
    body = encode_history(events)
    format, outline, packed = history_row(body, 4000)
    assert (format, packed is not None and len(packed) < 500) == (2, True)
    assert json.loads(outline) == [
        {"EventType": "OrchestratorStarted", "Timestamp": 5},
        {"EventType": "TaskCompleted", "TaskScheduledId": 3, "ResultSize": len(LARGE)},
        {"EventType": "TaskScheduled", "EventId": 4, "Name": "Next", "Input": SHORT},
    ]
    assert history_body(format, outline, packed) == body


def test_history_of_many_short_values_stays_readable() -> None:
    body = encode_history([TaskScheduled(task, "Hello", SHORT) for task in range(200)])
    assert len(body) > 4000
    assert history_row(body, 4000) == (1, body.decode(), None)


def test_texts_come_back_from_their_cells() -> None:
    for text in (None, "", SHORT, LARGE, '"\x00"'):
        assert unpack(pack(text, 4000)) == text
