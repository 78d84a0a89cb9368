"""Entities that go: a purge of one in use, and the clean-up of empty ones and of locks that nobody holds."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from perdure.model.commit_plan import Audit, Message, MessageVerdict, Purge, Verdict
from perdure.model.history import EntityUnlocked, ExecutionTerminated
from perdure.model.instance import (
    TERMINAL,
    EntityLock,
    InstanceFilter,
    InstanceKind,
    InstanceRecord,
    Page,
    decode_lock,
)
from perdure.model.operations import CleanEntities, EntitiesCleaned, OperationAnswer, RefusalCode, Refused
from perdure.storage.provider import InboxRow, StoreError
from perdure.taskhub.audit import audit
from perdure.taskhub.hub import Hub

_PAGE = 200
#: how soon an entity is looked at again after it was told to clear itself, and how often
_LOOK_SECONDS = 0.05
_LOOKS = 40

_ENTITIES = InstanceFilter(kinds=(int(InstanceKind.ENTITY),))


class EntityPurge:
    """Deletes one entity.

    While nothing waits for it and nobody holds its lock, its row goes. Else its owner is told to clear it: operations
    that wait are dropped, and who called is told; the row goes as soon as the entity is idle, at the latest with the
    next clean-up after its lock was given back.
    """

    def __init__(
        self,
        hub: Hub,
        record: InstanceRecord,
        judged: Callable[[Verdict | StoreError], None],
        recorded: Audit | None = None,
    ) -> None:
        self._hub, self._record, self._judged, self._recorded = hub, record, judged, recorded
        self._told_at = -1
        self._looks = 0

    def begin(self) -> None:
        """Try; `judged` gets APPLIED when the entity is gone or told to clear itself, REFUSED when it is not there."""
        if self._record.lock_holder or (self._told_at >= 0 and self._record.state is not None):
            self._busy()  # told already, a state is the work of operations that came later
        else:
            purge = Purge(self._record.n, turn=self._record.turn, idle=True, audit=self._recorded)
            self._hub.committer.purge(purge, self._purged)

    def _purged(self, verdict: Verdict | StoreError) -> None:
        if verdict is Verdict.FENCED:
            self._busy()
        elif verdict is Verdict.REFUSED and self._told_at >= 0:
            self._judged(Verdict.APPLIED)
        else:
            self._judged(verdict)

    def _busy(self) -> None:
        if self._told_at < 0:
            self._tell()
            return
        cleared = self._record.state is None and self._record.turn > self._told_at
        if self._looks >= _LOOKS or (cleared and self._record.lock_holder):
            self._judged(Verdict.APPLIED)
        else:
            self._looks += 1
            self._hub.clock.later(_LOOK_SECONDS, self._look)

    def _tell(self) -> None:
        record, committer = self._record, self._hub.committer
        message = Message(record.n, ExecutionTerminated(None, False, committer.time()), audit=self._recorded)
        self._told_at = record.turn

        def told(verdict: MessageVerdict | StoreError) -> None:
            if isinstance(verdict, StoreError):
                self._judged(verdict)
            elif not verdict.seq:
                self._judged(Verdict.REFUSED)
            else:
                self._hub.registry.message_committed(message, verdict)
                self._hub.clock.later(_LOOK_SECONDS, self._look)

        committer.send(message, told)

    def _look(self) -> None:
        def found(answer: list[InstanceRecord] | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._judged(answer)
            elif answer and answer[0].n == self._record.n:
                self._record = answer[0]
                self.begin()
            else:
                self._judged(Verdict.APPLIED)

        self._hub.store.find([self._record.instance_id], found)


class EntityCleaning:
    """`CleanEntities`: all entities of the hub, page by page and one after the other."""

    def __init__(self, hub: Hub, operation: CleanEntities, done: Callable[[OperationAnswer], None]) -> None:
        self._hub, self._operation, self._done = hub, operation, done
        self._removed = self._released = 0
        self._left: list[InstanceRecord] = []
        self._continuation: str | None = None
        self._last_page = False

    def begin(self) -> None:
        """Clean; `done` gets the counts."""
        self._read_page()

    def _read_page(self) -> None:
        def read(page: Page | StoreError) -> None:
            if isinstance(page, StoreError):
                self._done(Refused(RefusalCode.UNAVAILABLE, f"The store could not answer: {page}"))
                return
            self._left = list(reversed(page.items))
            self._continuation, self._last_page = page.continuation, page.continuation is None
            self._next()

        self._hub.store.query(_ENTITIES, _PAGE, self._continuation, read)

    def _next(self) -> None:
        while self._left:
            record = self._left.pop()
            lock = decode_lock(record.custom_status) if record.lock_holder else None
            if lock is not None and self._operation.release_orphaned_locks:
                self._release_orphan(record, lock)
                return
            if record.state is None and not record.lock_holder and self._operation.remove_empty:
                self._hub.committer.purge(Purge(record.n, turn=record.turn, idle=True), self._removed_one(record))
                return
        if self._last_page:
            self._end()
        else:
            self._read_page()

    def _end(self) -> None:
        cleaned = EntitiesCleaned(self._removed, self._released)
        made = audit("cleanEntities", self._hub.options.hub_name, self._operation.by, self._hub.committer.time())
        if made is None:
            self._done(cleaned)
            return
        result = f"{self._removed} empty entities removed, {self._released} locks released"
        self._hub.committer.record(replace(made, result=result), lambda answer: self._done(cleaned))

    def _removed_one(self, record: InstanceRecord) -> Callable[[Verdict | StoreError], None]:
        def judged(verdict: Verdict | StoreError) -> None:
            if verdict is Verdict.APPLIED:
                self._removed += 1
                instance = self._hub.registry.get(record.n)
                if instance is not None:
                    self._hub.registry.abandon(instance)
            self._next()

        return judged

    # A lock is an orphan when whoever holds it is over, and no unlock is on its way. The end of an orchestration and
    # its unlocks are one commit: so the holder is read first, then the inbox, then whether the lock is still there.

    def _release_orphan(self, record: InstanceRecord, lock: EntityLock) -> None:
        def holder_read(answer: list[InstanceRecord] | StoreError) -> None:
            if isinstance(answer, StoreError) or any(_holds(holder, record, lock) for holder in answer):
                self._next()
            else:
                self._read_inbox(record, lock, 0)

        self._hub.store.find([lock.locked_by], holder_read)

    def _read_inbox(self, record: InstanceRecord, lock: EntityLock, after: int) -> None:
        def read(answer: list[InboxRow] | StoreError) -> None:
            if isinstance(answer, StoreError) or any(_gives_back(row, record, lock) for row in answer):
                self._next()
            elif answer:
                self._read_inbox(record, lock, answer[-1].seq)
            else:
                self._check_again(record, lock)

        self._hub.store.read_inbox(record.n, after, read)

    def _check_again(self, record: InstanceRecord, lock: EntityLock) -> None:
        def read(answer: list[InstanceRecord] | StoreError) -> None:
            if isinstance(answer, StoreError) or not answer or answer[0].custom_status != record.custom_status:
                self._next()
            else:
                self._unlock(record, lock)

        self._hub.store.find([record.instance_id], read)

    def _unlock(self, record: InstanceRecord, lock: EntityLock) -> None:
        committer = self._hub.committer
        unlocked = EntityUnlocked(record.lock_holder, lock.generation, lock.task, committer.time())
        message = Message(record.n, unlocked)

        def sent(verdict: MessageVerdict | StoreError) -> None:
            if not isinstance(verdict, StoreError) and verdict.seq:
                self._released += 1
                self._hub.registry.message_committed(message, verdict)
            self._next()

        committer.send(message, sent)


def _holds(holder: InstanceRecord, entity: InstanceRecord, lock: EntityLock) -> bool:
    """Whether the instance with the holder's id is the very execution that took the lock, and still runs."""
    if holder.n != entity.lock_holder or holder.status in TERMINAL:
        return False
    return holder.generation == lock.generation


def _gives_back(row: InboxRow, entity: InstanceRecord, lock: EntityLock) -> bool:
    event = row.event
    return (
        isinstance(event, EntityUnlocked)
        and event.caller == entity.lock_holder
        and (event.caller_generation, event.caller_task) == (lock.generation, lock.task)
    )
