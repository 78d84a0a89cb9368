"""The invariants of the engine, checked against what became visible in the store, step by step.

The monitor sees every commit at the moment it becomes visible and keeps its own account of each instance; it trusts
neither the engine nor the store. What it finds wrong it raises as `Violation`, under the names listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from perdure.model.actions import Action
from perdure.model.codec import decode_event, decode_history
from perdure.model.commit_plan import CommitAnswer, CommitBatch, MessageVerdict, TurnPlan, Verdict
from perdure.model.execution import ActivityCompleted, ActivityOutcome, ActivityRequest, TurnDecided, TurnRequest
from perdure.model.history import (
    EventRaised,
    ExecutionRewound,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceCompleted,
    SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.storage.memory_tables import Tables
from perdure.testing.client_scripts import Violation
from perdure.testing.executor import TurnRunner

TURNS = "turns without gaps"
WRITER = "one writer per instance"
APPEND = "history is append-only"
ONCE = "a result enters history at most once"
ASKED = "only the execution that asked gets the result"
DURABLE = "acknowledged means durable"
SESSION = "a session is never used after a turn that was not applied"
ORDER = "order per sender"
REPLAY = "replay equals live"
TIME = "time never goes back"
LOCK = "a lock has one holder"
AGAIN = "a durable result is never worked out again"
ALIVE = "a live host is not declared dead"
OWNER = "verdicts name the owner as of the commit"
LEFT = "nothing is left behind"
LIVE = "everything acknowledged reaches its end"

#: the history of every so manieth turn is replayed at once, of every instance at the end
REPLAY_EVERY = 10

#: kind of the event that asks, by the kind of the event that answers
_ASKED_BY: dict[type, type] = {
    TaskCompleted: TaskScheduled,
    TaskFailed: TaskScheduled,
    SubOrchestrationInstanceCompleted: SubOrchestrationInstanceCreated,
    SubOrchestrationInstanceFailed: SubOrchestrationInstanceCreated,
    TimerFired: TimerCreated,
}
_ASKING = (TaskScheduled, SubOrchestrationInstanceCreated, TimerCreated)


class Account(Struct):
    """What the monitor knows of one instance."""

    owner: int
    turn: int = 0
    generation: int = 0
    time: int = 0
    holder: int = 0
    #: open tasks of the generation, and those that have been answered
    open: dict[int, HistoryEvent] = {}
    answered: dict[int, HistoryEvent] = {}


class Tried(Struct):
    """What a turn of user code was given, and what it decided."""

    time: int
    events: list[HistoryEvent]
    actions: list[Action]


class Monitor:
    """Watches one simulation."""

    def __init__(self, tables: Tables, fresh_sessions: Callable[[], TurnRunner], now: Callable[[], int]) -> None:
        self._tables = tables
        self._now = now
        self._fresh = fresh_sessions
        self._accounts: dict[int, Account] = {}
        self._results: dict[tuple[int, int, int], set[str | None]] = {}
        self._durable: set[tuple[int, int, int]] = set()
        self._tried: dict[tuple[int, int, int], list[Tried]] = {}
        #: history rows as they became visible, also of generations that are deleted since
        self._stored: dict[tuple[int, int, int], list[HistoryEvent]] = {}
        self._last: dict[int, tuple[int, int, Tried]] = {}
        self.turns = 0
        self.replayed = 0
        self.activities = 0

    # -- commits

    def committed(self, batch: CommitBatch, answer: CommitAnswer) -> None:
        """A commit became visible."""
        tables = self._tables
        if not answer.alive:
            return
        if tables.hosts[batch.token].dead:
            raise Violation(WRITER, f"dead host {batch.token} committed {batch.number}")
        for plan, verdict in zip(batch.turns, answer.turns, strict=True):
            if verdict.verdict is Verdict.APPLIED:
                self._applied(plan, batch.token)
                for task in plan.done:
                    self._durable.add((plan.n, plan.generation, task))
        for result, sent in zip(batch.results, answer.results, strict=True):
            if sent.seq:
                message = result.message
                self._durable.add((message.n, message.generation, message.task))
        for sent in _message_verdicts(answer):
            record = tables.instances.get(sent.n)
            if sent.seq and record is not None and sent.owner != record.owner:
                raise Violation(OWNER, f"message {sent.seq} to {sent.n}: {sent.owner}, the owner is {record.owner}")
        for n in [n for n in self._accounts if n not in tables.instances]:
            del self._accounts[n]
            self._last.pop(n, None)

    def _applied(self, plan: TurnPlan, token: int) -> None:
        self.turns += 1
        account = self._accounts.get(plan.n)
        if account is None:
            account = self._accounts[plan.n] = Account(token)
        if plan.base_turn != account.turn or plan.turn != account.turn + 1:
            raise Violation(TURNS, f"{plan.n}: turn {plan.turn} on {plan.base_turn} after turn {account.turn}")
        record = self._tables.instances.get(plan.n)
        if record is not None and record.owner not in (token, 0):
            raise Violation(WRITER, f"{plan.n}: host {token} wrote turn {plan.turn}, its owner is {record.owner}")
        if plan.generation != account.generation:
            raise Violation(TURNS, f"{plan.n}: a turn of generation {plan.generation} in {account.generation}")
        account.turn = plan.turn
        if plan.lock_holder >= 0:
            if plan.lock_holder and account.holder not in (0, plan.lock_holder):
                raise Violation(LOCK, f"{plan.n}: {plan.lock_holder} got the lock of {account.holder}")
            account.holder = plan.lock_holder
        if plan.history is not None:
            events = decode_history(plan.history)
            self._row(plan.n, account, events, plan.turn)
            self._stored[(plan.n, plan.generation, plan.turn)] = events
            for tried in self._tried.pop((plan.n, plan.generation, plan.turn), ()):
                if _is_row_of(events, tried.time, tried.events):
                    self._last[plan.n] = (plan.generation, plan.turn, tried)
                    break
            if self.turns % REPLAY_EVERY == 0:
                self.replay(plan.n)
        if plan.next_generation:
            account.generation = plan.next_generation
            account.open, account.answered = {}, {}

    def _row(self, n: int, account: Account, events: list[HistoryEvent], turn: int) -> None:
        where = f"{n}/{account.generation} turn {turn}"
        started = events[0]
        if not isinstance(started, OrchestratorStarted):
            raise Violation(REPLAY, f"{where}: history row begins with {started}")
        if started.timestamp < account.time:
            raise Violation(TIME, f"{where}: at {started.timestamp} after {account.time}")
        account.time = started.timestamp
        for event in events:
            kind = type(event)
            if isinstance(event, _ASKING):
                if event.event_id in account.open or event.event_id in account.answered:
                    raise Violation(ONCE, f"{where}: task {event.event_id} is scheduled twice")
                account.open[event.event_id] = event
            elif kind in _ASKED_BY:
                self._answered(n, account, event, where)
            elif isinstance(event, ExecutionRewound):
                for task in event.tasks:
                    asked = account.answered.pop(task, None)
                    if asked is not None:
                        account.open[task] = asked
                        self._durable.discard((n, account.generation, task))

    def _answered(self, n: int, account: Account, event: Any, where: str) -> None:
        task = event.timer_id if isinstance(event, TimerFired) else event.task_scheduled_id
        if task in account.answered:
            raise Violation(ONCE, f"{where}: a second answer to task {task}: {event}")
        asked = account.open.pop(task, None)
        if asked is None or type(asked) is not _ASKED_BY[type(event)]:
            raise Violation(ASKED, f"{where}: {event} answers {asked}")
        account.answered[task] = asked
        if isinstance(event, TimerFired) and min(account.time, self._now()) < event.fire_at:
            raise Violation(TIME, f"{where}: timer {task} fired at {account.time}, before {event.fire_at}")
        if isinstance(event, (TaskCompleted, TaskFailed)):
            given = self._results.get((n, account.generation, task), set())
            told = event.result if isinstance(event, TaskCompleted) else event.reason
            if told not in given and not (isinstance(event, TaskFailed) and "worker" in event.reason):
                raise Violation(ASKED, f"{where}: task {task} got {told!r}, it gave {sorted(map(str, given))}")

    # -- user code

    def activity_starts(self, request: ActivityRequest) -> None:
        """An activity is about to run."""
        self.activities += 1
        key = (request.n, request.generation, request.task)
        if key in self._durable:
            raise Violation(AGAIN, f"{request.name} of {key} runs again, its result was durable")

    def activity_ran(self, request: ActivityRequest, outcome: ActivityOutcome) -> None:
        """What an activity gave, whether or not it arrives."""
        key = (request.n, request.generation, request.task)
        told = outcome.result if isinstance(outcome, ActivityCompleted) else outcome.reason
        self._results.setdefault(key, set()).add(told)

    def turn_decided(self, request: TurnRequest, decided: TurnDecided) -> None:
        """Code ran, live or after a replay; whether the turn is applied comes later."""
        key = (request.n, request.generation, request.base_turn + 1)
        self._tried.setdefault(key, []).append(Tried(request.time, list(request.events), decided.actions))

    def session_continues(self, request: TurnRequest, last: TurnRequest) -> None:
        """A session is used without history; `last` is the turn that it ran before."""
        turn = last.base_turn + 1
        stored = self._stored.get((last.n, last.generation, turn))
        if stored is None or not _is_row_of(stored, last.time, last.events):
            text = f"{request.n}/{request.generation}: used at turn {request.base_turn} after a turn {turn} not stored"
            raise Violation(SESSION, text)

    # -- replay

    def replay(self, n: int) -> None:
        """Run the stored history of an instance through a fresh worker, and compare what the last turn decided."""
        record = self._tables.instances.get(n)
        tried = self._last.get(n)
        if record is None or tried is None:
            return
        generation, last, live = tried
        rows = self._tables.history.get(n, {})
        request = TurnRequest(
            n,
            generation,
            last - 1,
            record.instance_id,
            record.name,
            live.time,
            live.events,
            [rows[key] for key in sorted(rows) if key[0] == generation and key[1] < last],
        )
        sessions = self._fresh()
        outcome = sessions.run(request)
        sessions.close()
        self.replayed += 1
        if not isinstance(outcome, TurnDecided) or outcome.actions != live.actions:
            again = outcome.actions if isinstance(outcome, TurnDecided) else outcome
            raise Violation(REPLAY, f"{n}/{generation} turn {last}: live {live.actions}, replayed {again}")

    # -- acknowledgements and the end

    def event_acknowledged(self, instance_id: str, event: EventRaised) -> None:
        """An event was acknowledged: it waits, or it is in the history, or its instance is over."""
        tables = self._tables
        n = tables.ids.get(instance_id, 0)
        record = tables.instances.get(n)
        if record is None or record.status.is_terminal or record.generation:
            return

        def same(other: HistoryEvent) -> bool:
            return isinstance(other, EventRaised) and (other.name, other.input) == (event.name, event.input)

        waiting = any(same(decode_event(row.body)) for row in tables.inbox.get(n, {}).values())
        if not waiting and not any(
            same(other) for row in tables.history.get(n, {}).values() for other in decode_history(row)
        ):
            raise Violation(DURABLE, f"the event {event} to {instance_id} was acknowledged and is nowhere")

    def standing(self, clients: list[str]) -> list[str]:
        """How the unfinished instances of these clients stand, for the report."""
        tables = self._tables
        lines = []
        for n, record in tables.instances.items():
            root = record
            while root.parent_n in tables.instances:
                root = tables.instances[root.parent_n]
            if record.status.is_terminal or not root.instance_id.lstrip("@").startswith(_of(clients)):
                continue
            lines.append(
                f"{n} {record.instance_id} {record.name} {record.status.label} owner={record.owner} turn={record.turn}"
                f" generation={record.generation} locked by={record.lock_holder} parked={record.parked}"
                f" inbox={tables.inbox_rows(n, 0)[:5]} "
                f"work={[tables.work[key] for key in tables.work_of.get(n, ())][:5]} "
                f"open={dict(list(self._accounts[n].open.items())[:5]) if n in self._accounts else ''}"
            )
        return lines

    def settled(self) -> None:
        """All clients are done and the hosts have been idle: nothing may wait that nobody will ever take."""
        tables = self._tables
        for n, record in tables.instances.items():
            self.replay(n)
            if record.kind is InstanceKind.ENTITY:
                if tables.inbox.get(n):
                    raise Violation(LEFT, f"{record.instance_id}: nobody takes {tables.inbox_rows(n, 0)}")
                if record.lock_holder:
                    raise Violation(LEFT, f"{record.instance_id} is locked by {record.lock_holder}")
            if not record.status.is_terminal:
                continue
            if record.status is not RuntimeStatus.FAILED and tables.inbox.get(n):
                raise Violation(LEFT, f"{record.instance_id} has ended and its inbox holds {tables.inbox_rows(n, 0)}")
        for n in [*tables.inbox, *tables.work_of, *tables.history]:
            if n not in tables.instances:
                raise Violation(LEFT, f"rows of {n}, which is gone")
        if tables.work:
            raise Violation(LEFT, f"activities that nobody runs: {list(tables.work.values())[:3]}")


def _message_verdicts(answer: CommitAnswer) -> Iterator[MessageVerdict]:
    yield from answer.messages
    yield from answer.results
    for turn in answer.turns:
        yield from turn.messages


def _is_row_of(row: list[HistoryEvent], time: int, events: list[HistoryEvent]) -> bool:
    """Whether a history row is of a turn at `time` that was given these events."""
    return row[: len(events) + 1] == [OrchestratorStarted(time), *events]


def _of(clients: list[str]) -> tuple[str, ...]:
    """How the ids of what these clients started begin, entities included."""
    return tuple(f"{prefix}{name}" for name in clients for prefix in ("", "account@", "ledger@"))
