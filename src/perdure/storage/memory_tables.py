"""The tables of the memory store, and how one batch changes them: what a commit means, in plain Python.

Everything here happens at one instant: the steps of a commit in time, its locks and its failures are in `memory`.
Values that hosts could share are frozen; messages lie encoded, so that every reader decodes its own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.codec import decode_event, encode_event
from perdure.model.commit_plan import (
    ActivityResult,
    Attempt,
    Audit,
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    MessageVerdict,
    NewInstance,
    Parking,
    Purge,
    Release,
    TurnPlan,
    TurnVerdict,
    Verdict,
    WorkChunk,
    WorkItem,
    WorkReturn,
)
from perdure.model.history import ExecutionResumed, ExecutionRewound, ExecutionSuspended, ExecutionTerminated
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus
from perdure.model.operations import OpenActivity
from perdure.storage.policies import replaces
from perdure.storage.provider import HostRegistration, InboxRow, Loaded

#: rows of an inbox that one read returns
INBOX_WINDOW = 256
#: management operations of the hub itself that are kept
AUDITS_KEPT = 1000
_BEFORE_ALL = -(1 << 63)

WorkKey = tuple[int, int, int]

#: messages that move an instance whose code may not run: the others wait until it may
_WAKES_SUSPENDED = (ExecutionSuspended, ExecutionResumed, ExecutionTerminated, ExecutionRewound)
_WAKES_FAILED = (ExecutionRewound,)


class HostState(Struct):
    """A host row: `number` and `answer` are those of its last commit."""

    registration: HostRegistration
    beat: int = 0
    heard: int = 0
    dead: bool = False
    leaving: bool = False
    number: int = 0
    answer: CommitAnswer | None = None


class StoredMessage(Struct, frozen=True):
    """An inbox row; `kind` is the type of the event in its body."""

    body: bytes
    kind: type
    generation: int
    task: int
    due: int


class Tables:
    """One hub's rows. Dictionaries keep the order of insertion, so that equal runs read equal orders."""

    def __init__(self) -> None:
        self.hosts: dict[int, HostState] = {}
        self.instances: dict[int, InstanceRecord] = {}
        self.ids: dict[str, int] = {}
        self.unstarted: dict[int, None] = {}
        self.inbox: dict[int, dict[int, StoredMessage]] = {}
        self.timers: list[tuple[int, int, int]] = []
        self.history: dict[int, dict[tuple[int, int], bytes]] = {}
        self.work: dict[WorkKey, WorkItem] = {}
        self.work_of: dict[int, dict[WorkKey, None]] = {}
        self.attempts: dict[int, list[Attempt]] = {}
        self.settings: dict[tuple[str, str], str] = {}
        self.audits: list[tuple[int, Audit]] = []

    def open_activity(self, item: WorkItem) -> OpenActivity:
        """Where an activity is, with what its host last wrote of this attempt."""
        told = OpenActivity(item.task, item.owner, item.suspect, item.not_before)
        key = (item.generation, item.task, item.attempt, item.owner)
        for one in reversed(self.attempts.get(item.n, [])):
            if (one.generation, one.task, one.attempt, one.host) == key:
                return replace(told, began=one.started, finished=one.finished, worker=one.worker)
        return told

    def is_left(self, owner: int, token: int) -> bool:
        """Whether the host with `token` may take an instance that `owner` has: also one that a leaving host has."""
        return self.is_free(owner, token) or self.hosts[owner].leaving

    def is_free(self, owner: int, token: int = 0) -> bool:
        """Whether the host with `token` may take what `owner` has: nobody's, its own, or a dead host's."""
        return owner in (0, token) or self.hosts[owner].dead

    def is_ready(self, record: InstanceRecord, now: int) -> bool:
        """Whether a host that owned the instance would find something to do."""
        status = record.status
        if record.not_before > now:
            return False
        wakes: tuple[type, ...] = (object,)
        if status.is_terminal:
            wakes = _WAKES_FAILED
        elif status is RuntimeStatus.SUSPENDED or record.parked is not None:
            wakes = _WAKES_SUSPENDED
        elif is_unstarted(record):
            return True
        rows = self.inbox.get(record.n, {}).values()
        return any(row.due <= now and issubclass(row.kind, wakes) for row in rows)

    def ready(self, now: int) -> Iterator[InstanceRecord]:
        """Instances with something to do, whoever owns them."""
        for n in list({**self.unstarted, **self.inbox}):
            record = self.instances[n]
            if self.is_ready(record, now):
                yield record

    def load(self, n: int) -> Loaded:
        rows = self.inbox_rows(n, _BEFORE_ALL)
        return Loaded(self.instances[n], rows, more=len(rows) < len(self.inbox.get(n, {})))

    def inbox_rows(self, n: int, after: int) -> list[InboxRow]:
        """A window of rows by `seq`: commits that overlapped can become visible against the order of their numbers."""
        stored = self.inbox.get(n, {})
        numbers = sorted(seq for seq in stored if seq > after)[:INBOX_WINDOW]
        return [
            InboxRow(seq, decode_event(row.body), row.generation, row.task, row.due)
            for seq, row in ((seq, stored[seq]) for seq in numbers)
        ]

    def put_message(self, n: int, seq: int, message: Message) -> None:
        event = message.event
        self.inbox.setdefault(n, {})[seq] = StoredMessage(
            encode_event(event), type(event), message.generation, message.task, message.due
        )
        if message.due:
            insort(self.timers, (message.due, seq, n))

    def delete_messages(self, n: int, numbers: list[int]) -> None:
        rows = self.inbox.get(n, {})
        for seq in numbers:
            row = rows.pop(seq, None)
            if row is not None and row.due:
                del self.timers[bisect_left(self.timers, (row.due, seq, n))]
        if not rows:
            self.inbox.pop(n, None)

    def put_work(self, item: WorkItem) -> None:
        key = (item.n, item.generation, item.task)
        self.work[key] = item
        self.work_of.setdefault(item.n, {})[key] = None

    def delete_work(self, keys: list[WorkKey]) -> None:
        for key in keys:
            if self.work.pop(key, None) is not None:
                of_instance = self.work_of[key[0]]
                del of_instance[key]
                if not of_instance:
                    del self.work_of[key[0]]

    def put_instance(self, record: InstanceRecord) -> None:
        self.instances[record.n] = record
        if is_unstarted(record) and not record.status.is_terminal:
            self.unstarted[record.n] = None
        else:
            self.unstarted.pop(record.n, None)

    def delete_instance(self, n: int) -> None:
        """The instance with everything it has."""
        self.delete_messages(n, list(self.inbox.get(n, {})))
        self.delete_work(list(self.work_of.get(n, {})))
        self.history.pop(n, None)
        self.attempts.pop(n, None)
        self.audits = [(of, audit) for of, audit in self.audits if of != n]
        self.unstarted.pop(n, None)
        del self.ids[self.instances.pop(n).instance_id]


class Application:
    """One batch being applied by a live host. `seq` gives the numbers that its begin reserved, in order."""

    def __init__(self, tables: Tables, batch: CommitBatch, seq: Iterator[int], locked: frozenset[int], now: int):
        self.tables = tables
        self.batch = batch
        self.token = batch.token
        self.seq = seq
        self.locked = locked
        self.now = now

    def run(self) -> CommitAnswer:
        """Survivors first, then rows of instances, then new ids; messages last, so that they see all of it."""
        batch = self.batch
        standing = [plan for plan in batch.turns if self._stands_at(plan.n, plan.base_turn)]
        first = {plan.n: plan for plan in reversed(standing)}
        survivors = [first.get(plan.n) is plan for plan in batch.turns]
        parkings = tuple(self._park(parking) for parking in batch.parkings)
        applied = [plan for plan, survives in zip(batch.turns, survivors, strict=True) if survives]
        for plan in applied:
            self._advance(plan)
        chunks = tuple(self._write_chunk(chunk) for chunk in batch.chunks)
        for release in batch.releases:
            self._release(release)
        failures: list[Message] = []
        purges = tuple(self._purge(purge, failures) for purge in batch.purges)
        news = [*batch.creations, *(new for plan in applied for new in plan.creations)]
        creations = self._create_all(news)
        results = tuple(self._result(result) for result in batch.results)
        own_creations = tuple(self._verdict_of(new, creations) for new in batch.creations)
        turns = tuple(
            self._turn_verdict(plan, creations) if survives else TurnVerdict(Verdict.FENCED)
            for plan, survives in zip(batch.turns, survivors, strict=True)
        )
        messages = self._send_all(batch.messages)
        for failure in failures:
            self._send(failure)
        for given_back in batch.returns:
            self._give_back(given_back)
        for attempt in batch.attempts:
            if attempt.n in self.tables.instances:
                self.tables.attempts.setdefault(attempt.n, []).append(attempt)
        self._record(messages, own_creations, purges)
        return CommitAnswer(
            batch.number,
            self.now,
            turns=turns,
            chunks=chunks,
            creations=own_creations,
            messages=messages,
            results=results,
            parkings=parkings,
            purges=purges,
        )

    def _record(
        self,
        messages: tuple[MessageVerdict, ...],
        creations: tuple[CreationVerdict, ...],
        purges: tuple[Verdict, ...],
    ) -> None:
        """Management operations that were carried out; one of the hub takes the place of its earlier form."""
        batch = self.batch
        done = [(sent.n, m.audit) for m, sent in zip(batch.messages, messages, strict=True) if sent.seq]
        for new, created in zip(batch.creations, creations, strict=True):
            done += [(new.n, new.audit)] if created.verdict is Verdict.APPLIED else []
        for purge, verdict in zip(batch.purges, purges, strict=True):
            done += [(0, purge.audit)] if verdict is Verdict.APPLIED else []
        again = {(audit.time, audit.operation) for audit in batch.audits}
        audits = [(n, a) for n, a in self.tables.audits if n or (a.time, a.operation) not in again]
        audits += [(n, audit) for n, audit in done if audit is not None]
        audits += [(0, audit) for audit in batch.audits]
        own = sum(1 for n, _ in audits if not n)
        for n, audit in list(audits):
            if own <= AUDITS_KEPT:
                break
            if not n:
                audits.remove((n, audit))
                own -= 1
        self.tables.audits = audits

    def _stands_at(self, n: int, turn: int) -> bool:
        """The one check that all rows of a turn hang on."""
        record = self.tables.instances.get(n)
        return record is not None and record.owner == self.token and record.turn == turn

    def _advance(self, plan: TurnPlan) -> None:
        tables = self.tables
        record = tables.instances[plan.n]
        tables.put_instance(
            replace(
                record,
                turn=plan.turn,
                generation=plan.next_generation or plan.generation,
                status=plan.status,
                updated=plan.updated,
                started=plan.started or record.started,
                completed=max(plan.completed, 0) if plan.completed else record.completed,
                output=plan.output if plan.sets_output else record.output,
                custom_status=plan.custom_status if plan.sets_custom_status else record.custom_status,
                state=plan.state if plan.sets_state else record.state,
                input=plan.next_input if plan.sets_input else record.input,
                lock_holder=plan.lock_holder if plan.lock_holder >= 0 else record.lock_holder,
                cursor=plan.cursor,
                first_turn=plan.first_turn,
                suspect=plan.suspect,
            )
        )
        if plan.history is not None:
            tables.history.setdefault(plan.n, {})[(plan.generation, plan.turn)] = plan.history
        rows = tables.history.get(plan.n, {})
        for key in [key for key in rows if key[0] < plan.drop_history_below]:
            del rows[key]
        self._close(plan)

    def _close(self, plan: TurnPlan) -> None:
        tables = self.tables
        rows = tables.inbox.get(plan.n, {})
        over = list(plan.consumed)
        if plan.close_timers or plan.close_inbox or plan.close_all_timers:
            for seq, row in rows.items():
                closes = plan.close_all_timers or seq in plan.close_timers if row.due else plan.close_inbox
                if closes:
                    over.append(seq)
        tables.delete_messages(plan.n, over)
        tables.delete_work([(plan.n, plan.generation, task) for task in plan.done])
        if plan.close_work:
            tables.delete_work(list(tables.work_of.get(plan.n, {})))

    def _turn_verdict(self, plan: TurnPlan, creations: dict[int, CreationVerdict]) -> TurnVerdict:
        messages = self._send_all(plan.messages)
        if plan.n in self.tables.instances:
            for item in plan.work:
                self.tables.put_work(item)
        return TurnVerdict(Verdict.APPLIED, messages, tuple(self._verdict_of(new, creations) for new in plan.creations))

    def _write_chunk(self, chunk: WorkChunk) -> Verdict:
        record = self.tables.instances.get(chunk.n)
        if record is None or record.owner != self.token or record.cursor != chunk.cursor:
            return Verdict.FENCED
        self.tables.put_instance(replace(record, cursor=chunk.next_cursor))
        for item in chunk.work:
            self.tables.put_work(item)
        return Verdict.APPLIED

    def _park(self, parking: Parking) -> Verdict:
        if not self._stands_at(parking.n, parking.base_turn):
            return Verdict.FENCED
        record = self.tables.instances[parking.n]
        self.tables.put_instance(replace(record, parked=parking.report, suspect=parking.suspect))
        return Verdict.APPLIED

    def _release(self, release: Release) -> None:
        record = self.tables.instances.get(release.n)
        if record is not None and record.owner == self.token:
            self.tables.put_instance(replace(record, owner=0, not_before=release.not_before or record.not_before))

    def _purge(self, purge: Purge, failures: list[Message]) -> Verdict:
        if purge.n in self.locked:
            return Verdict.FENCED
        record = self.tables.instances.get(purge.n)
        if record is None:
            return Verdict.REFUSED
        if purge.turn not in (-1, record.turn):
            return Verdict.FENCED
        if purge.idle and self.tables.inbox.get(purge.n):
            return Verdict.FENCED
        if purge.parent_failure is not None and not record.status.is_terminal:
            failures.append(purge.parent_failure)
        failures.extend(purge.messages)
        self.tables.delete_instance(purge.n)
        return Verdict.APPLIED

    def _create_all(self, news: list[NewInstance]) -> dict[int, CreationVerdict]:
        """Verdicts by number, in the order of ids as a database inserts them; refusals are sent later."""
        return {new.n: self._create(new) for new in sorted(news, key=lambda new: new.instance_id)}

    def _create(self, new: NewInstance) -> CreationVerdict:
        tables = self.tables
        holder = tables.ids.get(new.instance_id)
        if holder is not None:
            old = tables.instances[holder]
            if not replaces(new.policy, old.status):
                return CreationVerdict(Verdict.REFUSED, holder, old.status)
            tables.delete_instance(holder)
        tables.ids[new.instance_id] = new.n
        tables.put_instance(
            InstanceRecord(
                n=new.n,
                instance_id=new.instance_id,
                kind=new.kind,
                name=new.name,
                version=new.version,
                generation=0,
                turn=0,
                status=new.status,
                owner=new.owner,
                created=new.created,
                updated=new.created,
                parent_n=new.parent_n,
                parent_generation=new.parent_generation,
                parent_task=new.parent_task,
                parent_id=new.parent_id,
                not_before=new.not_before,
                tags=dict(new.tags) if new.tags else None,
                input=new.input,
                trace=new.trace,
            )
        )
        return CreationVerdict(Verdict.APPLIED, new.n)

    def _verdict_of(self, new: NewInstance, verdicts: dict[int, CreationVerdict]) -> CreationVerdict:
        verdict = verdicts[new.n]
        if verdict.verdict is Verdict.REFUSED and new.refusal is not None:
            return CreationVerdict(verdict.verdict, verdict.n, verdict.status, self._send(new.refusal))
        return verdict

    def _send_all(self, messages: tuple[Message, ...]) -> tuple[MessageVerdict, ...]:
        """Send in order. What goes ahead of a queue gets numbers below zero, below all that stands there."""
        numbers = [next(self.seq) for message in messages if message.ahead]
        ahead = [-number for number in reversed(numbers)]
        return tuple(self._send(message, ahead.pop(0) if message.ahead else 0) for message in messages)

    def _send(self, message: Message, ahead: int = 0) -> MessageVerdict:
        tables = self.tables
        n = message.n or tables.ids.get(message.instance_id, 0)
        if n == 0 and message.create is not None:
            n = self._create(message.create).n
        seq = ahead or next(self.seq)
        record = tables.instances.get(n)
        if record is None:
            return MessageVerdict(0, n, 0)
        if record.status.is_terminal and record.status is not RuntimeStatus.FAILED:
            return MessageVerdict(0, n, record.owner)
        tables.put_message(n, seq, message)
        return MessageVerdict(seq, n, record.owner)

    def _result(self, result: ActivityResult) -> MessageVerdict:
        """The first completion wins: the work row goes, and with it the right of any other to answer."""
        message = result.message
        key = (message.n, message.generation, message.task)
        item = self.tables.work.get(key)
        if item is None or item.owner != result.owner:
            return MessageVerdict(0, message.n, 0)
        self.tables.delete_work([key])
        return self._send(message)

    def _give_back(self, given: WorkReturn) -> None:
        key = (given.n, given.generation, given.task)
        item = self.tables.work.get(key)
        if item is not None and item.owner == self.token:
            self.tables.put_work(replace(item, owner=0, suspect=given.suspect, not_before=given.not_before))


def can_act(record: InstanceRecord) -> bool:
    """Whether messages that are no control messages can move the instance."""
    return record.parked is None and record.status is not RuntimeStatus.SUSPENDED and not record.status.is_terminal


def is_unstarted(record: InstanceRecord) -> bool:
    """Whether there is something to do without any message: code that has not begun, work rows not yet written."""
    return record.cursor > 0 or (record.first_turn == 0 and record.kind is InstanceKind.ORCHESTRATION)


def messages_of(batch: CommitBatch) -> int:
    """The most inbox rows that a batch can write: so many numbers its begin reserves."""
    plain = len(batch.messages) + len(batch.results) + 2 * len(batch.creations)
    plain += sum(1 + len(purge.messages) for purge in batch.purges)
    return plain + sum(len(plan.messages) + 2 * len(plan.creations) for plan in batch.turns)
