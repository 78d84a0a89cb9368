"""The 1.x protocol between host and worker for orchestrators: JSON in, JSON out, the whole history every time.

User tests speak it to the `main` of an orchestrator, and the conformance tests compare it with the published executor.
Nothing else here uses it. `published_timing` is on: numbers must agree with what such histories hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from perdure.model.actions import SignalEntity
from perdure.model.execution import TurnRequest
from perdure.model.history import (
    EntityOperationCompleted,
    EntityOperationFailed,
    EventRaised,
    ExecutionStarted,
    HistoryEvent,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from perdure.sdk import determinism
from perdure.sdk.atomic_tasks import ActivityTask, EntityCallTask, EventTask, SubOrchestrationTask, TimerTask
from perdure.sdk.codes import OrchestratorCode
from perdure.sdk.compound_tasks import CompoundTask, WhenAnyTask
from perdure.sdk.context import DurableOrchestrationContext
from perdure.sdk.dialect import V1
from perdure.sdk.durable_http import HttpTask
from perdure.sdk.execution import Execution
from perdure.sdk.histories import parse_timestamp
from perdure.sdk.options import SdkOptions
from perdure.sdk.orchestrator_code import OrchestratorCode as AnyCode
from perdure.sdk.orchestrator_code import Prepared
from perdure.sdk.retriable import RetryAbleTask
from perdure.sdk.serialization import dumps, stored_input
from perdure.sdk.session import Session
from perdure.sdk.tasks import TaskBase
from perdure.sdk.types import HistoryEventType

_LABEL = "\n\n$OutOfProcData$:"
_STARTED = HistoryEventType.ORCHESTRATOR_STARTED


def run_orchestrator(code: AnyCode, body: str) -> str:
    """Answer a trigger payload. Raises `Exception` with the labelled answer in its text when the code failed."""
    context = DurableOrchestrationContext.from_json(body)
    context._input_type = code.input_type
    return execute(context, Prepared(code, SdkOptions()))


class TaskOrchestrationExecutor:
    """The published executor's face: one invocation of orchestrator code."""

    def execute(self, context: DurableOrchestrationContext, history: Any, fn: Any) -> str:
        """Run `fn` against the history that `context` was made from and give the JSON answer."""
        return execute(context, Prepared(OrchestratorCode(fn), SdkOptions()))


def execution_of(
    history: list[dict[str, Any]], instance_id: str, parent_id: str | None, input_: Any = None
) -> Execution:
    """An execution that stands at the beginning of a payload's history. Raises `ValueError` when there is none."""
    started = next((event for event in history if event["EventType"] == _STARTED), None)
    if started is None:
        raise ValueError("The history of the payload has no ORCHESTRATOR_STARTED event (EventType 12)")
    execution = Execution(instance_id, "", V1, SdkOptions(), now=_time(started))
    execution.parent_id = parent_id
    execution.input = json.dumps(input_) if input_ is not None and not isinstance(input_, str) else input_
    for event in history:
        if event["EventType"] == HistoryEventType.EXECUTION_STARTED:
            execution.version = event.get("Version") or ""
    execution.published_timing = True
    return execution


def execute(context: DurableOrchestrationContext, prepared: Prepared) -> str:
    """Run the code against the whole history of `context` and give the JSON answer."""
    assert context._payload is not None
    history, schema = context._payload
    if len(history) < 2:
        raise Exception(
            f"Internal Durable Functions error: received History array of size {len(history)} "
            "when a minimum size of 2 is expected."
        )
    execution = context._execution
    answer = _Answer(min(schema, 2))
    execution.observer = answer.observe
    session = Session(TurnRequest(0, 0, 0, execution.instance_id, prepared.name, 0, []), prepared, execution)
    session.context = context
    for time, played, event in _events(history, execution):
        execution.replaying = played
        session.advance(time, [event] if event is not None else [])
        if session.over:
            break
    text = answer.text(session)
    error = session.error
    session.close()
    if error is not None:
        if not session.driven:
            raise error
        raise Exception(f"{error}{_LABEL}{text}") from error
    return text


def _time(event: dict[str, Any]) -> int:
    return determinism.to_microseconds(parse_timestamp(event["Timestamp"]))


def _events(history: list[dict[str, Any]], execution: Execution) -> Iterator[tuple[int, bool, HistoryEvent | None]]:
    """Time of the turn, whether the code has seen it before, and the event."""
    last = max(i for i, event in enumerate(history) if event["EventType"] == _STARTED)
    calls: dict[str, int] = {}
    time = 0
    for position, event in enumerate(history):
        kind = event["EventType"]
        if kind == _STARTED:
            time = max(time, _time(event))
            continue
        if kind == HistoryEventType.EVENT_SENT and isinstance(execution.open.get(event["EventId"]), EntityCallTask):
            calls[json.loads(event["Input"])["id"]] = event["EventId"]
        converted = _convert(event, calls, execution)
        if converted is not None:
            played = bool(event.get("IsPlayed")) or position < last
            # the code starts as replayed if this is not the first turn
            yield time, played if kind != HistoryEventType.EXECUTION_STARTED else played or last > 0, converted


def _convert(event: dict[str, Any], calls: dict[str, int], execution: Execution) -> HistoryEvent | None:
    """A history event of the protocol as one of ours; None for those that say nothing to the code."""
    kind = event["EventType"]
    if kind == HistoryEventType.EXECUTION_STARTED:
        version = event.get("Version") or ""
        return ExecutionStarted(event.get("Name") or "", stored_input(execution.input), version, execution.parent_id)
    if kind == HistoryEventType.TASK_COMPLETED:
        return TaskCompleted(event["TaskScheduledId"], event.get("Result"))
    if kind == HistoryEventType.TASK_FAILED:
        return TaskFailed(event["TaskScheduledId"], str(event.get("Reason")), event.get("Details"))
    if kind == HistoryEventType.SUB_ORCHESTRATION_INSTANCE_COMPLETED:
        return SubOrchestrationInstanceCompleted(event["TaskScheduledId"], event.get("Result"))
    if kind == HistoryEventType.SUB_ORCHESTRATION_INSTANCE_FAILED:
        return SubOrchestrationInstanceFailed(event["TaskScheduledId"], str(event.get("Reason")), event.get("Details"))
    if kind == HistoryEventType.TIMER_FIRED:
        return TimerFired(event["TimerId"], 0)
    if kind == HistoryEventType.EVENT_RAISED:
        name = event["Name"]
        if name in calls:
            return _entity_answer(calls.pop(name), json.loads(event["Input"]))
        return EventRaised(name, event.get("Input"))
    return None


def _entity_answer(number: int, message: dict[str, Any]) -> HistoryEvent:
    result = message.get("result")
    if "exceptionType" in message:
        reason = json.loads(result) if result is not None else ""
        return EntityOperationFailed(number, str(reason))
    return EntityOperationCompleted(number, result)


class _Answer:
    """Collects the actions of all turns in the form of the protocol."""

    def __init__(self, schema: int) -> None:
        self.schema = schema
        self.actions: list[Any] = []
        self._timers: list[tuple[TimerTask, dict[str, Any]]] = []

    def observe(self, decided: Any) -> None:
        """Note a yielded task or an action decided at a call."""
        if isinstance(decided, TaskBase):
            # attempts after the first and their timers belong to the action of the retried call
            if not _is_scheduled(decided) and not _continues(decided):
                self.actions.append(self._action(decided))
        elif isinstance(decided, SignalEntity):
            self.actions.append(_entity(9, decided.entity, decided.operation, decided.input))

    def text(self, session: Session) -> str:
        """The answer as JSON text."""
        execution = session.execution
        for timer, action in self._timers:
            action["isCanceled"] = timer.is_cancelled
        actions = list(self.actions)
        if execution.continuation is not None:
            actions.append({"actionType": 4, "input": _net(execution.continuation[0])})
        done = session.error is None and session.over
        answer: dict[str, Any] = {"isDone": done}
        if self.schema:
            answer["schemaVersion"] = self.schema
            answer["actions"] = [actions]
        else:
            answer["actions"] = [_flat(action) for action in actions]
        if session.outcome is not None and session.error is None and session.outcome.result is not None:
            answer["output"] = json.loads(session.outcome.result)
        if session.error is not None:
            answer["error"] = str(session.error) or str(type(session.error))
        if execution.custom_status:
            answer["customStatus"] = execution.custom_status
        return dumps(answer, "answer")

    def _action(self, task: TaskBase[Any]) -> dict[str, Any]:
        if isinstance(task, RetryAbleTask):
            action = self._action(task.children[0])
            action["actionType"] += 1
            action["retryOptions"] = task.retry_options.to_json()  # type: ignore[attr-defined]
            return {"actionType": 12, "compoundActions": [action]}
        if isinstance(task, HttpTask):
            return {"actionType": 8, "httpRequest": {"content": None, "headers": None, **task.request}}
        if isinstance(task, CompoundTask):
            children = [self._action(child) for child in task.children if not _is_scheduled(child)]
            return {"actionType": 11 if isinstance(task, WhenAnyTask) else 12, "compoundActions": children}
        return self._atomic(task)

    def _atomic(self, task: TaskBase[Any]) -> dict[str, Any]:
        if isinstance(task, ActivityTask):
            return {"actionType": 0, "functionName": task.name, "input": task._input}
        if isinstance(task, SubOrchestrationTask):
            return {
                "actionType": 2,
                "functionName": task.name,
                "input": _net(task._input),
                "instanceId": task.instance_id,
                "version": task.version,
            }
        if isinstance(task, EventTask):
            return {"actionType": 6, "externalEventName": task.name, "reason": "ExternalEvent"}
        if isinstance(task, EntityCallTask):
            return _entity(7, task.entity, task.operation, task._input)
        if isinstance(task, TimerTask):
            fire_at = determinism.from_microseconds(task.fire_at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            action = {"actionType": 5, "fireAt": fire_at, "isCanceled": task.is_cancelled}
            self._timers.append((task, action))
            return action
        raise TypeError(f"the 1.x protocol has no action for {task.describe()}")


def _entity(kind: int, entity: str, operation: str, input_: str | None) -> dict[str, Any]:
    return {"actionType": kind, "instanceId": entity, "operation": operation, "input": input_}


def _net(stored: str | None) -> str:
    """The JSON text behind a stored input; the protocol encodes it again by itself."""
    return "null" if stored is None else str(json.loads(stored))


def _is_scheduled(task: TaskBase[Any]) -> bool:
    return all(_is_scheduled(child) for child in task.children) if isinstance(task, CompoundTask) else task.scheduled


def _continues(task: TaskBase[Any]) -> bool:
    return isinstance(task.parent, (RetryAbleTask, HttpTask))


def _flat(action: dict[str, Any]) -> list[dict[str, Any]]:
    """The actions of one yield in schema V1, which knows no compounds."""
    if "compoundActions" not in action:
        return [action]
    return [inner for child in action["compoundActions"] for inner in _flat(child)]
