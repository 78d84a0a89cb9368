"""`perdure durable ...` on a store whose host is down: what it prints, its exit codes, its JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perdure.cli.durable.app import prepared
from perdure.cli.durable.output import Column, Narrow, cell, print_table
from perdure.cli.durable.shapes import history_json
from perdure.cli.main import main
from perdure.host.client_hubs import hub_names
from perdure.host.settings.store_url import parse_store_url
from perdure.model import history as h
from perdure.model.failure import FailureDetails
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a durable command in an app folder; exit code, output, error output."""
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    monkeypatch.chdir(tmp_path)
    for name in ("PERDURE_STORE", "WEBSITE_SITE_NAME"):
        monkeypatch.delenv(name, raising=False)

    def call(*words: str, answer: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        code = main(["durable", *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def json_of(run: Run, *words: str) -> Any:
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out)


def test_start_and_status(run: Run) -> None:
    code, out, _ = run("start-new", "--function-name", "hello", "--id", "one", "--input", '{"a": [1, 2]}')
    assert code == 0
    assert out.startswith("Started 'hello' at 20")
    assert out.endswith("Instance ID: 'one'.\n")
    state = json_of(run, "get-runtime-status", "--id", "one", "--show-input", "true")
    assert set(state) == {
        "CompletedTime", "CompressedSize", "CreatedTime", "Input", "LastUpdatedTime", "Name", "OrchestrationInstance",
        "OrchestrationStatus", "RuntimeStatus", "Output", "ParentInstance", "Size", "Status", "Tags", "Version",
        "Generation", "ScheduledStartTime", "FailureDetails",
    }  # fmt: skip
    assert (state["Name"], state["Input"], state["OrchestrationStatus"]) == ("hello", '{"a":[1,2]}', 6)
    assert state["RuntimeStatus"] == "Pending"
    assert state["OrchestrationInstance"]["InstanceId"] == "one"
    assert json_of(run, "get-runtime-status", "one")["Input"] is None
    code, out, _ = run("get-runtime-status", "one")
    assert "Status        Pending" in out


def test_a_second_start_is_refused(run: Run) -> None:
    run("start-new", "--function-name", "hello", "--id", "one")
    code, _, err = run("start-new", "--function-name", "hello", "--id", "one")
    assert code == 1
    assert err.startswith("Could not start new instance 'one'. An Orchestration instance with the status Pending")
    code, out, _ = run("start-new", "--function-name", "other", "--id", "one", "--if-exists", "return")
    assert (code, out.startswith("Nothing was started: instance 'one' of 'hello' is there since 20")) == (0, True)
    assert out.endswith("its status is Pending.\n")
    assert json_of(run, "start-new", "--function-name", "x", "--id", "one", "--if-exists", "return")["Name"] == "hello"
    assert run("start-new", "--function-name", "hello", "--id", "a/b")[0] == 1


@pytest.mark.parametrize(
    ("flags", "stored"),
    [
        (("--input", "Tokyo"), '"Tokyo"'),
        (("--input", '"Tokyo"'), '"Tokyo"'),
        (("--input", "5"), "5"),
        (("--input", "null"), "null"),
        (("--input-text", "5"), '"5"'),
        (("--input", "@in.json"), '{"x":"ö"}'),
        ((), None),
    ],
)
def test_inputs(run: Run, flags: tuple[str, ...], stored: str | None) -> None:
    Path("in.json").write_text('{"x": "ö"}', "utf-8")
    run("start-new", "--function-name", "hello", "--id", "one", *flags)
    assert json_of(run, "get-runtime-status", "one", "--show-input")["Input"] == stored


def test_wrong_inputs(run: Run) -> None:
    start = ("start-new", "--function-name", "hello")
    assert run(*start, "--input", "@nowhere.json")[::2] == (1, "Could not find input file at 'nowhere.json'\n")
    Path("bad.json").write_text("{")
    code, _, err = run(*start, "--input", "@bad.json")
    assert (code, "holds no JSON" in err) == (1, True)
    assert run(*start, "--input", "1", "--input-text", "1")[0] == 2
    assert run("get-instances", "--created-after", "soon")[0] == 2
    assert "no runtime status" in run("get-instances", "--runtime-status", "running lost")[2]


@pytest.mark.parametrize(
    "words",
    [
        ("get-runtime-status", "--id", "nobody"),
        ("get-history", "--id", "nobody"),
        ("raise-event", "--id", "nobody", "--event-name", "x"),
        ("terminate", "--id", "nobody"),
        ("suspend", "--id", "nobody"),
        ("resume", "--id", "nobody"),
        ("rewind", "--id", "nobody"),
        ("restart", "--id", "nobody"),
        ("wait", "nobody"),
        ("why", "nobody"),
        ("purge-history", "--id", "nobody", "--yes"),
        ("get-entity", "@counter@a"),
    ],
)
def test_what_is_not_there_is_exit_code_4(run: Run, words: tuple[str, ...]) -> None:
    code, _, err = run(*words)
    assert code == 4
    assert len(err.strip().splitlines()) == 1, "one line, no traceback"


def test_time_outs_are_exit_code_5(run: Run) -> None:
    run("start-new", "--function-name", "hello", "--id", "one")
    assert run("wait", "one", "--timeout", "0.05")[0] == 5
    code, out, err = run("terminate", "--id", "one", "--reason", "x", "--timeout", "0.05")
    assert code == 5
    assert "Sent a termination message to instance 'one'. Waiting up to 0.05 seconds" in out
    assert err.startswith("Instance did not terminate within the given timeout.")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("nothing",), "No such command"),
        (("start-new",), "--function-name"),
        (("get-runtime-status",), "Which instance? Give its id: --id ID."),
        (("get-runtime-status", "a", "--id", "b"), "Which instance, 'a' or 'b'? Give one id."),
        (("get-history", "--wat"), "No such option"),
        (("get-instances", "--url", "ftp://x"), "--url: 'ftp://x' is no address of a host. Expected http://"),
        (("get-instances", "--url", "http://"), "is no address of a host"),
        (("get-instances", "--store", "mysql://x"), "--store: 'mysql://x' names no store"),
        (("get-instances", "--task-hub-name", "a b"), "Task hub name 'a b' should contain only"),
        (("get-instances", "--store", "sqlite:///a.db", "--url", "http://x"), "Give --store or --url, not both"),
        (("purge-history", "--id", "a", "--runtime-status", "failed"), "Give --id, or times and statuses, not both."),
        (("purge-history", "--runtime-status", "running"), "Add --include-running to delete them."),
    ],
)
def test_usage_is_exit_code_2(run: Run, words: tuple[str, ...], text: str) -> None:
    code, out, err = run(*words)
    assert (code, text in " ".join(err.split())) == (2, True), out + err


def test_wrong_states_are_refused(run: Run) -> None:
    run("start-new", "--function-name", "hello", "--id", "one")
    code, _, err = run("rewind", "--id", "one")
    assert (code, err.startswith("Orchestration instance not rewound. Must have a status of 'Failed'")) == (1, True)
    code, _, err = run("resume", "--id", "one")
    assert (code, "in the Pending state" in err) == (1, True)
    assert run("restart", "--id", "one", "--same-id")[0] == 1
    assert run("restart", "--id", "one", "--restart-with-new-instance-id", "true")[0] == 0


def test_list(run: Run) -> None:
    for number in range(5):
        run("start-new", "--function-name", "hello", "--id", f"i{number}", "--tag", f"n={number}")
    first, err = run("get-instances", "--top", "2", "--json")[1:]
    assert [state["OrchestrationInstance"]["InstanceId"] for state in json.loads(first)] == ["i0", "i1"]
    token = err.split("'")[1]
    assert len(json_of(run, "get-instances", "--continuation-token", token)) == 3
    assert [s["Name"] for s in json_of(run, "get-instances", "--tag", "n=3")] == ["hello"]
    assert json_of(run, "get-instances", "--runtime-status", "completed failed") == []
    assert len(json_of(run, "get-instances", "--runtime-status", "PENDING")) == 5
    assert len(json_of(run, "get-instances", "--created-before", "2001-01-01")) == 0
    out = run("get-instances", "--id-prefix", "i4")[1]
    assert "i4" in out
    assert out.splitlines()[-1] == "Continuation token for next set of results: ''"
    code, _, err = run("get-instances", "--continuation-token", "wrong")
    assert (code, err.startswith("--continuation-token: unknown continuation 'wrong': pass on")) == (1, True)


def test_deleting_asks(run: Run) -> None:
    run("start-new", "--function-name", "hello", "--id", "one")
    code, _, err = run("delete-task-hub", answer="n\n")
    assert code == 1
    assert "Delete task hub TestHubName with 1 instance, running ones and entities included? [y/N]" in err
    assert len(json_of(run, "get-instances")) == 1
    assert json_of(run, "purge-history", "--yes") == {"InstancesDeleted": 0}, "it has not finished"
    code, out, _ = run("purge-history", "--include-running", "--runtime-status", "pending failed", answer="y\n")
    assert code == 0
    assert "whose runtime status matched one of the following: [Pending,Failed]" in out
    assert out.endswith("Instances deleted: 1\n")
    run("start-new", "--function-name", "hello", "--id", "two")
    run("signal-entity", "@counter@a", "--operation", "add")
    assert hubs() == ["TestHubName"]
    assert run("delete-task-hub", "--yes")[1] == "Task hub 'TestHubName' successfully deleted.\n"
    assert hubs() == []
    assert run("get-runtime-status", "two")[0] == 4
    assert hubs() == []
    run("start-new", "--function-name", "hello", "--id", "two")
    assert [entry["Operation"] for entry in json_of(run, "audit")] == ["start", "deleteTaskHub"]


def hubs() -> list[str]:
    return hub_names(parse_store_url(f"sqlite:///{Path.cwd()}/.perdure/TestHubName.db", "test", Path.cwd())) or []


def test_who_did_what(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    run("start-new", "--function-name", "hello", "--id", "one")
    run("raise-event", "one", "--event-name", "go")
    run("suspend", "one", "--reason", "lunch")
    run("start-new", "--function-name", "hello", "--id", "two")
    assert [(entry["Operation"], entry["Target"]) for entry in json_of(run, "audit")] == [
        ("start", "two"),
        ("suspend", "one"),
        ("raiseEvent:go", "one"),
        ("start", "one"),
    ]
    suspended = json_of(run, "audit", "one", "--top", "1")[0]
    assert suspended.pop("Time").startswith("20")
    assert suspended == {
        "Operation": "suspend",
        "Target": "one",
        "Who": "anna@laptop (command line)",
        "Reason": "lunch",
        "Result": "accepted",
    }
    out = run("audit", "--id", "one")[1]
    assert "suspend" in out and "lunch" in out
    run("purge-history", "--id", "one", "--yes")
    assert [entry["Operation"] for entry in json_of(run, "audit", "one")] == ["purge"]
    run("purge-history", "--include-running", "--yes")
    assert [(e["Operation"], e["Reason"], e["Result"]) for e in json_of(run, "audit")] == [
        ("purge", "everything", "1 instances deleted"),
        ("purge", None, "accepted"),
    ]


def test_a_dry_run_deletes_nothing(run: Run) -> None:
    run("start-new", "--function-name", "hello", "--id", "one")
    assert json_of(run, "purge-history", "--id", "one", "--dry-run", "--yes") == {"InstancesDeleted": 1}
    assert run("purge-history", "--id", "two", "--dry-run", "--yes")[0] == 4
    assert json_of(run, "purge-history", "--include-running", "--dry-run", "--yes") == {"InstancesDeleted": 1}
    assert len(json_of(run, "get-instances")) == 1


def test_signals(run: Run) -> None:
    text = "Signaled operation 'add' to entity '@counter@a'.\n"
    assert run("signal-entity", "@Counter@a", "--operation", "add", "--input", "1")[:2] == (0, text)
    assert run("signal-entity", "--entity-name", "Counter", "--entity-key", "a", "--op", "add")[:2] == (0, text)
    assert run("signal-entity", "counter")[0] == 2
    no_operation = "Which operation of entity '@counter@a'? Give its name: --operation NAME.\n"
    assert run("signal-entity", "@Counter@a") == (2, "", no_operation)
    assert json_of(run, "list-entities") == [], "no host has run it yet"
    assert "2 operations wait: 'add'." in run("why", "@counter@a")[1]


def test_other_stores_and_hubs(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("start-new", "--function-name", "hello", "--id", "one", "--task-hub-name", "Other")
    assert json_of(run, "get-instances") == []
    for name in ("Other", "OTHER"):
        assert len(json_of(run, "get-instances", "--task-hub-name", name)) == 1
    store = f"sqlite:///{tmp_path}/elsewhere.db"
    code, _, err = run("get-instances", "--store", store)
    assert (code, err) == (0, f"There is no file {tmp_path}/elsewhere.db yet: task hub TestHubName is empty.\n")
    run("start-new", "--function-name", "hello", "--store", store)
    assert len(json_of(run, "get-instances", "--store", store)) == 1
    monkeypatch.setenv("MyStore", store)
    assert len(json_of(run, "get-instances", "--connection-string-setting", "MyStore", "--json")) == 1
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    assert json_of(run, "get-instances", "--connection-string-setting", "AzureWebJobsStorage") == []
    code, _, err = run("get-instances", "--connection-string-setting", "Missing")
    assert (code, err.startswith("No storage connection string found")) == (1, True)
    assert run("get-instances", "--url", "http://127.0.0.1:9")[0] == 1
    (tmp_path / "host.json").unlink()
    assert run("get-instances")[0] == 1
    assert len(json_of(run, "get-instances", "--store", store)) == 1, "a store needs no app"


def test_switches_as_azure_tools_take_them() -> None:
    words = ["durable", "x", "--show-input", "true", "--show-output=false", "--input", "true"]
    assert prepared(words) == ["durable", "x", "--show-input", "--no-show-output", "--input", "true"]
    assert prepared(["--show-input=maybe"]) == ["--show-input=maybe"], "which is refused"
    assert prepared(["--restart-with-new-instance-id", "false"]) == ["--same-id"]
    assert prepared(["--task-hub", "x", "--prefix=y", "--op", "z"]) == [
        "--task-hub-name", "x", "--script-root=y", "--operation", "z",
    ]  # fmt: skip


def test_several_hubs_in_a_store(run: Run, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/both.db"
    for hub in ("One", "Two"):
        run("start-new", "--function-name", "hello", "--store", store, "--task-hub-name", hub)
    code, _, err = run("get-instances", "--store", store)
    assert (code, err.endswith("holds the task hubs One, Two: give --task-hub-name.\n")) == (1, True)


ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("width", "line", "note"),
    [
        (160, f"{ID}  hello_orchestrator  Completed  2026-11-28T18:37:00Z  2026-11-28T18:37:00Z  {{}}", ""),
        (88, f"{ID}  hello_orchestrator  Completed  2026-11-28T18:37:00Z", "Last updated, Custom status"),
        (80, f"{ID}  hello_orc…  Completed  2026-11-28T18:37:00Z", "Name, Last updated, Custom status"),
    ],
)
def test_a_row_is_one_line_on_any_usual_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, line: str, note: str
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    columns = (
        Column("Instance"), Column("Name", Narrow.CUT), Column("Status"), Column("Created"),
        Column("Last updated", Narrow.LEAVE_OUT), Column("Custom status", Narrow.LEAVE_OUT),
    )  # fmt: skip
    time = "2026-11-28T18:37:00Z"
    print_table(columns, [(ID, "hello_orchestrator", "Completed", time, time, "{}")])
    out = capsys.readouterr().out
    assert line in [shown.strip() for shown in out.splitlines()], out
    assert (f"Left out or cut at this width: {note}." in out) == bool(note)


def test_control_characters_do_not_reach_a_terminal() -> None:
    assert cell("a\x1b[31mb\n\tc\u202e") == "a [31mb c "


def test_histories_for_people_and_for_scripts() -> None:
    record = InstanceRecord(
        n=1, instance_id="i", kind=InstanceKind.ORCHESTRATION, name="o", version="", generation=0, turn=1,
        status=RuntimeStatus.RUNNING, owner=0, created=1,
    )  # fmt: skip
    failure = FailureDetails("ValueError", "boom", "builtins", "stack", FailureDetails("KeyError", "x"))
    shown = history_json(record, [h.TaskScheduled(0, "act"), h.TaskFailed(0, "why", None, failure)])
    assert shown[0]["Input"] is None, "what is null is there all the same"
    assert shown[1]["Details"] is None
    assert shown[1]["FailureDetails"]["ErrorMessage"] == "boom"
    assert shown[1]["FailureDetails"]["InnerFailure"]["ErrorType"] == "KeyError"
