"""Status and history in the documented JSON shape (http-api.md 3 and 3.1)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from perdure.model import history as h
from perdure.model.failure import FailureDetails
from perdure.model.history_view import full_time, history_json, raw_payload, status_json, whole_seconds
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus

SECOND = 1_000_000
FAILURE = FailureDetails("ValueError", "boom", "builtins", "stack", FailureDetails("KeyError", "'x'", "builtins"))


def record(**fields: Any) -> InstanceRecord:
    values: dict[str, Any] = {
        "n": 1, "instance_id": "i", "kind": InstanceKind.ORCHESTRATION, "name": "Orch", "version": "",
        "generation": 2, "turn": 1, "status": RuntimeStatus.RUNNING, "owner": 1, "created": 1_500_000,
    }  # fmt: skip
    return InstanceRecord(**{**values, **fields})


def shown(
    *events: h.HistoryEvent, show_input: bool = True, show_output: bool = True, show_task_inputs: bool = True
) -> list[dict[str, Any]]:
    view = history_json(
        record(), events, show_input=show_input, show_output=show_output, show_task_inputs=show_task_inputs
    )
    decoded: list[dict[str, Any]] = json.loads(msgspec.json.encode(view))
    return decoded


def plain(status: dict[str, Any]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(msgspec.json.encode(status))
    return decoded


def test_times() -> None:
    assert whole_seconds(1_500_000) == "1970-01-01T00:00:01Z"
    assert full_time(1_500_001) == "1970-01-01T00:00:01.5000010Z"


def test_status() -> None:
    status = plain(status_json(record(input='"{\\"a\\": 1}"', output='{"x":[1]}', custom_status="null")))
    assert list(status) == [
        "name", "instanceId", "runtimeStatus", "input", "customStatus", "output", "createdTime", "lastUpdatedTime",
    ]  # fmt: skip
    assert (status["input"], status["output"], status["customStatus"]) == ('{"a": 1}', {"x": [1]}, None)
    assert (status["createdTime"], status["lastUpdatedTime"]) == ("1970-01-01T00:00:01Z",) * 2
    assert plain(status_json(record(input="1"), show_input=False))["input"] is None


def test_what_a_rewind_runs_again_waits_again() -> None:
    begun = [
        h.OrchestratorStarted(SECOND),
        h.TaskScheduled(0, "act", "7"),
        h.SubOrchestrationInstanceCreated(1, "kid", "i:1", "8"),
        h.OrchestratorStarted(2 * SECOND),
        h.TaskFailed(0, "why"),
        h.SubOrchestrationInstanceFailed(1, "why"),
        h.OrchestratorStarted(3 * SECOND),
        h.ExecutionRewound("again", (0, 1), 3 * SECOND),
    ]
    rewound = shown(*begun)
    assert [event["EventType"] for event in rewound] == [
        "TaskFailed", "SubOrchestrationInstanceFailed", "ExecutionRewound", "TaskScheduled",
        "SubOrchestrationInstanceCreated",
    ]  # fmt: skip
    assert rewound[3] == {"EventType": "TaskScheduled", "Timestamp": full_time(3 * SECOND), "Name": "act", "Input": "7"}
    ended = shown(
        *begun, h.OrchestratorStarted(4 * SECOND), h.TaskCompleted(0, "1"), h.SubOrchestrationInstanceFailed(1, "no")
    )
    assert [event["EventType"] for event in ended] == [
        "TaskFailed", "SubOrchestrationInstanceFailed", "ExecutionRewound", "TaskCompleted",
        "SubOrchestrationInstanceFailed",
    ]  # fmt: skip
    for event, time in zip(ended, (1, 1, None, 3, 3), strict=True):
        if time is not None:
            assert event["ScheduledTime"] == full_time(time * SECOND)
            assert (event["FunctionName"], event["Input"]) in (("act", "7"), ("kid", "8"))


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        (None, "null"),
        ("", "null"),
        ('{"a": [1, "\u00e9"] }', '{"a":[1,"\u00e9"]}'),
        ('{"n": 1e400, "i": 123456789012345678901234567890}', '{"n":1e400,"i":123456789012345678901234567890}'),
        ("[NaN, -Infinity, 1e400, 1.5]", '["NaN","-Infinity","1e400",1.5]'),
        ('"\\ud800"', '"\\ud800"'),
        ("no JSON", '"no JSON"'),
    ],
)
def test_payloads_are_compact_json_that_everyone_can_read(stored: str | None, given: str) -> None:
    assert bytes(raw_payload(stored)).decode() == given


def test_history_only_when_asked_for_and_begun() -> None:
    events = [h.ExecutionStarted("Orch")]
    assert "historyEvents" not in status_json(record(), events)
    assert "historyEvents" not in status_json(record(status=RuntimeStatus.PENDING), events, show_history=True)
    assert len(status_json(record(), events, show_history=True)["historyEvents"]) == 1
    assert status_json(record(), [], show_history=True)["historyEvents"] == []


def test_payloads_are_embedded_untouched() -> None:
    text = '{"when":"2024-01-01T00:00:00.100Z","big":12345678901234567890,"f":1.0}'
    assert text.encode() in msgspec.json.encode(status_json(record(output=text)))


def test_completions_absorb_what_scheduled_them() -> None:
    events = shown(
        h.OrchestratorStarted(1 * SECOND),
        h.ExecutionStarted("Orch", '"x"'),
        h.TaskScheduled(0, "A", "1"),
        h.TaskScheduled(1, "B", "2"),
        h.TaskScheduled(2, "Open", "3"),
        h.OrchestratorStarted(5 * SECOND),
        h.TaskCompleted(0, '{"r": 1}', timestamp=4 * SECOND),
        h.TaskFailed(1, "Activity function 'B' failed:  ValueError: boom", None, FAILURE),
    )
    assert events == [
        {
            "EventType": "ExecutionStarted", "Timestamp": "1970-01-01T00:00:01.0000000Z", "FunctionName": "Orch",
            "Input": '"x"', "Correlation": None, "ScheduledStartTime": None, "Generation": 2,
        },
        {
            "EventType": "TaskScheduled", "Timestamp": "1970-01-01T00:00:01.0000000Z", "Name": "Open", "Input": "3",
        },
        {
            "EventType": "TaskCompleted", "Timestamp": "1970-01-01T00:00:04.0000000Z",
            "ScheduledTime": "1970-01-01T00:00:01.0000000Z", "FunctionName": "A", "Input": "1", "Result": {"r": 1},
        },
        {
            "EventType": "TaskFailed", "Timestamp": "1970-01-01T00:00:05.0000000Z",
            "ScheduledTime": "1970-01-01T00:00:01.0000000Z", "FunctionName": "B", "Input": "2",
            "Reason": "Activity function 'B' failed:  ValueError: boom", "Details": None,
            "FailureDetails": {
                "ErrorType": "builtins.ValueError", "ErrorMessage": "boom", "StackTrace": "stack",
                "InnerFailure": {
                    "ErrorType": "builtins.KeyError", "ErrorMessage": "'x'", "StackTrace": "", "InnerFailure": None,
                    "IsNonRetriable": False,
                },
                "IsNonRetriable": False,
            },
        },
    ]  # fmt: skip


def test_what_tasks_were_given_is_null_unless_the_app_stores_it() -> None:
    events = (
        h.ExecutionStarted("Orch", "1"),
        h.TaskScheduled(0, "A", "2"),
        h.SubOrchestrationInstanceCreated(1, "Child", "c", "3"),
        h.TaskScheduled(2, "B", "4"),
        h.TaskCompleted(0, "5"),
    )
    inputs = {event.get("FunctionName") or event["Name"]: event["Input"] for event in shown(*events)}
    assert inputs == {"Orch": "1", "A": "2", "Child": "3", "B": "4"}
    inputs = {
        event.get("FunctionName") or event["Name"]: event["Input"] for event in shown(*events, show_task_inputs=False)
    }
    assert inputs == {"Orch": "1", "A": None, "Child": None, "B": None}
    status = status_json(record(), events, show_history=True)
    assert [event["Input"] for event in status["historyEvents"]] == ["1", None, None, None]


def test_inputs_and_outputs_only_when_shown() -> None:
    events = (
        h.ExecutionStarted("Orch", "1"),
        h.TaskScheduled(0, "A", "1"),
        h.TaskCompleted(0, "2"),
        h.EventRaised("E", "3"),
        h.ExecutionCompleted(1, "4"),
    )
    for event in shown(*events, show_input=False, show_output=False):
        assert "Input" not in event and "Result" not in event


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (h.SubOrchestrationInstanceCreated(0, "Child", "c", "1"), {"Name": "Child", "InstanceId": "c", "Input": "1"}),
        (h.TimerCreated(0, SECOND), {"FireAt": "1970-01-01T00:00:01.0000000Z"}),
        (h.TimerFired(0, SECOND), {"FireAt": "1970-01-01T00:00:01.0000000Z"}),
        (h.EventRaised("E", '{"a": 1}'), {"Name": "E", "Input": '{"a": 1}'}),
        (h.EventRaised("E", '{"a": 1}', client=True), {"Name": "E", "Input": '"{\\"a\\": 1}"'}),
        (h.EventSent(0, "other", "E", "1"), {"InstanceId": "other", "Name": "E", "Input": "1"}),
        (h.ExecutionSuspended("why"), {"Reason": "why"}),
        (h.ExecutionResumed(None), {"Reason": None}),
        (h.ExecutionTerminated('"why"'), {"Input": "why"}),
        (h.ExecutionTerminated("123"), {"Input": "123"}),
        (h.ExecutionTerminated(None), {"Input": None}),
        (h.ExecutionTerminated("no JSON"), {"Input": "no JSON"}),
        (
            h.ExecutionRewound("why", (1,)),
            {"Reason": "why", "ParentExecutionId": None, "InstanceId": "i"},
        ),
        (
            h.ExecutionCompleted(1, '"out"'),
            {"OrchestrationStatus": "Completed", "Result": "out", "FailureDetails": None},
        ),
        (h.ContinueAsNew("[1]"), {"OrchestrationStatus": 2, "Result": [1], "FailureDetails": None}),
        (
            h.EntityOperationSignaled(0, "@a@b", "op", "1", SECOND),
            {"InstanceId": "@a@b", "Name": "op", "Input": "1", "FireAt": "1970-01-01T00:00:01.0000000Z"},
        ),
        (h.EntityLocksRequested(0, ("@a@b",)), {"Entities": ["@a@b"]}),
        (h.EntityLockGranted(0), {}),
    ],
)
def test_every_kind(event: h.HistoryEvent, fields: dict[str, Any]) -> None:
    (only,) = shown(event)
    kind, time = type(event).__name__, "1970-01-01T00:00:00.0000000Z"
    assert only == {"EventType": kind, "Timestamp": time, **fields}


def test_children_and_entity_calls_are_absorbed_too() -> None:
    events = shown(
        h.SubOrchestrationInstanceCreated(0, "Child", "c", "1"),
        h.EntityOperationCalled(1, "@a@b", "op", "2"),
        h.EntityOperationCalled(2, "@a@b", "bad", "3"),
        h.SubOrchestrationInstanceFailed(0, "reason", "details"),
        h.EntityOperationCompleted(1, "4"),
        h.EntityOperationFailed(2, "boom"),
    )
    assert [(e["EventType"], e["FunctionName"], e["Input"]) for e in events] == [
        ("SubOrchestrationInstanceFailed", "Child", "1"),
        ("EntityOperationCompleted", "op", "2"),
        ("EntityOperationFailed", "bad", "3"),
    ]


def test_completion_without_its_scheduling_event_is_shown_alone() -> None:
    assert shown(h.TaskCompleted(5, "1")) == [
        {"EventType": "TaskCompleted", "Timestamp": "1970-01-01T00:00:00.0000000Z", "Result": 1}
    ]
