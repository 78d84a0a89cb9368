"""What a turn of an orchestration leaves behind: the actions become a draft, its end makes it a commit plan."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from perdure.engine.catalog import Catalog
from perdure.engine.rules import RULES, Draft, Room
from perdure.engine.runtime_state import RuntimeState, moved
from perdure.model.actions import CompleteOrchestration, ContinueAsNewWith
from perdure.model.codec import encode_history
from perdure.model.commit_plan import Message, TurnPlan, WorkItem
from perdure.model.execution import TurnDecided
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceFailed,
    TimerFired,
)
from perdure.model.instance import RuntimeStatus

#: the rule set of this package, recorded with each generation: raised when a rule changes for generations to come
LOGIC = 1


class Intake(Struct, frozen=True):
    """What a turn consumed: the events in order, their inbox rows, and tasks whose work rows end with the turn."""

    events: list[HistoryEvent]
    consumed: tuple[int, ...] = ()
    done: tuple[int, ...] = ()


class Decision(Struct, frozen=True):
    """The plan of a turn, the state after it, the work rows that follow in chunks, and how many numbers it used."""

    plan: TurnPlan
    state: RuntimeState
    backlog: tuple[WorkItem, ...] = ()
    numbers: int = 0


def begin(state: RuntimeState, dialect: int = 0, app: str = "") -> ExecutionStarted:
    """The first event of the current generation, which runs in this dialect of the SDK, in the app as it is now."""
    return ExecutionStarted(
        state.name,
        state.input,
        state.version,
        state.parent_id,
        state.tags,
        logic=LOGIC,
        dialect=dialect,
        app=app,
        scheduled_start_time=0 if state.generation else state.not_before,
    )


def decide(
    state: RuntimeState,
    time: int,
    intake: Intake,
    outcome: TurnDecided,
    timers: dict[int, int],
    room: Room,
    catalog: Catalog,
) -> Decision:
    """The decision of one turn of user code.

    `intake` is what the turn consumed (with `ExecutionStarted` first when it was the generation's first turn),
    `timers` the open timers of the instance: task id to inbox row.
    """
    draft = Draft(state, time, [OrchestratorStarted(time), *intake.events], timers, room, catalog)
    for action in outcome.actions if len(outcome.actions) <= room.max_actions else [_too_many(state, room)]:
        RULES[type(action)](draft, action)
    finish = draft.finish
    if finish is None:
        return _go_on(draft, intake, outcome)
    draft.messages = [m for m in draft.messages if not (m.due and isinstance(m.event, TimerFired))]
    draft.work.extend(draft.backlog)
    if isinstance(finish, ContinueAsNewWith):
        return _continue_as_new(draft, intake, outcome, finish)
    return _complete(draft, intake, outcome, finish)


def _too_many(state: RuntimeState, room: Room) -> CompleteOrchestration:
    text = (
        f"Maximum amount of orchestration actions ({room.max_actions}) has been reached. "
        "This value can be configured in host.json file as MaxOrchestrationActions."
    )
    reason = f"Orchestrator function '{state.name}' failed: {text}"
    return CompleteOrchestration(reason, FailureDetails("TooManyActions", text))


def _plan(draft: Draft, intake: Intake, status: RuntimeStatus, **more: Any) -> TurnPlan:
    """What the plans of all endings of a turn have in common."""
    state, turn = draft.state, draft.state.turn + 1
    return TurnPlan(
        n=state.n,
        base_turn=state.turn,
        turn=turn,
        generation=state.generation,
        status=status,
        updated=draft.time,
        history=encode_history(draft.events),
        started=0 if state.first_turn or state.generation else draft.time,
        consumed=intake.consumed,
        done=intake.done,
        messages=tuple(draft.messages),
        work=tuple(draft.work),
        creations=tuple(draft.creations),
        drop_history_below=0 if state.first_turn else max(0, state.generation - draft.room.keep_generations),
        **more,
    )


def _go_on(draft: Draft, intake: Intake, outcome: TurnDecided) -> Decision:
    state = draft.state
    first = state.first_turn or state.turn + 1
    cursor = state.cursor or (draft.backlog[0].task + 1 if draft.backlog else 0)
    plan = _plan(
        draft,
        intake,
        RuntimeStatus.RUNNING,
        custom_status=outcome.custom_status,
        sets_custom_status=outcome.sets_status,
        cursor=cursor,
        first_turn=first,
        close_timers=tuple(draft.closed_timers),
    )
    after = moved(state, turn=plan.turn, status=RuntimeStatus.RUNNING, time=draft.time, first_turn=first, cursor=cursor)
    return Decision(plan, after, tuple(draft.backlog), draft.numbers)


def _complete(draft: Draft, intake: Intake, outcome: TurnDecided, finish: CompleteOrchestration) -> Decision:
    state, failed = draft.state, finish.failure is not None
    status = RuntimeStatus.FAILED if failed else RuntimeStatus.COMPLETED
    output = msgspec.json.encode(finish.result or "").decode() if failed else finish.result
    draft.events.append(ExecutionCompleted(int(status), output, finish.failure))
    if state.parent_n:
        draft.messages.append(parent_answer(state, status, finish.result, finish.failure, draft.time))
    first = state.first_turn or state.turn + 1
    plan = _plan(
        draft,
        intake,
        status,
        completed=draft.time,
        output=output,
        sets_output=True,
        custom_status=outcome.custom_status,
        sets_custom_status=outcome.sets_status,
        first_turn=first,
        close_inbox=not failed,
        close_all_timers=True,
    )
    after = moved(state, turn=plan.turn, status=status, time=draft.time, first_turn=first, cursor=0)
    return Decision(plan, after, numbers=draft.numbers)


def _continue_as_new(draft: Draft, intake: Intake, outcome: TurnDecided, finish: ContinueAsNewWith) -> Decision:
    state = draft.state
    draft.events.append(ContinueAsNew(finish.input))
    for event in finish.carry:
        raised = EventRaised(event.name, event.input, event.client, draft.time)
        draft.messages.append(Message(state.n, raised, ahead=True))
    plan = _plan(
        draft,
        intake,
        RuntimeStatus.RUNNING,
        custom_status=outcome.custom_status if outcome.sets_status else None,
        sets_custom_status=True,
        next_input=finish.input,
        sets_input=True,
        next_generation=state.generation + 1,
        close_all_timers=True,
    )
    after = msgspec.structs.replace(
        moved(state, turn=plan.turn, status=RuntimeStatus.RUNNING, time=draft.time, first_turn=0, cursor=0),
        generation=state.generation + 1,
        input=finish.input,
    )
    return Decision(plan, after, numbers=draft.numbers)


def parent_answer(
    state: RuntimeState, status: RuntimeStatus, result: str | None, failure: FailureDetails | None, time: int
) -> Message:
    """What the parent of a finished child is told; `result` as in `CompleteOrchestration`."""
    event: HistoryEvent
    if status is RuntimeStatus.COMPLETED:
        event = SubOrchestrationInstanceCompleted(state.parent_task, result, time)
    else:
        event = SubOrchestrationInstanceFailed(state.parent_task, result or "", None, failure, time)
    return Message(state.parent_n, event, state.parent_generation, state.parent_task)
