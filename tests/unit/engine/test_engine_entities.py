"""Which messages an entity takes next, whatever else waits: locks, calls of the holder, unlocks that come first."""

from __future__ import annotations

import time
from dataclasses import dataclass

from perdure.engine import entities
from perdure.engine.entities import Lock, Operations, Unlock, next_step
from perdure.engine.entity_queue import EntityQueue
from perdure.engine.runtime_state import RuntimeState
from perdure.model.history import EntityLockRequested, EntityOperationRequested, EntityUnlocked, HistoryEvent
from perdure.model.instance import EntityLock, InstanceKind, RuntimeStatus, decode_lock

ENTITY = "@account@a"


@dataclass
class Row:
    seq: int
    event: HistoryEvent


def queue(*events: HistoryEvent) -> EntityQueue[Row]:
    return EntityQueue(Row(seq, event) for seq, event in enumerate(events, 1))


def state(holder: int = 0, generation: int = 0, task: int = 3) -> RuntimeState:
    lock = EntityLock(f"o{holder}", generation, task) if holder else None
    return RuntimeState(
        7,
        ENTITY,
        InstanceKind.ENTITY,
        "account",
        "",
        0,
        1,
        RuntimeStatus.RUNNING,
        1,
        lock_holder=holder,
        lock=lock,
    )


def request(caller: int, generation: int = 0, task: int = 3, entities: tuple[str, ...] = (ENTITY,)) -> HistoryEvent:
    return EntityLockRequested(caller, f"o{caller}", generation, task, entities)


def unlock(caller: int, generation: int = 0, task: int = 3) -> HistoryEvent:
    return EntityUnlocked(caller, generation, task)


def call(caller: int) -> HistoryEvent:
    return EntityOperationRequested("get", None, caller, f"o{caller}", 0, 9)


SIGNAL = EntityOperationRequested("add", "1")


def test_operations_run_up_to_the_next_lock_request_or_the_limit():
    waiting = queue(SIGNAL, call(1), request(2), SIGNAL)
    assert next_step(state(), waiting, 10) == Operations((1, 2))
    assert next_step(state(), waiting, 1) == Operations((1,))
    waiting.take((1, 2))
    assert next_step(state(), waiting, 10) == Lock(3)


def test_only_the_holder_reaches_a_locked_entity_until_its_unlock():
    waiting = queue(SIGNAL, request(2), call(2), call(1), call(1), unlock(1), call(1))
    assert next_step(state(1), waiting, 10) == Operations((4, 5))
    waiting.take((4, 5))
    assert next_step(state(1), waiting, 10) == Unlock(6)
    waiting.take((6,))
    assert next_step(state(1), queue(SIGNAL, request(2)), 10) is None
    assert next_step(state(), waiting, 10) == Operations((1,))


def test_an_unlock_that_came_first_ends_its_request():
    waiting = queue(unlock(1), request(2), request(1))
    assert next_step(state(), waiting, 10) == Lock(2)
    waiting.take((2,))
    assert next_step(state(), waiting, 10) == Lock(3, 1)


def test_an_unlock_of_another_lock_of_the_holder_leaves_the_lock_alone():
    """The request of generation 0 is still on its way here when generation 1 has the lock."""
    waiting = queue(unlock(1, generation=0), unlock(1, generation=1))
    assert next_step(state(1, generation=1), waiting, 10) == Unlock(2)
    waiting.take((2,))
    assert next_step(state(1, generation=1), waiting, 10) is None
    waiting.append(Row(9, request(1, generation=0)))
    assert next_step(state(), waiting, 10) == Lock(9, 1)


def test_what_was_taken_can_be_given_back_in_its_order():
    waiting = queue(call(1), SIGNAL, unlock(1))
    taken = waiting.take((1, 2))
    for row in reversed(taken):
        waiting.appendleft(row)
    assert [row.seq for row in waiting] == [1, 2, 3]
    assert next_step(state(1), waiting, 10) == Operations((1,))


def test_who_holds_the_lock_is_the_custom_status():
    wanted = request(5, generation=2, task=4, entities=(ENTITY,))
    assert isinstance(wanted, EntityLockRequested)
    granted = entities.lock(state(), 10, wanted, 100, (1,), False)
    assert granted.plan.lock_holder == 5
    assert decode_lock(granted.plan.custom_status) == EntityLock("o5", 2, 4) == granted.state.lock
    freed = entities.unlock(granted.state, 11, (2,))
    assert (freed.plan.lock_holder, freed.plan.custom_status, freed.plan.sets_custom_status) == (0, None, True)
    assert freed.state.lock is None
    cancelled = entities.lock(state(), 10, wanted, 100, (1,), True)
    assert (cancelled.plan.lock_holder, cancelled.plan.custom_status) == (0, None)


def _seconds_of_steps(waiting_rows: int) -> float:
    """500 sections of a holder, one after the other, while so many others wait."""
    waiting = queue(*[SIGNAL] * waiting_rows)
    begun = time.perf_counter()
    for seq in range(waiting_rows + 1, waiting_rows + 1001, 2):
        waiting.append(Row(seq, call(1)))
        assert next_step(state(1), waiting, 10) == Operations((seq,))
        waiting.take((seq,))
        waiting.append(Row(seq + 1, unlock(1)))
        assert next_step(state(1), waiting, 10) == Unlock(seq + 1)
        waiting.take((seq + 1,))
    return time.perf_counter() - begun


def test_many_that_wait_behind_a_lock_cost_the_holder_nothing():
    few = min(_seconds_of_steps(10) for _ in range(3))
    many = min(_seconds_of_steps(50_000) for _ in range(3))
    assert many < 5 * few + 0.005
