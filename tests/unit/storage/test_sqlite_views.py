"""What people can ask the file with standard tools while the host runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.model.codec import encode_history
from perdure.model.history import (
    OrchestratorStarted,
    TaskCompleted,
    TimerCreated,
    TimerFired,
)
from perdure.testing.contract.site import ContractHost, turn
from tests.contract.sites import SqliteSite

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "tables.md"
START = 1_700_000_000_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[SqliteSite]:
    site = SqliteSite(tmp_path, large_payload_bytes=2000)
    yield site
    site.close()


def ask(site: SqliteSite, query: str, *parameters: Any) -> list[dict[str, Any]]:
    """As the `sqlite3` shell would: a connection of its own, read only."""
    connection = sqlite3.connect(f"file:{site.path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(query, parameters)]
    connection.close()
    return found


def test_long_values_are_told_by_their_size(site: SqliteSite) -> None:
    host = ContractHost(site)
    n = host.create("a")
    long = '"' + "x" * 9998 + '"'
    history = encode_history([OrchestratorStarted(START), TaskCompleted(0, long), TimerCreated(1, 5), TimerFired(1, 5)])
    plan = turn(n, 0, history=history, custom_status='"' + "c" * 1500 + '"', sets_custom_status=True)
    host.commit(turns=[plan])
    rows = ask(site, "SELECT event_type, result_size, task FROM HistoryEvents WHERE instance = 'a' ORDER BY sequence")
    assert [tuple(row.values()) for row in rows] == [
        ("OrchestratorStarted", None, None),
        ("TaskCompleted", 10_000, 0),
        ("TimerCreated", None, 1),
        ("TimerFired", None, 1),
    ]
    assert ask(site, "SELECT length(custom_status) AS size FROM Instances") == [{"size": 1502}]


def test_the_document_names_every_table_and_column(site: SqliteSite) -> None:
    ContractHost(site)
    text = DOCUMENT.read_text(encoding="utf-8")
    names = [row["name"] for row in ask(site, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    for name in names:
        if not name.startswith("sqlite_"):
            assert f"`{name}`" in text
            for column in ask(site, f"PRAGMA table_info({name})"):
                assert f"`{column['name']}`" in text, (name, column["name"])
