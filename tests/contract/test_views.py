"""What people can ask with standard tools while hosts run: the same of every store."""

from __future__ import annotations

import asyncio
import itertools
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union

import asyncpg
import pytest

from perdure.model.codec import encode_history
from perdure.model.commit_plan import Attempt, Audit, Message
from perdure.model.history import (
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    OrchestratorStarted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from perdure.model.instance import RuntimeStatus, execution_id
from perdure.storage.postgres import migrations
from perdure.testing.contract.site import ContractHost, turn
from tests.contract.postgres_site import PostgresSite
from tests.contract.sites import SqliteSite
from tests.postgres_server import PostgresServer

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"
START = 1_700_000_000_000_000
AnySite = Union[SqliteSite, PostgresSite]
_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.make()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AnySite]:
    site: AnySite
    if request.param == "sqlite":
        site = SqliteSite(tmp_path)
    else:
        site = PostgresSite(request.getfixturevalue("server").url, f"views_{next(_schemas)}")
    yield site
    site.close()


def ask(site: AnySite, query: str, *parameters: Any) -> list[dict[str, Any]]:
    """As a shell would: a connection of its own. `?` in the query stands for a parameter."""
    if isinstance(site, PostgresSite):
        return asyncio.run(_ask_postgres(site, query, parameters))
    connection = sqlite3.connect(f"file:{site.path}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    found = [dict(row) for row in connection.execute(query, parameters)]
    connection.close()
    return found


async def _ask_postgres(site: PostgresSite, query: str, parameters: tuple[Any, ...]) -> list[dict[str, Any]]:
    numbers = itertools.count(1)
    connection = await asyncpg.connect(site.url)
    try:
        await connection.execute(f'SET search_path = "{site.schema}"')
        numbered = re.sub(r"\?", lambda _: f"${next(numbers)}", query)
        return [dict(row) for row in await connection.fetch(numbered, *parameters)]
    finally:
        await connection.close()


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


def test_how_long_the_fan_out_took_per_activity(site: AnySite) -> None:
    host = ContractHost(site)
    fan_out(host, 6)
    rows = ask(site, statement("### How long did each activity take?"), "fan")
    assert rows == [
        {"task": task, "name": "Work", "attempt": 1, "seconds": float(task), "outcome": outcome, "host": "host"}
        for task, outcome in enumerate(["TaskFailed", *["TaskCompleted"] * 5])
    ]
    (whole,) = ask(site, statement("### How long did the fan-out take?"), "fan")
    assert whole == {"activities": 6, "seconds": 5.0, "slowest": 5.0}


def test_instances_have_the_documented_columns(site: AnySite) -> None:
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


def test_history_events_have_the_documented_columns(site: AnySite) -> None:
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


def test_each_query_of_the_document_runs(site: AnySite) -> None:
    fan_out(ContractHost(site), 2)
    text = DOCUMENT.read_text(encoding="utf-8")
    queries = [part.partition("```")[0] for part in text.split("```sql\n")[1:]]
    assert len(queries) >= 5
    for query in queries:
        assert ask(site, query, *["fan"] * query.count("?")), query


def test_a_name_with_a_nul_does_not_hide_the_others(site: AnySite) -> None:
    host = ContractHost(site)
    n = host.create("odd", created=START)
    events = [OrchestratorStarted(START), EventRaised("a\0b", '"c\\u0000"'), TaskCompleted(0, '"\\u0000\\\\u0000"')]
    host.commit(turns=[turn(n, 0, history=encode_history(events))])
    rows = ask(site, "SELECT name, result_size FROM HistoryEvents WHERE instance = ? ORDER BY sequence", "odd")
    assert [row["result_size"] for row in rows] == [None, None, 15]
    # SQLite ends the text there
    assert rows[1]["name"] == ("a" if isinstance(site, SqliteSite) else "a\ufffdb")


@pytest.fixture
def postgres(server: PostgresServer) -> Iterator[PostgresSite]:
    site = PostgresSite(server.url, f"views_{next(_schemas)}")
    yield site
    site.close()


def test_who_managed_an_instance(site: AnySite) -> None:
    host = ContractHost(site)
    n = host.running("a")
    host.commit(messages=[Message(n, EventRaised("e"), audit=Audit("terminate", "a", "anna", START + 5, "enough"))])
    assert ask(site, "SELECT * FROM ManagementOperations WHERE instance = ?", "a") == [
        {
            "instance": "a",
            "time": "2023-11-14T22:13:20.000005Z",
            "operation": "terminate",
            "who": "anna",
            "reason": "enough",
            "result": "accepted",
            "hub": "hub",
        }
    ]


def shown(site: PostgresSite) -> list[str]:
    rows = site.sql(f"SELECT viewname FROM pg_views WHERE schemaname = '{site.schema}' ORDER BY 1")
    return [row[0] for row in rows]


def test_a_schema_without_views_gets_them_at_the_next_start(postgres: PostgresSite) -> None:
    fan_out(ContractHost(postgres), 2)
    postgres.sql("DROP VIEW HistoryEvents, Instances, ManagementOperations")
    postgres.open()
    assert shown(postgres) == ["historyevents", "instances", "managementoperations"]
    assert ask(postgres, "SELECT status FROM Instances") == [{"status": "Completed"}]


def test_views_of_a_later_release_stay_and_older_ones_keep_their_readers(
    postgres: PostgresSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.open()
    postgres.sql("GRANT SELECT ON Instances TO PUBLIC")
    own = migrations._text
    more = own("views.sql").replace("    h.name AS hub\nFROM", "    h.name AS hub, i.turn AS turns\nFROM", 1)
    monkeypatch.setattr(migrations, "VIEWS", migrations.VIEWS + 1)
    monkeypatch.setattr(migrations, "_text", lambda name: more if name == "views.sql" else own(name))
    host = ContractHost(postgres)
    host.running("a")
    assert ask(postgres, "SELECT turns FROM Instances") == [{"turns": 1}]
    # whoever was allowed to read them still is
    may = f"SELECT has_table_privilege('public', '\"{postgres.schema}\".instances', 'SELECT')"
    assert postgres.sql(may.replace("'public', ", ""))[0][0] is True
    monkeypatch.undo()
    postgres.open()
    assert ask(postgres, "SELECT turns FROM Instances") == [{"turns": 1}]


def test_a_view_finds_one_instance_without_walking_the_others(postgres: PostgresSite) -> None:
    host = ContractHost(postgres)
    row = encode_history([OrchestratorStarted(START), ExecutionStarted("Chain")])
    for number in range(40):
        news = [host.new(f"i{number}-{other}") for other in range(50)]
        host.commit(creations=news)
        host.commit(turns=[turn(new.n, 0, history=row) for new in news])
    postgres.sql("ANALYZE instance", "ANALYZE history")
    for view, column in (("Instances", "id"), ("HistoryEvents", "instance")):
        plan = "\n".join(row[0] for row in postgres.sql(f"EXPLAIN SELECT * FROM {view} WHERE {column} = 'i7-7'"))
        assert "instance_id" in plan and "Seq Scan on instance" not in plan, plan
