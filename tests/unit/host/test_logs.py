"""Levels by category, the lines of function runs."""

from __future__ import annotations

import logging

import pytest

from perdure.host.logs.library_logs import library_logs
from perdure.host.logs.log import DEBUG, ERROR, HOST_API, INFORMATION, WARNING, HostLog, LevelFilter, Record
from perdure.host.protocol.messages import LogLine
from perdure.model.failure import FailureDetails


def log(levels: dict[str, str] | None = None, **options: str) -> tuple[HostLog, list[Record]]:
    records: list[Record] = []
    return HostLog(
        records.append, LevelFilter(levels or {}, options.get("user"), bool(options.get("verbose")))
    ), records


@pytest.mark.parametrize(
    ("levels", "user", "verbose", "category", "lowest"),
    [
        ({}, None, False, "Function.A.User", INFORMATION),
        ({}, None, False, "Function.A", INFORMATION),
        ({}, None, False, "Host.Triggers.DurableTask", WARNING),
        ({}, None, True, "Host.Triggers.DurableTask", INFORMATION),
        ({}, None, False, "Worker", WARNING),
        ({}, None, False, "DurableTask.Core", 100),
        ({"DurableTask.Core": "Debug"}, None, False, "DurableTask.Core", DEBUG),
        ({"default": "Warning"}, None, False, "Function.A.User", WARNING),
        ({"default": "Debug"}, None, False, "Host.General", DEBUG),
        ({"default": "Warning"}, "Information", False, "Function.A.User", INFORMATION),
        ({"Function": "Error", "Function.A.User": "Debug"}, None, False, "Function.A.User", DEBUG),
        ({"function": "Error"}, None, False, "Function.B", ERROR),
        ({}, "None", False, "Function.A", 100),
    ],
)
def test_lowest_level_of_a_category(
    levels: dict[str, str], user: str | None, verbose: bool, category: str, lowest: int
) -> None:
    assert LevelFilter(levels, user, verbose).lowest(category) == lowest


def test_lines_of_a_run() -> None:
    host_log, records = log()
    host_log.executing("Hello", "id-1", HOST_API)
    host_log.executed("Hello", "id-1", 12.4)
    host_log.executing("Fan", "id-2", instance_id="i")
    assert [record.text for record in records] == [
        "Executing 'Functions.Hello' (Reason='This function was programmatically called via the host APIs.', Id=id-1)",
        "Executed 'Functions.Hello' (Succeeded, Id=id-1, Duration=12ms)",
        "Executing 'Functions.Fan' (Reason='(null)', Id=id-2)",
    ]
    assert records[2].instance_id == "i"


def test_failed_run_shows_the_exception() -> None:
    host_log, records = log()
    failure = FailureDetails("ValueError", "no", stack_trace='  File "a.py", line 3, in f\n    raise ValueError\n')
    host_log.executed("F", "id", 3.0, failure)
    assert records[0].level == ERROR
    assert records[0].text.split("\n") == [
        "Executed 'Functions.F' (Failed, Id=id, Duration=3ms)",
        "Result: Failure",
        "Exception: ValueError: no",
        'Stack:   File "a.py", line 3, in f',
        "    raise ValueError",
    ]


def test_hidden_levels_are_not_made() -> None:
    host_log, records = log({"Function": "Error"})
    host_log.executing("F", "id")
    host_log.executed("F", "id", 1.0)
    host_log.user(LogLine(time=1, level=WARNING, text="x", function="F"))
    assert records == []


def test_user_lines_keep_their_time_and_place() -> None:
    host_log, records = log()
    host_log.user(LogLine(5, INFORMATION, "text", "F", "inv", "inst", "my.logger", "MainThread", 7))
    host_log.user(LogLine(6, INFORMATION, "printed while the app loads"))
    assert records[0] == Record(5, INFORMATION, "Function.F.User", "text", "F", "inv", "inst", 7, "MainThread")
    assert records[1].text == "printed while the app loads"


def test_some_lines_are_always_shown() -> None:
    host_log, records = log()
    host_log.write("Host.General", INFORMATION, "Host lock lease acquired by instance ID 'x'.")
    host_log.write("Host.General", INFORMATION, "hidden")
    assert [record.text for record in records] == ["Host lock lease acquired by instance ID 'x'."]


def test_warnings_of_libraries_are_records_too() -> None:
    host_log, records = log()
    with library_logs(host_log):
        logging.getLogger("perdure.storage.sqlite").warning("a checkpoint failed: %s", "disk full")
        logging.getLogger("asyncio").info("not worth a line")
        try:
            raise ValueError("no")
        except ValueError:
            logging.getLogger("asyncio").exception("a task failed")
    logging.getLogger("asyncio").warning("after the end")
    assert [(record.category, record.level) for record in records] == [
        ("Host.storage.sqlite", WARNING),
        ("Host.asyncio", ERROR),
    ]
    assert records[0].text == "a checkpoint failed: disk full"
    assert records[1].text.startswith("a task failed\nTraceback")
