"""The spans of durable work: their trace contexts, which follow from what is stored. All None where nobody traces."""

from __future__ import annotations

from perdure.engine.runtime_state import RuntimeState
from perdure.model import trace_context
from perdure.model.commit_plan import WorkItem
from perdure.model.history import EntityOperationRequested


def creation_span(trace: str, instance_id: str, n: int) -> str:
    """That of asking for an orchestration that has no parent among orchestrations."""
    return trace_context.span(trace, trace_context.CREATION, instance_id, n)


def orchestration_parent(state: RuntimeState) -> str | None:
    """What the spans of an orchestration's generations hang on: the parent's span, or that of its creation."""
    if state.trace is None:
        return None
    return trace_context.orchestration_parent(state.trace, state.parent_n, state.instance_id, state.n)


def activity_span(item: WorkItem) -> str | None:
    """That of running an activity."""
    if item.trace is None:
        return None
    kind = trace_context.ACTIVITY
    return trace_context.span(item.trace, kind, item.instance_id, item.n, item.generation, item.task)


def activity_parent(item: WorkItem) -> str | None:
    """The span of the generation that asked for an activity."""
    if item.trace is None:
        return None
    return trace_context.span(item.trace, trace_context.ORCHESTRATION, item.instance_id, item.n, item.generation)


def timer_span(state: RuntimeState, task: int) -> str | None:
    """That of waiting for a timer."""
    if state.trace is None:
        return None
    return trace_context.span(state.trace, trace_context.TIMER, state.instance_id, state.n, state.generation, task)


def operation_span(state: RuntimeState, seq: int, request: EntityOperationRequested) -> str | None:
    """That of an operation of an entity, by its number in the inbox."""
    if request.trace is None:
        return None
    return trace_context.span(request.trace, trace_context.OPERATION, state.instance_id, state.n, 0, seq)


def raised_span(parent: str, number: int) -> str:
    """That of raising an event: the task of the sender under its span, or under a client's a number used once."""
    return trace_context.span(parent, trace_context.EVENT, "", number)
