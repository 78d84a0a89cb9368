"""Critical sections: locks over entities that a two-argument orchestrator holds for a while."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from perdure.model.actions import LockEntities, UnlockEntities
from perdure.sdk.execution import Execution, Phase
from perdure.sdk.tasks import RUNNING, AtomicTask, TaskBase


class CriticalSection:
    """The critical section of one orchestration: which entities it has locked or asked for."""

    __slots__ = ("_busy", "_entities", "_execution", "_lock")

    def __init__(self, execution: Execution) -> None:
        self._execution = execution
        self._entities: tuple[str, ...] = ()
        self._lock: LockTask | None = None
        self._busy: dict[str, TaskBase[Any]] = {}

    @property
    def is_entered(self) -> bool:
        return self._lock is not None and self._lock.state is not RUNNING

    def enter(self, lock: LockTask, entities: tuple[str, ...]) -> None:
        if self._lock is not None:
            raise RuntimeError("Must not enter another critical section from within a critical section.")
        self._lock = lock
        self._entities = entities
        self._execution.section = self

    def leave(self) -> None:
        """Give the locks back; nothing when there are none."""
        lock, self._lock = self._lock, None
        entities, self._entities = self._entities, ()
        self._busy.clear()
        execution = self._execution
        execution.section = None
        ends = execution.phase in (Phase.CLOSED, Phase.GONE) or execution.continuation is not None
        if lock is not None and isinstance(lock.id, int) and not ends:
            execution.actions.append(UnlockEntities(execution.skip_number(), lock.id, entities))

    def check_no_children(self) -> None:
        if self.is_entered:
            raise RuntimeError("While holding locks, cannot call suborchestrators.")

    def check_call(self, entity: str) -> None:
        if not self.is_entered:
            return
        if entity not in self._entities:
            raise RuntimeError("Must not call an entity that is not locked from within a critical section.")
        busy = self._busy.get(entity)
        if busy is not None and busy.state is RUNNING:
            raise RuntimeError("Must not call an entity from a critical section while a prior call is still pending.")

    def check_signal(self, entity: str) -> None:
        if self.is_entered and entity in self._entities:
            raise RuntimeError("Must not signal a locked entity from a critical section.")

    def note_call(self, entity: str, task: TaskBase[Any]) -> None:
        if self.is_entered:
            self._busy[entity] = task


class EntityLock:
    """What `yield ctx.lock_entities(...)` gives: leave the `with` block to unlock."""

    def __init__(self, section: CriticalSection) -> None:
        self._section = section

    def __enter__(self) -> EntityLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._section.leave()


class LockTask(AtomicTask[EntityLock]):
    """Asks for all locks; completes when all are held."""

    __slots__ = ("entities",)

    def __init__(self, section: CriticalSection, entities: tuple[str, ...]) -> None:
        super().__init__()
        self._execution = section._execution
        self._value = EntityLock(section)
        self.entities = entities

    def open(self, execution: Execution) -> None:
        number = self.id = execution.take_number(self)
        execution.actions.append(LockEntities(number, self.entities))

    def describe(self) -> str:
        return f"ctx.lock_entities({list(self.entities)!r})"


def lock_task(section: CriticalSection, entities: list[str]) -> LockTask:
    """The task of a critical section over `entities`. Raises `RuntimeError` inside another one."""
    if not entities:
        raise ValueError("lock_entities needs at least one entity")
    distinct = tuple(sorted(set(entities)))
    task = LockTask(section, distinct)
    section.enter(task, distinct)
    return task
