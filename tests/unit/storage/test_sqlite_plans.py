from __future__ import annotations

import re
import sqlite3

import pytest

from perdure.storage.sqlite.statements import MIGRATIONS, STATEMENTS, VIEWS, parse

#: what may be walked: lists that the caller gave, results with a limit, the few rows of hubs and of hosts not yet swept
_WALKED = re.compile(
    r"SCAN (json_each VIRTUAL TABLE .*|CONSTANT ROW|\(subquery-\d+\)|hub.*|host USING INDEX host_unswept)$"
)
#: sorted in memory: what waits for one host, which is bounded
_SORTED = {"waiting_messages"}


@pytest.fixture(scope="module")
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript("\n".join(MIGRATIONS) + VIEWS)
    connection.create_function("durable_key", 1, str.lower, deterministic=True)
    return connection


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    rows = connection.execute("EXPLAIN QUERY PLAN " + statement, [None] * statement.count("?"))
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - {"begin", "commit", "rollback"}))
def test_no_statement_walks_a_table(connection: sqlite3.Connection, name: str) -> None:
    for step in plan(connection, STATEMENTS[name]):
        if step.startswith("SCAN"):
            assert _WALKED.match(step), step
        assert name in _SORTED or "TEMP B-TREE" not in step, step


@pytest.mark.parametrize(
    "name", ["standing_by_number", "advance", "advance_all", "recheck", "load", "release", "own", "set_ready"]
)
def test_instances_are_found_by_their_number(connection: sqlite3.Connection, name: str) -> None:
    (found,) = (step for step in plan(connection, STATEMENTS[name]) if "instance" in step and "w." not in step)
    assert found == "SEARCH instance USING INTEGER PRIMARY KEY (rowid=?)"


def test_pages_go_on_at_their_key(connection: sqlite3.Connection) -> None:
    assert plan(connection, STATEMENTS["page_of_instant"]) == [
        "SEARCH instance USING INDEX instance_created (hub=? AND created=? AND n>?)"
    ]
    assert plan(connection, STATEMENTS["page_by_status"]) == [
        "SEARCH instance USING INDEX instance_status (hub=? AND status=? AND n>?)"
    ]


def test_a_view_finds_one_instance_without_walking_the_others(connection: sqlite3.Connection) -> None:
    for view, column in (("Instances", "id"), ("HistoryEvents", "instance")):
        steps = plan(connection, f"SELECT * FROM {view} WHERE {column} = 'x'")
        assert any("instance_id (hub=? AND id=?)" in step for step in steps), steps


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two statements are named a"):
        parse("-- name: a\nSELECT 1\n-- name: a\nSELECT 2")
