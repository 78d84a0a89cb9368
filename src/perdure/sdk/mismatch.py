"""Recorded decisions against those that the code makes now, and the report when they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.model.actions import (
    Action,
    CallEntity,
    CancelTimer,
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateSubOrchestration,
    CreateTimer,
    LockEntities,
    ScheduleTask,
    SendEvent,
    SignalEntity,
    UnlockEntities,
)
from perdure.model.history import (
    ContinueAsNew,
    EntityLocksReleased,
    EntityLocksRequested,
    EntityOperationCalled,
    EntityOperationSignaled,
    EventSent,
    ExecutionCompleted,
    HistoryEvent,
    SubOrchestrationInstanceCreated,
    TaskScheduled,
    TimerCreated,
)
from perdure.sdk.location import place
from perdure.sdk.session import Session

#: the history event of each action; cancelling a timer leaves none
RECORDED_AS: dict[type, type] = {
    ScheduleTask: TaskScheduled,
    CreateTimer: TimerCreated,
    CreateSubOrchestration: SubOrchestrationInstanceCreated,
    SendEvent: EventSent,
    CallEntity: EntityOperationCalled,
    SignalEntity: EntityOperationSignaled,
    LockEntities: EntityLocksRequested,
    UnlockEntities: EntityLocksReleased,
    CompleteOrchestration: ExecutionCompleted,
    ContinueAsNewWith: ContinueAsNew,
}
DECISIONS = frozenset(RECORDED_AS.values())
_UNNUMBERED = (CompleteOrchestration, ContinueAsNewWith)
_NAMED = frozenset({ScheduleTask, CreateSubOrchestration, SendEvent})


def first_difference(actions: Sequence[Action], recorded: Sequence[HistoryEvent]) -> int | None:
    """The position of the first decision that differs in kind, id or name; None when all agree."""
    if len(actions) == len(recorded) and all(map(_agree, actions, recorded)):
        return None
    made = [action for action in actions if type(action) is not CancelTimer]
    for position, (action, event) in enumerate(zip(made, recorded)):  # noqa: B905
        if not _agree(action, event):
            return position
    return None if len(made) == len(recorded) else min(len(made), len(recorded))


def not_recorded(actions: Sequence[Action], recorded: Sequence[HistoryEvent]) -> list[Action]:
    """The decisions among `actions` that no recorded one stands for."""
    held = {(type(event), getattr(event, "event_id", -1)) for event in recorded}
    return [a for a in actions if (RECORDED_AS.get(type(a)), getattr(a, "id", -1)) not in held]


def _agree(action: Any, event: Any) -> bool:
    kind: type = type(action)
    held_as: type = type(event)
    if RECORDED_AS.get(kind) is not held_as:
        return False
    if kind in _UNNUMBERED:
        return True
    if action.id != event.event_id:
        return False
    if kind is CreateTimer:
        return True
    made, held = (action.name, event.name) if kind in _NAMED else (_name(action), _name(event))
    return made == held or made.lower() == held.lower()


def _name(decision: Any) -> str:
    """What a decision (action or history event) is about."""
    if isinstance(decision, (CallEntity, SignalEntity, EntityOperationCalled, EntityOperationSignaled)):
        return f"{decision.operation} on {decision.entity}"
    if isinstance(decision, (LockEntities, UnlockEntities, EntityLocksRequested, EntityLocksReleased)):
        return ", ".join(decision.entities)
    return getattr(decision, "name", "")


def report(session: Session, turn: int, actions: Sequence[Action], recorded: Sequence[HistoryEvent], at: int) -> str:
    """The mismatch as text for people. `turn` counts from 1, `at` is the first decision that differs."""
    execution = session.execution
    made = [action for action in actions if type(action) is not CancelTimer]
    now = made[at] if at < len(made) else None
    held = recorded[at] if at < len(recorded) else None
    return "\n".join(
        (
            f"Orchestrator '{session.prepared.name}' (instance '{execution.instance_id}', "
            f"generation {execution.generation}) no longer does what its history recorded.",
            f"Position: turn {turn} of this generation, decision {at + 1} of that turn.",
            f"History holds: {_describe_event(held)}",
            f"The code did now: {_describe_action(now, session)}",
            f"Probable cause: {_cause(now, held, made, recorded)}",
            "How to go on: deploy code that makes the recorded calls in the recorded order again (the history is "
            "untouched, the instance goes on by itself), or give new behaviour a new orchestrator name or version and "
            "let this instance finish on the old one, or terminate or restart it.",
        )
    )


def _describe_event(event: Any) -> str:
    if event is None:
        return "no further decision in that turn (the code waited)"
    if type(event) is ExecutionCompleted:
        return "the end of the orchestration (ExecutionCompleted)"
    if type(event) is ContinueAsNew:
        return "the end of this generation (ContinueAsNew)"
    name = _name(event)
    return f"{type(event).__name__} #{event.event_id}{f' {name!r}' if name else ''}"


def _describe_action(action: Any, session: Session) -> str:
    if action is None:
        where = session.location()
        return f"nothing more in that turn{f'; it waits at {where}' if where else ''}"
    if isinstance(action, CompleteOrchestration):
        if action.failure is None:
            return "it returned"
        return f"it failed: {action.result}\n{action.failure.stack_trace}".rstrip()
    if isinstance(action, ContinueAsNewWith):
        return "it continued as new"
    name = _name(action)
    task = session.execution.open.get(action.id)
    where = place(*task._origin) if task is not None and task._origin is not None else session.location()
    call = RECORDED_AS[type(action)].__name__
    return f"{call} #{action.id}{f' {name!r}' if name else ''}{f' at {where}' if where else ''}"


def _cause(now: Any, held: Any, made: Sequence[Any], recorded: Sequence[Any]) -> str:
    if isinstance(now, CompleteOrchestration) and now.failure is not None:
        return "the code raises where it did not before: it was changed, or depends on something outside the history"
    if now is None or isinstance(now, _UNNUMBERED):
        return (
            "calls were removed from the code, or it took another branch because it depends on something outside the "
            "history (time, random numbers, environment, globals)"
        )
    if held is None:
        return "a call was added to the code before this point, or it took another branch than it did then"
    if RECORDED_AS[type(now)] is not type(held):
        return "calls were added, removed or changed in order, or the code took another branch than it did then"
    if any(_name(other).lower() == _name(held).lower() for other in made):
        return "the calls of this turn are made in another order: iterate over lists, not over sets"
    return f"{_name(held)!r} was renamed to {_name(now)!r}, or the name is computed from something that changed"
