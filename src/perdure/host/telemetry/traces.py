"""The traces of durable work: a listener that makes spans of what the hub tells. `span_export.py` sends them on.

A span is told when what it is about is durable, by the host that made it so. So none is told twice, whatever is
replayed or run again, and none of what never counted. Its ids follow from the work (`engine.spans`), so parents are
named correctly also by hosts that were not there when the work began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from perdure.engine.runtime_state import RuntimeState, is_stale
from perdure.engine.spans import (
    activity_parent,
    activity_span,
    creation_span,
    operation_span,
    orchestration_parent,
    timer_span,
)
from perdure.model.commit_plan import TurnPlan, TurnVerdict, WorkItem
from perdure.model.execution import ActivityCompleted, ActivityFailed, OperationResult
from perdure.model.history import EntityOperationRequested, EventRaised, TimerFired
from perdure.model.history_view import full_time
from perdure.model.instance import InstanceKind, RuntimeStatus, execution_id
from perdure.model.trace_context import is_sampled
from perdure.taskhub.instance import Row
from perdure.taskhub.telemetry import Telemetry

SERVER, PRODUCER, CONSUMER, INTERNAL = "server", "producer", "consumer", "internal"
_LONGEST_ERROR = 2000


class Span(NamedTuple):
    """A span that is over. `context` and `parent` as in `model.trace_context`, times in microseconds."""

    name: str
    kind: str
    context: str
    parent: str | None
    start: int
    end: int
    attributes: dict[str, str | int]
    error: str | None = None


class Traces(Telemetry):
    """Makes spans, under the names and attributes of the Durable Task Framework, and hands them to `emit`."""

    def __init__(self, emit: Callable[[Span], None]) -> None:
        self._emit = emit

    def turn_applied(
        self, before: RuntimeState, plan: TurnPlan, verdict: TurnVerdict, rows: Sequence[Row], seconds: float
    ) -> None:
        """A turn is durable: what began, ended, was sent and was waited for in it."""
        if before.kind is InstanceKind.ENTITY:
            self._operations(before, rows)
            return
        if before.trace is None or not is_sampled(before.trace):
            return
        if not before.begun and not before.generation and not before.parent_n and (plan.first_turn or _ends(plan)):
            self._created(before, before.trace)
        for row in rows:
            if isinstance(row.event, TimerFired) and not is_stale(row.generation, before.generation):
                self._timer(before, row.event, plan.updated)
        for message, sent in zip(plan.messages, verdict.messages, strict=True):
            # what is carried over to the next generation was told before, and has no context
            if isinstance(message.event, EventRaised) and sent.seq:
                self._event(message.instance_id, message.event, before.span, before.instance_id)
        if _ends(plan):
            self._generation(before, plan)

    def activity_settled(self, item: WorkItem, outcome: ActivityCompleted | ActivityFailed) -> None:
        """The result of an activity is durable."""
        context = activity_span(item)
        if context is not None and is_sampled(context):
            attributes = _attributes("activity", item.name, item.instance_id, item.n, item.generation)
            attributes["durabletask.task.task_id"] = item.task
            error = outcome.reason if isinstance(outcome, ActivityFailed) else None
            self._emit(
                Span(
                    f"activity:{item.name}",
                    SERVER,
                    context,
                    activity_parent(item),
                    outcome.started,
                    outcome.finished,
                    attributes,
                    error,
                )
            )

    def event_raised(self, instance_id: str, event: EventRaised, parent: str) -> None:
        """An event that a client raised is durable."""
        self._event(instance_id, event, parent)

    def _created(self, state: RuntimeState, trace: str) -> None:
        """Told with the first turn, so that it is told whoever asked: a host, or a script beside them."""
        name = _versioned("create_orchestration", state)
        context = creation_span(trace, state.instance_id, state.n)
        self._emit(Span(name, PRODUCER, context, trace, state.time, state.time, _of_orchestration(state)))

    def _generation(self, state: RuntimeState, plan: TurnPlan) -> None:
        status = RuntimeStatus.CONTINUED_AS_NEW if plan.next_generation else plan.status
        attributes = _of_orchestration(state)
        attributes["durabletask.task.status"] = status.label
        error = _text_of(plan.output) if status is RuntimeStatus.FAILED else None
        began = state.began or (state.time if state.begun else plan.updated)
        name, context, parent = _versioned("orchestration", state), state.span, orchestration_parent(state)
        assert context is not None
        self._emit(Span(name, SERVER, context, parent, began, plan.updated, attributes, error))

    def _timer(self, state: RuntimeState, fired: TimerFired, now: int) -> None:
        context = timer_span(state, fired.timer_id)
        assert context is not None
        attributes = _attributes("timer", state.name, state.instance_id, state.n, state.generation)
        attributes["durabletask.task.task_id"] = fired.timer_id
        attributes["durabletask.fire_at"] = full_time(fired.fire_at)
        name, start = f"orchestration:{state.name}:timer", fired.created or min(fired.fire_at, now)
        self._emit(Span(name, INTERNAL, context, state.span, start, now, attributes))

    def _event(self, target: str, event: EventRaised, parent: str | None, sender: str = "") -> None:
        if event.trace is None or not is_sampled(event.trace):
            return
        attributes: dict[str, str | int] = {
            "durabletask.type": "event",
            "durabletask.task.name": event.name,
            "durabletask.event.target_instance_id": target,
        }
        if sender:
            attributes["durabletask.task.instance_id"] = sender
        name, time = f"orchestration_event:{event.name}", event.timestamp
        self._emit(Span(name, PRODUCER, event.trace, parent, time, time, attributes))

    def _operations(self, state: RuntimeState, rows: Sequence[Row]) -> None:
        for row in rows:
            request, result = row.event, row.ran
            if not isinstance(request, EntityOperationRequested) or not isinstance(result, OperationResult):
                continue
            context = operation_span(state, row.seq, request)
            if context is None or not is_sampled(context):
                continue
            attributes: dict[str, str | int] = {
                "durabletask.type": "entity",
                "durabletask.task.name": state.name,
                "durabletask.task.instance_id": state.instance_id,
                "durabletask.task.operation": "call_entity" if request.caller else "signal_entity",
                "durabletask.event.target_instance_id": state.instance_id,
            }
            name, kind = f"entity:{state.name}:{request.operation}", SERVER if request.caller else CONSUMER
            error = None if result.failure is None else result.reason
            self._emit(Span(name, kind, context, request.trace, result.started, result.finished, attributes, error))


def _ends(plan: TurnPlan) -> bool:
    """Whether a generation ends with this turn, and not with one before."""
    return plan.history is not None and (plan.next_generation > 0 or plan.status.is_terminal)


def _attributes(kind: str, name: str, instance_id: str, n: int, generation: int) -> dict[str, str | int]:
    return {
        "durabletask.type": kind,
        "durabletask.task.name": name,
        "durabletask.task.instance_id": instance_id,
        "durabletask.task.execution_id": execution_id(n, generation),
    }


def _of_orchestration(state: RuntimeState) -> dict[str, str | int]:
    attributes = _attributes("orchestration", state.name, state.instance_id, state.n, state.generation)
    if state.version:
        attributes["durabletask.task.version"] = state.version
    return attributes


def _versioned(kind: str, state: RuntimeState) -> str:
    return f"{kind}:{state.name}@({state.version})" if state.version else f"{kind}:{state.name}"


def _text_of(output: str | None) -> str:
    """The reason in the output of a failed orchestration, which is a JSON string."""
    try:
        return str(msgspec.json.decode(output or '""'))[:_LONGEST_ERROR]
    except msgspec.DecodeError:
        return (output or "")[:_LONGEST_ERROR]
