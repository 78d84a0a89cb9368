"""What people can ask the file with standard tools while the host runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.model.codec import encode_history
from perdure.model.commit_plan import Attempt
from perdure.model.history import (
    ExecutionCompleted,
    ExecutionStarted,
    OrchestratorStarted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from perdure.model.instance import RuntimeStatus, execution_id
from perdure.testing.provider_contract import ContractHost, turn
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


def fan_out(host: ContractHost, count: int) -> int:
    """An orchestration that ran `count` activities side by side; activity k took k seconds."""
    n = host.create("fan", created=START, version="1.2")
    scheduled = [TaskScheduled(task, "Work", f'"{task}"') for task in range(count)]
    first = encode_history([OrchestratorStarted(START + 1_000_000), ExecutionStarted("Chain"), *scheduled])
    host.commit(turns=[turn(n, 0, history=first, started=START + 1_000_000, updated=START + 1_000_000)])
    attempts = []
    for task in range(count):
        ended = START + 1_000_000 + task * 1_000_000
        done = TaskCompleted(task, '"' + "r" * task + '"', ended) if task else TaskFailed(0, "boom", timestamp=ended)
        attempts.append(Attempt(n, 0, task, 1, START + 1_000_000, START + 1_000_000, ended, host.token, "w", None))
        row = encode_history([OrchestratorStarted(ended + 500), done])
        host.commit(turns=[turn(n, task + 1, history=row, updated=ended + 500)])
    end = START + 20_000_000
    last = encode_history([OrchestratorStarted(end), ExecutionCompleted(1, "5")])
    plan = turn(
        n,
        count + 1,
        RuntimeStatus.COMPLETED,
        history=last,
        completed=end,
        updated=end,
        output="5",
        sets_output=True,
        custom_status='"almost"',
        sets_custom_status=True,
    )
    host.commit(turns=[plan], attempts=attempts)
    return n


def statement(heading: str) -> str:
    """The SQL that the document gives under a heading."""
    text = DOCUMENT.read_text(encoding="utf-8").partition(heading)[2]
    return text.partition("```sql\n")[2].partition("```")[0]


def test_how_long_the_fan_out_took_per_activity(site: SqliteSite) -> None:
    host = ContractHost(site)
    fan_out(host, 6)
    rows = ask(site, statement("### How long did each activity take?"), "fan")
    assert rows == [
        {"task": task, "name": "Work", "attempt": 1, "seconds": float(task), "outcome": outcome, "host": "host"}
        for task, outcome in enumerate(["TaskFailed", *["TaskCompleted"] * 5])
    ]
    (whole,) = ask(site, statement("### How long did the fan-out take?"), "fan")
    assert whole == {"activities": 6, "seconds": 5.0, "slowest": 5.0}


def test_instances_have_the_documented_columns(site: SqliteSite) -> None:
    host = ContractHost(site)
    n = fan_out(host, 1)
    host.create("child", created=START + 1, parent_id="fan", name="Child")
    done, child = ask(site, "SELECT * FROM Instances ORDER BY created")
    assert done == {
        "id": "fan",
        "name": "Chain",
        "status": "Completed",
        "created": "2023-11-14T22:13:20.000000Z",
        "started": "2023-11-14T22:13:21.000000Z",
        "last_updated": "2023-11-14T22:13:40.000000Z",
        "completed": "2023-11-14T22:13:40.000000Z",
        "duration": 20.0,
        "custom_status": '"almost"',
        "parent": None,
        "version": "1.2",
        "kind": "orchestration",
        "execution": execution_id(n, 0),
        "parked": None,
        "hub": "hub",
    }
    assert (child["parent"], child["status"], child["started"], child["completed"], child["duration"]) == (
        "fan",
        "Pending",
        None,
        None,
        None,
    )
    assert child["created"] == "2023-11-14T22:13:20.000001Z"


def test_history_events_have_the_documented_columns(site: SqliteSite) -> None:
    host = ContractHost(site)
    n = fan_out(host, 2)
    rows = ask(site, "SELECT * FROM HistoryEvents WHERE instance = 'fan' ORDER BY sequence")
    assert [row["sequence"] for row in rows] == list(range(1, len(rows) + 1))
    assert [row["event_type"] for row in rows] == [
        "OrchestratorStarted",
        "ExecutionStarted",
        "TaskScheduled",
        "TaskScheduled",
        "OrchestratorStarted",
        "TaskFailed",
        "OrchestratorStarted",
        "TaskCompleted",
        "OrchestratorStarted",
        "ExecutionCompleted",
    ]
    completed = rows[7]
    assert completed == {
        "instance": "fan",
        "execution": execution_id(n, 0),
        "sequence": 8,
        "event_type": "TaskCompleted",
        "time": "2023-11-14T22:13:22.000000Z",
        "name": None,
        "result_size": 3,
        "attempt": 1,
        "host": "host",
        "task": 1,
        "microseconds": START + 2_000_000,
        "hub": "hub",
    }
    assert (rows[1]["name"], rows[2]["name"], rows[2]["attempt"], rows[2]["time"]) == (
        "Chain",
        "Work",
        1,
        "2023-11-14T22:13:21.000000Z",
    )
    assert rows[9]["result_size"] == 1


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


def test_each_query_of_the_document_runs(site: SqliteSite) -> None:
    fan_out(ContractHost(site), 2)
    text = DOCUMENT.read_text(encoding="utf-8")
    queries = [part.partition("```")[0] for part in text.split("```sql\n")[1:]]
    assert len(queries) >= 5
    for query in queries:
        assert ask(site, query, *["fan"] * query.count("?")), query


def test_the_document_names_every_table_and_column(site: SqliteSite) -> None:
    ContractHost(site)
    text = DOCUMENT.read_text(encoding="utf-8")
    names = [row["name"] for row in ask(site, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    for name in names:
        if not name.startswith("sqlite_"):
            assert f"`{name}`" in text
            for column in ask(site, f"PRAGMA table_info({name})"):
                assert f"`{column['name']}`" in text, (name, column["name"])
