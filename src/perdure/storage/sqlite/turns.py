"""Turns, chunks of work and parkings: what a commit does to the instances that its host owns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from perdure.model.commit_plan import Parking, TurnPlan, Verdict, WorkChunk
from perdure.storage.sqlite import readiness
from perdure.storage.sqlite.payloads import history_row
from perdure.storage.sqlite.standing import Standing
from perdure.storage.sqlite.statements import SQL
from perdure.storage.sqlite.writes import Rows, Writes

#: payload columns of an instance: bit in `Standing.payloads`, flag of the plan, statement that drops the old value
_PAYLOADS: tuple[tuple[int, Callable[[TurnPlan], bool], str], ...] = (
    (1, lambda plan: plan.sets_input, SQL.drop_payload_input),
    (2, lambda plan: plan.sets_output, SQL.drop_payload_output),
    (4, lambda plan: plan.sets_custom_status, SQL.drop_payload_custom_status),
    (8, lambda plan: plan.sets_state, SQL.drop_payload_state),
)

Survivors = dict[int, tuple[TurnPlan, Standing]]


def survivors(writes: Writes, plans: tuple[TurnPlan, ...]) -> Survivors:
    """The turns that stand on top of what is stored: at most one for each instance."""
    found: Survivors = {}
    known, token = writes.known.by_number, writes.token
    for plan in plans:
        standing = known.get(plan.n)
        if standing is not None and standing.owner == token and standing.turn == plan.base_turn:
            found.setdefault(plan.n, (plan, standing))
    return found


def advance(writes: Writes, turns: Survivors) -> None:
    """Instance and history rows, and what the turns delete. Messages, children and work follow later."""
    short: Rows = []
    full: Rows = []
    history: Rows = []
    consumed: Rows = []
    done: Rows = []
    threshold, touched = writes.threshold, writes.touched
    for n, (plan, standing) in turns.items():
        touched[n] = None
        if plan.history is not None:
            history.append((n, plan.generation, plan.turn, *history_row(plan.history, threshold)))
        for seq in plan.consumed:
            consumed.append((n, seq))
        for task in plan.done:
            done.append((n, plan.generation, task))
        if _closes(plan):
            _close(writes, plan)
        status = standing.status
        mode = _move(writes, plan, standing)
        lock = plan.lock_holder
        values = (
            plan.turn,
            standing.generation,
            plan.updated,
            plan.cursor,
            plan.first_turn,
            plan.suspect,
            lock,
            lock,
            mode,
            mode,
            mode,
        )
        # where a statement sets the status, its index is written anew, whether it changes or not
        if standing.status != status or _sets_more(plan):
            full.append((*values, *_more_values(writes, plan, standing), n))
        else:
            short.append((*values, n))
    writes.many(SQL.consume, consumed)
    writes.many(SQL.drop_work, done)
    writes.many(SQL.advance, short)
    writes.many(SQL.advance_all, full)
    writes.many(SQL.add_history, history)
    writes.write_payloads()


def _move(writes: Writes, plan: TurnPlan, standing: Standing) -> int:
    """Take over the values of the plan; whether the instance is ready then, or how the database can tell."""
    was_held = standing.least > readiness.ORDINARY
    standing.turn = plan.turn
    standing.generation = plan.next_generation or plan.generation
    standing.cursor, standing.first_turn = plan.cursor, plan.first_turn
    status = int(plan.status)
    if status != standing.status or was_held:
        standing.status = status
        if standing.reconsider():
            writes.connection.execute(SQL.hold, (int(not was_held), plan.n))
    mode = readiness.mode(standing.least, standing.kind, plan.first_turn, plan.cursor)
    if mode >= readiness.BY_INBOX and not standing.ready and not was_held:
        # it was exact before, and up to here the commit puts no message into any inbox
        return readiness.NOT_READY
    standing.ready = mode
    return mode


def _sets_more(plan: TurnPlan) -> bool:
    """Whether the plan sets columns that most turns leave alone."""
    return bool(
        plan.started
        or plan.completed
        or plan.sets_output
        or plan.sets_custom_status
        or plan.sets_state
        or plan.sets_input
    )


def _more_values(writes: Writes, plan: TurnPlan, standing: Standing) -> tuple[Any, ...]:
    """The parameters of `advance_all` that `advance` has not."""
    if standing.payloads:
        for bit, sets, statement in _PAYLOADS:
            if standing.payloads & bit and sets(plan):
                writes.connection.execute(statement, (plan.n,))
    n, cell = plan.n, writes.cell
    return (
        standing.status,
        plan.started,
        plan.started,
        plan.completed,
        max(plan.completed, 0),
        plan.sets_output,
        cell(n, plan.output) if plan.sets_output else None,
        plan.sets_custom_status,
        cell(n, plan.custom_status) if plan.sets_custom_status else None,
        plan.sets_state,
        cell(n, plan.state) if plan.sets_state else None,
        plan.sets_input,
        cell(n, plan.next_input) if plan.sets_input else None,
    )


def _closes(plan: TurnPlan) -> bool:
    return bool(
        plan.close_timers or plan.close_inbox or plan.close_all_timers or plan.close_work or plan.drop_history_below
    )


def _close(writes: Writes, plan: TurnPlan) -> None:
    """What ends with the turn (design 4.3)."""
    execute, n = writes.connection.execute, plan.n
    writes.many(SQL.consume, [(n, seq) for seq in plan.close_timers])
    if plan.close_inbox:
        execute(SQL.close_inbox, (n,))
    if plan.close_all_timers:
        execute(SQL.close_all_timers, (n,))
    if plan.close_work:
        execute(SQL.close_work, (n,))
    if plan.drop_history_below:
        execute(SQL.drop_history, (n, plan.drop_history_below))


def write_chunk(writes: Writes, chunk: WorkChunk, rows: Rows) -> Verdict:
    """The next work rows of a large turn; they are added to `rows`."""
    standing = writes.owned(chunk.n)
    if standing is None or standing.cursor != chunk.cursor:
        return Verdict.FENCED
    standing.cursor = chunk.next_cursor
    writes.connection.execute(SQL.set_cursor, (chunk.next_cursor, chunk.n))
    writes.recheck(standing)
    writes.work_rows(chunk.work, rows)
    writes.touched[chunk.n] = None
    return Verdict.APPLIED


def park(writes: Writes, parking: Parking) -> Verdict:
    """Keep an instance from going on, or let it go on."""
    standing = writes.owned(parking.n)
    if standing is None or standing.turn != parking.base_turn:
        return Verdict.FENCED
    standing.parked = parking.report is not None
    writes.connection.execute(SQL.park, (parking.report, parking.suspect, parking.n))
    if standing.reconsider():
        writes.connection.execute(SQL.hold, (int(standing.least > readiness.ORDINARY), parking.n))
    writes.recheck(standing)
    writes.touched[parking.n] = None
    return Verdict.APPLIED
