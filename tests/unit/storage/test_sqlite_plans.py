from __future__ import annotations

import re
import sqlite3

import pytest

from perdure.storage.sqlite.statements import INDEXES, MIGRATIONS, STATEMENTS, VIEWS, parse

#: what may be walked: lists that the caller gave, results with a limit, the few rows of hubs and of hosts
_WALKED = re.compile(
    r"SCAN ((json_each|w|h) VIRTUAL TABLE .*|CONSTANT ROW|\(?subquery-\d+\)?|hub.*|host( USING INDEX host_unswept)?)$"
)
#: sorted in memory: what waits for one host, the names in one piece of a count, the operations on one instance, the
#: hubs of a name; all are bounded
_SORTED = {
    "waiting_messages",
    "count_by_created",
    "count_by_status",
    "count_by_id",
    "audit_of_hub",
    "audit_of_instance",
    "hub_of_name",
}


@pytest.fixture(scope="module")
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript("\n".join(MIGRATIONS) + INDEXES + VIEWS)
    connection.create_function("durable_key", 1, str.lower, deterministic=True)
    return connection


def plan(connection: sqlite3.Connection, statement: str) -> list[str]:
    numbered = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    places = max(numbered) if numbered else statement.count("?")
    rows = connection.execute("EXPLAIN QUERY PLAN " + statement, [None] * places)
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


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bound_by_created", "COVERING INDEX instance_created (hub=? AND created>? AND created<?)"),
        ("bound_by_status", "COVERING INDEX instance_status (hub=? AND status=? AND n>?)"),
        ("bound_by_id", "COVERING INDEX instance_id (hub=? AND id>? AND id<?)"),
        ("count_in_index", "COVERING INDEX instance_status (hub=? AND status=? AND n>? AND n<?)"),
        ("count_by_created", "INDEX instance_created (hub=? AND created>? AND created<?)"),
        ("count_by_status", "INDEX instance_status (hub=? AND status=? AND n>? AND n<?)"),
        ("count_by_id", "INDEX instance_id (hub=? AND id>? AND id<?)"),
    ],
)
def test_a_piece_of_a_count_is_a_range_of_an_index(connection: sqlite3.Connection, name: str, found: str) -> None:
    assert plan(connection, STATEMENTS[name])[0] == f"SEARCH instance USING {found}"


def test_a_view_finds_one_instance_without_walking_the_others(connection: sqlite3.Connection) -> None:
    for view, column in (("Instances", "id"), ("HistoryEvents", "instance")):
        steps = plan(connection, f"SELECT * FROM {view} WHERE {column} = 'x'")
        assert any("instance_id (hub=? AND id=?)" in step for step in steps), steps


def test_two_statements_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two statements are named a"):
        parse("-- name: a\nSELECT 1\n-- name: a\nSELECT 2")


def test_a_turn_that_changes_no_status_leaves_its_index_alone(connection: sqlite3.Connection) -> None:
    (index,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'instance_status'").fetchone()

    def written(name: str) -> set[int]:
        statement = STATEMENTS[name]
        steps = connection.execute("EXPLAIN " + statement, [None] * statement.count("?"))
        return {step[3] for step in steps if step[1] == "OpenWrite"}

    assert index not in written("advance")
    assert index in written("advance_all")
