"""`perdure logs`, `backup` and `doctor` in an app folder."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import perdure
from perdure.cli.main import main
from perdure.host.logs.log import ERROR, INFORMATION, Record
from perdure.host.logs.log_file import LogFile, log_path, older

Run = Callable[..., tuple[int, str, str]]
NOW = 1_767_225_600_000_000


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PERDURE_STORE", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def record(text: str, level: int = INFORMATION, function: str = "", instance: str = "") -> Record:
    return Record(NOW, level, "Function.x", text, function, "", instance)


def test_logs(run: Run, tmp_path: Path) -> None:
    assert run("logs")[0] == 1
    assert "There is no log yet: 'perdure start' writes" in run("logs")[2]
    file = LogFile(log_path(tmp_path, "TestHubName"))
    file.write([record("one", function="Step"), record("two\nlines", ERROR, instance="i1")])
    assert run("logs")[1].splitlines() == [
        "[2026-01-01T00:00:00.000Z] one",
        "[2026-01-01T00:00:00.000Z] two",
        "[2026-01-01T00:00:00.000Z] lines",
    ]
    assert "one" not in run("logs", "--level", "error")[1]
    LogFile(log_path(tmp_path, "Other")).write([record("three")])
    assert run("logs", "--task-hub-name", "TESTHUBNAME")[1] == run("logs")[1]
    assert run("logs", "--task-hub-name", "oTHER")[1].endswith("three\n")
    assert "nobody.log" in run("logs", "--task-hub-name", "nobody")[2]
    assert run("logs", "--instance", "i1")[1].count("\n") == 2
    assert run("logs", "--function", "step")[1].endswith("one\n")
    assert run("logs", "--tail", "1")[1].count("\n") == 2
    line = json.loads(run("logs", "-n", "1", "--json")[1])
    assert (line["time"], line["level"], line["message"]) == ("2026-01-01T00:00:00.0000000Z", "Error", "two\nlines")
    code, _, err = run("logs", "--level", "loud")
    assert (code, err.startswith("--level: 'loud' is no level. Expected one of Trace, Debug,")) == (2, True)
    with log_path(tmp_path, "TestHubName").open("ab") as torn:
        torn.write(b'{"time": 1, "le\n{"half')
    assert run("logs")[1].count("\n") == 3, "what is torn is left out"


def test_files_are_rotated(run: Run, tmp_path: Path) -> None:
    path = log_path(tmp_path, "TestHubName")
    first, second = LogFile(path, largest=400, kept=3), LogFile(path, largest=400, kept=3)
    for number in range(40):
        (first if number % 2 else second).write([record(f"line {number:02}")])
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, *(f"{path.name}.{n}" for n in (1, 2, 3))]
    assert all(older(path, number).stat().st_size < 800 for number in (1, 2, 3))
    shown = [line[-2:] for line in run("logs")[1].splitlines()]
    assert shown == [f"{number:02}" for number in range(40)][-len(shown) :], "in order, the newest last"
    assert len(shown) > 8


def test_backup(run: Run, tmp_path: Path) -> None:
    code, _, err = run("backup", "copy.db")
    assert (code, err.startswith("There is no store")) == (1, True)
    with perdure.client(f"sqlite:///{tmp_path}/.perdure/TestHubName.db", task_hub="TestHubName", sync=True) as client:
        client.start_new("x", "one")
        code, out, _ = run("backup", "copy.db")
    assert (code, out.startswith("Copied ")) == (0, True)
    with sqlite3.connect("copy.db") as copy:
        assert copy.execute("SELECT id FROM instance").fetchall() == [("one",)]
    code, _, err = run("backup", "copy.db")
    assert (code, "exists already" in err) == (1, True)
    code, _, err = run("backup", "nowhere/copy.db")
    assert (code, err) == (1, f"There is no folder {tmp_path}/nowhere to copy to.\n")
    for hub in ("One", "Two"):
        with perdure.client(f"sqlite:///{tmp_path}/both.db", task_hub=hub, sync=True) as client:
            client.start_new("x", hub)
    assert run("backup", "both-copy.db", "--store", f"sqlite:///{tmp_path}/both.db")[0] == 0
    with sqlite3.connect("both-copy.db") as copy:
        assert copy.execute("SELECT id FROM instance").fetchall() == [("One",), ("Two",)], "with all its hubs"
    assert "pg_dump" in run("backup", "x", "--store", "postgresql://nobody@nowhere/x")[2]
    assert run("backup")[0] == 2


def test_doctor(run: Run, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        "import azure.functions as func\nimport azure.durable_functions as df\nprint('noise')\napp = df.DFApp()\n\n\n"
        "@app.activity_trigger(input_name='x')\ndef step(x: int) -> int:\n    return x\n"
    )
    code, out, _ = run("doctor")
    assert code == 0, out
    assert "1 function: step" in out
    assert "A durable write takes" in out
    (tmp_path / "function_app.py").write_text("import nothing_of_this_name\n")
    code, out, _ = run("doctor", "--json")
    assert code == 1
    wrong = [finding["text"] for finding in json.loads(out) if finding["state"] == "error"]
    assert "nothing_of_this_name" in wrong[0]
    (tmp_path / "host.json").write_text("{")
    assert run("doctor")[0] == 1
