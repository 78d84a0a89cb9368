"""Status and history in the documented JSON shape (http-api.md 3 and 3.1).

Payload texts are embedded without being decoded: `msgspec.Raw`. Encode the result with `msgspec.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from perdure.model import history as h
from perdure.model import trace_context
from perdure.model.failure import FailureDetails
from perdure.model.instance import InstanceRecord, RuntimeStatus

_Scheduling = h.TaskScheduled | h.SubOrchestrationInstanceCreated | h.EntityOperationCalled
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NULL = Raw(b"null")


def whole_seconds(microseconds: int) -> str:
    """A time as status payloads have it: ``2018-02-28T05:18:49Z``."""
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def full_time(microseconds: int) -> str:
    """A time as history has it: seven digits of a second, of which we know six."""
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def _text_of(payload: str | None) -> str | None:
    """A text that was stored as JSON; any other payload stays as it is."""
    try:
        value = json.loads(payload or "null")
    except ValueError:
        return payload
    return value if isinstance(value, str) else payload


def raw_payload(text: str | None) -> Raw:
    """A stored payload for embedding, as compact JSON; null for none.

    Python writes NaN and Infinity, which no other reader takes: they become texts, as the published host gives them.
    """
    if not text:
        return _NULL
    try:
        return Raw(msgspec.json.format(text.encode("utf-8"), indent=-1))
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Raw(_as_strict_json(text).encode("ascii"))


def _as_strict_json(text: str) -> str:
    def number(digits: str) -> float | str:
        value = float(digits)
        return value if math.isfinite(value) else digits

    try:
        return json.dumps(json.loads(text, parse_constant=str, parse_float=number), separators=(",", ":"))
    except (ValueError, RecursionError):
        return json.dumps(text)


def status_json(
    record: InstanceRecord,
    events: Iterable[h.HistoryEvent] | None = None,
    *,
    show_input: bool = True,
    show_history: bool = False,
    show_history_output: bool = False,
    show_task_inputs: bool = False,
) -> dict[str, Any]:
    """The status payload of an instance: eight keys, and `historyEvents` when shown and the instance has begun.

    `events` of one generation, oldest first. `show_task_inputs`: what activities and children were given, which the
    published host does not keep by default (`storeInputsInOrchestrationHistory`).
    """
    status: dict[str, Any] = {
        "name": record.name,
        "instanceId": record.instance_id,
        "runtimeStatus": record.status.label,
        "input": raw_payload(record.input if show_input else None),
        "customStatus": raw_payload(record.custom_status),
        "output": raw_payload(record.output),
        "createdTime": whole_seconds(record.created),
        "lastUpdatedTime": whole_seconds(record.updated or record.created),
    }
    if show_history and events is not None and record.status is not RuntimeStatus.PENDING:
        status["historyEvents"] = history_json(
            record,
            events,
            show_input=show_input,
            show_output=show_history_output,
            show_task_inputs=show_task_inputs,
        )
    return status


def history_json(
    record: InstanceRecord,
    events: Iterable[h.HistoryEvent],
    *,
    show_input: bool,
    show_output: bool,
    show_task_inputs: bool = False,
) -> list[dict[str, Any]]:
    """History events as the HTTP API shows them: completions have absorbed what scheduled them."""
    return _Shaping(record, show_input, show_output, show_task_inputs).run(events)


class _Scheduled(NamedTuple):
    """A scheduling event as it is shown until its result is there: `position` in the list of what is shown."""

    position: int
    kind: str
    time: int
    name: str
    fields: dict[str, Any]


class _Shaping:
    """One pass over the events of a generation; `time` is that of the turn under way."""

    def __init__(self, record: InstanceRecord, show_input: bool, show_output: bool, show_task_inputs: bool) -> None:
        self.record = record
        self.show_input = show_input
        self.show_output = show_output
        self.show_task_inputs = show_task_inputs
        self.time = 0
        self.shown: list[dict[str, Any] | None] = []
        #: by task id: what has no result yet, and what has one
        self.open: dict[int, _Scheduled] = {}
        self.closed: dict[int, _Scheduled] = {}

    def run(self, events: Iterable[h.HistoryEvent]) -> list[dict[str, Any]]:
        for event in events:
            if type(event) is h.OrchestratorStarted:
                self.time = event.timestamp
                continue
            shape = _SHAPES.get(type(event))
            if shape is not None:
                fields = shape(self, event)
                if fields is not None:
                    self.show(type(event).__name__, event.timestamp or self.time, fields)
                if type(event) is h.ExecutionRewound:
                    self.scheduled_again(event)
        return [event for event in self.shown if event is not None]

    def show(self, kind: str, time: int, fields: dict[str, Any]) -> None:
        self.shown.append({"EventType": kind, "Timestamp": full_time(time), **fields})

    def input(self, text: str | None) -> dict[str, Any]:
        return {"Input": text} if self.show_input else {}

    def opened(self, event: _Scheduling, name: str, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields of a scheduling event, which its completion will take over."""
        time = event.timestamp or self.time
        self.open[event.event_id] = _Scheduled(len(self.shown), type(event).__name__, time, name, fields)
        return fields

    def absorbed(self, task: int) -> dict[str, Any]:
        """What a completion takes over from its scheduling event, which is no longer shown then."""
        scheduled = self.open.pop(task, None)
        if scheduled is None:
            return {}
        self.closed[task] = scheduled
        self.shown[scheduled.position] = None
        given = {"Input": scheduled.fields["Input"]} if self.show_input else {}
        return {"ScheduledTime": full_time(scheduled.time), "FunctionName": scheduled.name, **given}

    def scheduled_again(self, event: h.ExecutionRewound) -> None:
        """Tasks whose failure a rewind voids wait again, from the rewind on."""
        time = event.timestamp or self.time
        for task in event.tasks:
            before = self.closed.pop(task, None)
            if before is not None:
                self.open[task] = before._replace(position=len(self.shown), time=time)
                self.show(before.kind, time, before.fields)

    # one method per shape; the table below says which event has which

    def execution_started(self, event: h.ExecutionStarted) -> dict[str, Any]:
        fields: dict[str, Any] = {"FunctionName": event.name, **self.input(event.input)}
        planned = full_time(event.scheduled_start_time) if event.scheduled_start_time else None
        fields.update(Correlation=None, ScheduledStartTime=planned, Generation=self.record.generation)
        record = self.record
        if record.trace is not None:
            fields.update(_parent(trace_context.orchestration_parent(record.trace, record.parent_n, *_which(record))))
        return fields

    def task_scheduled(self, event: h.TaskScheduled) -> dict[str, Any]:
        given = event.input if self.show_task_inputs else None
        parent: dict[str, Any] = {}
        record = self.record
        if record.trace is not None:
            kind = trace_context.ORCHESTRATION
            parent = _parent(trace_context.span(record.trace, kind, *_which(record), record.generation))
        return self.opened(event, event.name, {"Name": event.name, **self.input(given), **parent})

    def child_created(self, event: h.SubOrchestrationInstanceCreated) -> dict[str, Any]:
        given = event.input if self.show_task_inputs else None
        fields = {"Name": event.name, "InstanceId": event.instance_id, **self.input(given)}
        return self.opened(event, event.name, fields)

    def completed(self, event: h.TaskCompleted | h.SubOrchestrationInstanceCompleted) -> dict[str, Any]:
        fields = self.absorbed(event.task_scheduled_id)
        if self.show_output:
            fields["Result"] = raw_payload(event.result)
        return fields

    def failed(self, event: h.TaskFailed | h.SubOrchestrationInstanceFailed) -> dict[str, Any]:
        fields = self.absorbed(event.task_scheduled_id)
        fields.update(Reason=event.reason, Details=event.details, FailureDetails=failure_json(event.failure))
        return fields

    def timer(self, event: h.TimerCreated | h.TimerFired) -> dict[str, Any]:
        return {"FireAt": full_time(event.fire_at)}

    def event_raised(self, event: h.EventRaised) -> dict[str, Any]:
        parent = {} if event.trace is None else _parent(event.trace)
        return {"Name": event.name, **self.input(_as_raised(event)), **parent}

    def event_sent(self, event: h.EventSent) -> dict[str, Any]:
        return {"InstanceId": event.instance_id, "Name": event.name, **self.input(event.input)}

    def execution_completed(self, event: h.ExecutionCompleted) -> dict[str, Any]:
        fields: dict[str, Any] = {"OrchestrationStatus": RuntimeStatus(event.status).label}
        if self.show_output:
            fields["Result"] = raw_payload(event.result)
        fields["FailureDetails"] = failure_json(event.failure)
        return fields

    def continued(self, event: h.ContinueAsNew) -> dict[str, Any]:
        fields: dict[str, Any] = {"OrchestrationStatus": int(RuntimeStatus.CONTINUED_AS_NEW)}
        if self.show_output:
            fields["Result"] = raw_payload(event.input)
        fields["FailureDetails"] = None
        return fields

    def terminated(self, event: h.ExecutionTerminated) -> dict[str, Any]:
        # stored as the output of the instance: JSON; readers of histories know the reason as it was given
        return self.input(_text_of(event.input))

    def reasoned(self, event: h.ExecutionSuspended | h.ExecutionResumed) -> dict[str, Any]:
        return {"Reason": event.reason}

    def rewound(self, event: h.ExecutionRewound) -> dict[str, Any]:
        return {"Reason": event.reason, "ParentExecutionId": None, "InstanceId": self.record.instance_id}

    def entity_called(self, event: h.EntityOperationCalled) -> dict[str, Any]:
        fields = {"InstanceId": event.entity, "Name": event.operation, **self.input(event.input)}
        return self.opened(event, event.operation, fields)

    def entity_signaled(self, event: h.EntityOperationSignaled) -> dict[str, Any]:
        due = {"FireAt": full_time(event.due)} if event.due else {}
        return {"InstanceId": event.entity, "Name": event.operation, **self.input(event.input), **due}

    def entity_completed(self, event: h.EntityOperationCompleted) -> dict[str, Any]:
        fields = self.absorbed(event.task_scheduled_id)
        if self.show_output:
            fields["Result"] = raw_payload(event.result)
        return fields

    def entity_failed(self, event: h.EntityOperationFailed) -> dict[str, Any]:
        fields = self.absorbed(event.task_scheduled_id)
        fields.update(Reason=event.reason, FailureDetails=failure_json(event.failure))
        return fields

    def locks(self, event: h.EntityLocksRequested | h.EntityLocksReleased) -> dict[str, Any]:
        return {"Entities": list(event.entities)}

    def lock_granted(self, event: h.EntityLockGranted) -> dict[str, Any]:
        return {}


def _which(record: InstanceRecord) -> tuple[str, int]:
    return record.instance_id, record.n


def _parent(context: str) -> dict[str, Any]:
    """The trace context that an event of the published host carries."""
    parent, state = trace_context.headers(context)
    return {"ParentTraceContext": {"TraceParent": parent, "TraceState": state or None}}


def _as_raised(event: h.EventRaised) -> str | None:
    """The stored text; what the Python client raised shows encoded once more, as the published client sends it."""
    if event.client and event.input is not None:
        return msgspec.json.encode(event.input).decode()
    return event.input


def failure_json(failure: FailureDetails | None) -> dict[str, Any] | None:
    """A failure as the framework writes it, with what caused it."""
    if failure is None:
        return None
    return {
        "ErrorType": f"{failure.module}.{failure.error_type}" if failure.module else failure.error_type,
        "ErrorMessage": failure.message,
        "StackTrace": failure.stack_trace,
        "InnerFailure": failure_json(failure.cause),
        "IsNonRetriable": False,
    }


_SHAPES: dict[type, Callable[[_Shaping, Any], dict[str, Any] | None]] = {
    h.ExecutionStarted: _Shaping.execution_started,
    h.TaskScheduled: _Shaping.task_scheduled,
    h.TaskCompleted: _Shaping.completed,
    h.TaskFailed: _Shaping.failed,
    h.SubOrchestrationInstanceCreated: _Shaping.child_created,
    h.SubOrchestrationInstanceCompleted: _Shaping.completed,
    h.SubOrchestrationInstanceFailed: _Shaping.failed,
    h.TimerCreated: _Shaping.timer,
    h.TimerFired: _Shaping.timer,
    h.EventRaised: _Shaping.event_raised,
    h.EventSent: _Shaping.event_sent,
    h.ExecutionSuspended: _Shaping.reasoned,
    h.ExecutionResumed: _Shaping.reasoned,
    h.ExecutionTerminated: _Shaping.terminated,
    h.ExecutionRewound: _Shaping.rewound,
    h.ExecutionCompleted: _Shaping.execution_completed,
    h.ContinueAsNew: _Shaping.continued,
    h.EntityOperationCalled: _Shaping.entity_called,
    h.EntityOperationSignaled: _Shaping.entity_signaled,
    h.EntityOperationCompleted: _Shaping.entity_completed,
    h.EntityOperationFailed: _Shaping.entity_failed,
    h.EntityLocksRequested: _Shaping.locks,
    h.EntityLockGranted: _Shaping.lock_granted,
    h.EntityLocksReleased: _Shaping.locks,
}
