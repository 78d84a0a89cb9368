"""One batch becomes rows: the commit of design 6.1 inside an open transaction.

The phases follow `CommitBatch`. Each collects its rows in Python and hands them to SQLite by `executemany`, so that
what a commit costs depends on its own size alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from perdure.model.codec import encode_event
from perdure.model.commit_plan import (
    ActivityResult,
    Attempt,
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    MessageVerdict,
    NewInstance,
    Parking,
    Purge,
    TurnPlan,
    TurnVerdict,
    Verdict,
    WorkChunk,
    WorkItem,
    WorkReturn,
)
from perdure.storage.policies import replaced_child, replaces
from perdure.storage.sqlite import readiness
from perdure.storage.sqlite.payloads import INLINE, history_row, pack, payload_row
from perdure.storage.sqlite.readiness import CONTROL
from perdure.storage.sqlite.standing import Standing, Standings, json_list
from perdure.storage.sqlite.statements import SQL

_QUEUE, _TIMERS = 0, 1
_GONE = MessageVerdict(0, 0, 0)
_FENCED = TurnVerdict(Verdict.FENCED)
_APPLIED = TurnVerdict(Verdict.APPLIED)
_NONE = (None, None)
_PURGE = (
    SQL.purge_inbox,
    SQL.purge_history,
    SQL.purge_work,
    SQL.purge_attempts,
    SQL.purge_payloads,
    SQL.purge_instance,
)
#: payload columns of an instance: bit in `Standing.payloads`, flag of the plan, statement that drops the old value
_PAYLOADS: tuple[tuple[int, Callable[[TurnPlan], bool], str], ...] = (
    (1, lambda plan: plan.sets_input, SQL.drop_payload_input),
    (2, lambda plan: plan.sets_output, SQL.drop_payload_output),
    (4, lambda plan: plan.sets_custom_status, SQL.drop_payload_custom_status),
    (8, lambda plan: plan.sets_state, SQL.drop_payload_state),
)

Rows = list[tuple[Any, ...]]


class Application:
    """Applies one batch of a living host. `counter` is the last number given to inbox, work and payload rows."""

    __slots__ = (
        "_ahead",
        "_batch",
        "_connection",
        "_hub",
        "_known",
        "_messages",
        "_now",
        "_payloads",
        "_ready",
        "_threshold",
        "_touched",
        "_work",
        "counter",
    )

    def __init__(
        self, connection: sqlite3.Connection, hub: int, batch: CommitBatch, now: int, counter: int, threshold: int
    ) -> None:
        self._connection = connection
        self._hub = hub
        self._batch = batch
        self._now = now
        self._threshold = threshold
        self._known = Standings(connection, hub, batch)
        self._messages: Rows = []
        self._work: Rows = []
        self._payloads: Rows = []
        self._ready: dict[int, None] = {}
        self._touched: dict[int, None] = {}
        self._ahead = 0
        self.counter = counter

    def run(self) -> CommitAnswer:
        """Write everything and say what became of each item."""
        batch, known = self._batch, self._known.by_number
        token = batch.token
        surviving: dict[int, tuple[TurnPlan, Standing]] = {}
        for plan in batch.turns:
            standing = known.get(plan.n)
            if standing is not None and standing.owner == token and standing.turn == plan.base_turn:
                surviving.setdefault(plan.n, (plan, standing))
        survivors = list(surviving.values())
        parkings = tuple(self._park(parking) for parking in batch.parkings)
        self._advance(survivors)
        chunks = tuple(self._write_chunk(chunk) for chunk in batch.chunks)
        self._many(SQL.release, [(r.not_before, r.n, token) for r in batch.releases])
        for n in (release.n for release in batch.releases):
            if n in known and known[n].owner == token:
                known[n].owner = 0
        failures: list[Message] = []
        purges = tuple(self._purge(purge, failures) for purge in batch.purges)
        created = self._create_all(survivors, failures)
        results = tuple(self._result(result) for result in batch.results)
        creations = tuple(self._verdict_of(new, created) for new in batch.creations)
        turns = tuple(
            self._send_all(plan, created) if surviving.get(plan.n, _NONE)[0] is plan else _FENCED
            for plan in batch.turns
        )
        messages = self._send_list(batch.messages)
        for failure in failures:
            self._known.fetch(self._connection, self._hub, failure.n)
            self._send(failure)
        self._write_messages()
        self._return(batch.returns)
        self._record_attempts(batch.attempts)
        return CommitAnswer(
            number=batch.number,
            time=self._now,
            turns=turns,
            chunks=chunks,
            creations=creations,
            messages=messages,
            results=results,
            parkings=parkings,
            purges=purges,
        )

    @property
    def touched(self) -> str:
        """The numbers of all instances that the commit changed, as JSON."""
        return json_list(self._touched)

    def _many(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if rows:
            self._connection.executemany(statement, rows)

    def _number(self) -> int:
        self.counter += 1
        return self.counter

    def _cell(self, n: int, text: str | None) -> str | int | None:
        """What a payload column of an instance holds for this text."""
        if text is None or len(text) <= INLINE:
            return text
        number = self._number()
        self._payloads.append((number, n, *payload_row(text, self._threshold)))
        return number

    # turns

    def _advance(self, survivors: list[tuple[TurnPlan, Standing]]) -> None:
        """Instance and history rows, and what the turns delete. Messages, children and work follow later."""
        short: Rows = []
        full: Rows = []
        history: Rows = []
        consumed: Rows = []
        done: Rows = []
        threshold = self._threshold
        for plan, standing in survivors:
            n = plan.n
            if plan.history is not None:
                history.append((n, plan.generation, plan.turn, *history_row(plan.history, threshold)))
            if plan.consumed:
                consumed.extend((n, seq) for seq in plan.consumed)
            if plan.done:
                done.extend((n, plan.generation, task) for task in plan.done)
            self._close(plan)
            held = standing.holds_timers
            was_finished = readiness.is_finished(standing.kind, standing.status)
            standing.turn, standing.status = plan.turn, int(plan.status)
            standing.generation = plan.next_generation or plan.generation
            standing.cursor, standing.first_turn = plan.cursor, plan.first_turn
            if held != standing.holds_timers:
                self._connection.execute(SQL.hold, (int(not held), n))
            mode = self._mode(standing, held)
            values = (
                plan.turn,
                standing.generation,
                standing.status,
                plan.updated,
                plan.cursor,
                plan.first_turn,
                plan.suspect,
                plan.lock_holder,
                plan.lock_holder,
                mode,
                mode,
                mode,
            )
            if was_finished or _sets_more(plan):
                full.append((*values, *self._more_values(plan, standing), n))
            else:
                short.append((*values, n))
            self._touched[n] = None
        self._many(SQL.consume, consumed)
        self._many(SQL.drop_work, done)
        self._many(SQL.advance, short)
        self._many(SQL.advance_all, full)
        self._many(SQL.add_history, history)
        self._write_payloads()

    def _mode(self, standing: Standing, was_held: bool) -> int:
        """Whether the instance is ready now, or how the database can tell."""
        mode = readiness.mode(
            standing.kind, standing.status, bool(standing.parked), standing.first_turn, standing.cursor
        )
        if mode >= readiness.BY_INBOX and not standing.ready and not was_held:
            # it was exact before, and nothing that this phase does puts a message into the inbox
            return readiness.NOT_READY
        standing.ready = mode
        return mode

    def _more_values(self, plan: TurnPlan, standing: Standing) -> tuple[Any, ...]:
        """The parameters of `advance_all` that `advance` has not."""
        if standing.payloads:
            for bit, sets, statement in _PAYLOADS:
                if standing.payloads & bit and sets(plan):
                    self._connection.execute(statement, (plan.n,))
        n, completed = plan.n, plan.completed
        return (
            plan.started,
            plan.started,
            completed,
            completed,
            readiness.is_finished(standing.kind, standing.status),
            plan.sets_output,
            self._cell(n, plan.output) if plan.sets_output else None,
            plan.sets_custom_status,
            self._cell(n, plan.custom_status) if plan.sets_custom_status else None,
            plan.sets_state,
            self._cell(n, plan.state) if plan.sets_state else None,
            plan.sets_input,
            self._cell(n, plan.next_input) if plan.sets_input else None,
        )

    def _close(self, plan: TurnPlan) -> None:
        """What ends with the turn (design 4.3)."""
        execute, n = self._connection.execute, plan.n
        if plan.close_timers:
            self._many(SQL.consume, [(n, seq) for seq in plan.close_timers])
        if plan.close_inbox:
            execute(SQL.close_inbox, (n,))
        if plan.close_all_timers:
            execute(SQL.close_all_timers, (n,))
        if plan.close_work:
            execute(SQL.close_work, (n,))
        if plan.drop_history_below > 0:
            execute(SQL.drop_history, (n, plan.drop_history_below))

    def _write_chunk(self, chunk: WorkChunk) -> Verdict:
        standing = self._known.by_number.get(chunk.n)
        if standing is None or standing.owner != self._batch.token or standing.cursor != chunk.cursor:
            return Verdict.FENCED
        standing.cursor = chunk.next_cursor
        self._connection.execute(SQL.set_cursor, (chunk.next_cursor, chunk.n))
        self._recheck(standing)
        self._add_work(chunk.work)
        self._touched[chunk.n] = None
        return Verdict.APPLIED

    def _recheck(self, standing: Standing) -> None:
        """Make `ready` exact after a change that a turn does not make."""
        mode = standing.ready = readiness.mode(
            standing.kind, standing.status, bool(standing.parked), standing.first_turn, standing.cursor
        )
        self._connection.execute(SQL.recheck, (mode, mode, mode, standing.n))

    def _add_work(self, items: Sequence[WorkItem]) -> None:
        hub, threshold, rows = self._hub, self._threshold, self._work
        counter = self.counter
        for item in items:
            counter += 1
            rows.append(
                (
                    item.n,
                    item.generation,
                    item.task,
                    hub,
                    counter,
                    item.name,
                    pack(item.input, threshold),
                    item.owner,
                    item.attempt,
                    item.suspect,
                    item.not_before,
                    item.scheduled,
                )
            )
        self.counter = counter

    def _park(self, parking: Parking) -> Verdict:
        standing = self._known.by_number.get(parking.n)
        if standing is None or standing.owner != self._batch.token or standing.turn != parking.base_turn:
            return Verdict.FENCED
        held = standing.holds_timers
        standing.parked = parking.report is not None
        self._connection.execute(SQL.park, (parking.report, parking.suspect, parking.n))
        if held != standing.holds_timers:
            self._connection.execute(SQL.hold, (int(not held), parking.n))
        self._recheck(standing)
        self._touched[parking.n] = None
        return Verdict.APPLIED

    # instances that come and go

    def _purge(self, purge: Purge, failures: list[Message]) -> Verdict:
        standing = self._known.by_number.get(purge.n)
        if standing is None:
            return Verdict.REFUSED
        if purge.parent_failure is not None and not readiness.is_finished(standing.kind, standing.status):
            failures.append(purge.parent_failure)
        failures.extend(purge.messages)
        self._delete(standing)
        return Verdict.APPLIED

    def _delete(self, standing: Standing) -> None:
        """The instance with everything it has."""
        for statement in _PURGE:
            self._connection.execute(statement, (standing.n,))
        self._known.remove(standing)
        self._touched[standing.n] = None

    def _create_all(
        self, survivors: list[tuple[TurnPlan, Standing]], failures: list[Message]
    ) -> dict[int, CreationVerdict]:
        """Verdicts by number, in the order of ids; refusals are sent later."""
        news = [*self._batch.creations, *(new for plan, _ in survivors for new in plan.creations)]
        if not news:
            return {}
        rows: Rows = []
        verdicts = {new.n: self._create(new, rows, failures) for new in sorted(news, key=_by_id)}
        self._many(SQL.add_instance, rows)
        self._write_payloads()
        return verdicts

    def _create(self, new: NewInstance, rows: Rows, failures: list[Message]) -> CreationVerdict:
        holder = self._known.by_id.get(new.instance_id)
        if holder is not None:
            if not replaces(new.policy, holder.status):
                return CreationVerdict(Verdict.REFUSED, holder.n, holder.status)
            if holder.parent_n and not readiness.is_finished(holder.kind, holder.status):
                failures.append(
                    replaced_child(holder.instance_id, holder.parent_n, holder.parent_generation, holder.parent_task)
                )
            if rows:
                # the holder may be one of this very commit
                self._many(SQL.add_instance, rows)
                rows.clear()
            self._delete(holder)
        kind, status = int(new.kind), int(new.status)
        ready = int(readiness.mode(kind, status, False, 0, 0) == readiness.READY)
        rows.append(
            (
                new.n,
                self._hub,
                new.instance_id,
                kind,
                new.name,
                new.version,
                status,
                new.owner,
                ready,
                new.not_before,
                new.parent_n,
                new.parent_generation,
                new.parent_task,
                new.parent_id,
                new.created,
                new.created,
                None if not new.tags else json_object(new.tags),
                self._cell(new.n, new.input),
            )
        )
        parent = (new.parent_n, new.parent_generation, new.parent_task)
        self._known.add(Standing((new.n, new.instance_id, new.owner, kind, 0, 0, status, 0, 0, ready, 0, 0, *parent)))
        self._touched[new.n] = None
        return CreationVerdict(Verdict.APPLIED, new.n)

    def _verdict_of(self, new: NewInstance, verdicts: dict[int, CreationVerdict]) -> CreationVerdict:
        verdict = verdicts[new.n]
        if verdict.verdict is Verdict.REFUSED and new.refusal is not None:
            return CreationVerdict(verdict.verdict, verdict.n, verdict.status, self._send(new.refusal))
        return verdict

    def _write_payloads(self) -> None:
        self._many(SQL.add_payload, self._payloads)
        self._payloads = []

    # messages

    def _send_all(self, plan: TurnPlan, verdicts: dict[int, CreationVerdict]) -> TurnVerdict:
        if plan.work and plan.n in self._known.by_number:
            self._add_work(plan.work)
        if not plan.messages and not plan.creations:
            return _APPLIED
        messages = self._send_list(plan.messages)
        return TurnVerdict(Verdict.APPLIED, messages, tuple(self._verdict_of(new, verdicts) for new in plan.creations))

    def _send_list(self, messages: tuple[Message, ...]) -> tuple[MessageVerdict, ...]:
        """Send in order. What goes ahead of a queue gets numbers below zero, below all that stands there."""
        ahead = sum(message.ahead for message in messages)
        if ahead:
            self.counter += ahead
            self._ahead = -self.counter
        return tuple(self._send(message) for message in messages)

    def _send(self, message: Message) -> MessageVerdict:
        standing = self._known.addressee(message)
        if standing is None:
            if message.create is None:
                return MessageVerdict(0, message.n, 0) if message.n else _GONE
            rows: Rows = []
            self._create(message.create, rows, [])
            self._many(SQL.add_instance, rows)
            standing = self._known.by_number[message.create.n]
        if not standing.is_open:
            return MessageVerdict(0, standing.n, standing.owner)
        event = message.event
        kind = type(event)
        control = CONTROL.get(kind, 0)
        if message.ahead:
            seq, self._ahead = self._ahead, self._ahead + 1
        else:
            self.counter = seq = self.counter + 1
        least = standing.least_control
        lane = _TIMERS if message.due else _QUEUE
        self._messages.append(
            (
                standing.n,
                lane,
                seq,
                self._hub,
                kind.__name__,
                control,
                message.generation,
                message.task,
                message.due,
                int(least > 0 and lane == _TIMERS),
                pack(encode_event(event).decode(), self._threshold),
            )
        )
        if lane != _TIMERS and control >= least and standing.ready != readiness.READY:
            standing.ready = readiness.READY
            self._ready[standing.n] = None
        self._touched[standing.n] = None
        return MessageVerdict(seq, standing.n, standing.owner)

    def _write_messages(self) -> None:
        self._write_payloads()
        self._many(SQL.add_work, self._work)
        self._many(SQL.add_message, self._messages)
        self._many(SQL.set_ready, [(n,) for n in self._ready])

    def _result(self, result: ActivityResult) -> MessageVerdict:
        """The first completion wins: the work row goes, and with it the right of any other to answer."""
        message = result.message
        key = (message.n, message.generation, message.task, result.owner)
        if self._connection.execute(SQL.finish_work, key).rowcount == 0:
            return MessageVerdict(0, message.n, 0)
        return self._send(message)

    def _return(self, returns: Sequence[WorkReturn]) -> None:
        token = self._batch.token
        self._many(
            SQL.return_work,
            [(one.suspect, one.not_before, one.n, one.generation, one.task, token) for one in returns],
        )

    def _record_attempts(self, attempts: Sequence[Attempt]) -> None:
        self._many(
            SQL.add_attempt,
            [
                (
                    one.n,
                    one.generation,
                    one.task,
                    one.attempt,
                    one.scheduled,
                    one.started,
                    one.finished,
                    one.host,
                    one.worker,
                    one.failure,
                    one.n,
                )
                for one in attempts
            ],
        )


def _by_id(new: NewInstance) -> str:
    return new.instance_id


def json_object(tags: dict[str, str]) -> str:
    """Tags as they stand in their column."""
    return msgspec.json.encode(tags).decode()


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
