"""Formats of log lines, and the thread that writes them."""

from __future__ import annotations

import json
from pathlib import Path

from perdure.host.logs.console import Console, console_format, json_format, plain_format
from perdure.host.logs.log import ERROR, INFORMATION, WARNING, Record

TIME = 1_719_096_020_123_456


def test_console_lines() -> None:
    write = console_format(coloured=False)
    assert write(Record(TIME, INFORMATION, "Host", "text")) == "[2024-06-22T22:40:20.123Z] text\n"
    assert write(Record(TIME, ERROR, "Host", "a\n  b")) == (
        "[2024-06-22T22:40:20.123Z] a\n[2024-06-22T22:40:20.123Z]   b\n"
    )


def test_console_colours() -> None:
    write = console_format(coloured=True)
    assert write(Record(TIME, WARNING, "Host", "w")) == ("\x1b[90m[2024-06-22T22:40:20.123Z] \x1b[0m\x1b[33mw\x1b[0m\n")


def test_plain_lines() -> None:
    assert plain_format()(Record(TIME, INFORMATION, "Host", "text")) == "2024-06-22T22:40:20Z [Information] text\n"
    assert plain_format()(Record(TIME, 35, "Host", "text")) == "2024-06-22T22:40:20Z [Warning] text\n"


def test_json_lines() -> None:
    record = Record(TIME, ERROR, "Function.F.User", 'a "b"\nc', "F", "inv", "inst", 12, "MainThread")
    assert json.loads(json_format()(record)) == {
        "time": "2024-06-22T22:40:20.123456Z",
        "level": "Error",
        "category": "Function.F.User",
        "message": 'a "b"\nc',
        "function": "F",
        "invocationId": "inv",
        "instanceId": "inst",
        "process": 12,
        "thread": "MainThread",
    }


def test_everything_is_written_in_order(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        console = Console(stream)
        for number in range(3000):
            console.text(f"line {number} \udc80é")
        console.record(Record(TIME, INFORMATION, "Host", "end"))
        console.close()
    lines = (tmp_path / "out").read_text("utf-8").splitlines()
    assert lines[:2] == ["line 0 \\udc80é", "line 1 \\udc80é"]
    assert len(lines) == 3001
    assert lines[-1] == "[2024-06-22T22:40:20.123Z] end"


def test_json_output_holds_nothing_else(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stream:
        console = Console(stream, "json")
        console.text("Functions:")
        console.close()
    assert (tmp_path / "out").read_text() == ""
