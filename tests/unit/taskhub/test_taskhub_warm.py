"""The cache of instances in memory: who leaves, who stays, and what a look at it costs."""

from __future__ import annotations

import time

from msgspec.structs import replace

from perdure.engine.runtime_state import new_state
from perdure.model.commit_plan import NewInstance
from perdure.model.history import EventRaised, TaskCompleted
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.taskhub.instance import Instance, Phase, Row
from perdure.taskhub.warm import WarmInstances
from perdure.testing.clock import VirtualClock, VirtualTime


def instance(n: int, phase: Phase = Phase.IDLE) -> Instance:
    made = Instance(new_state(NewInstance(n, str(n), InstanceKind.ORCHESTRATION, "Waiting", 0)))
    made.phase = phase
    return made


def cache(most: int, idle: float = 300.0) -> tuple[WarmInstances, VirtualTime]:
    virtual = VirtualTime()
    return WarmInstances(VirtualClock(virtual), most, idle), virtual


def test_the_least_recently_used_sleepers_leave_and_busy_ones_stay():
    warm, _ = cache(3)
    made = [instance(n, Phase.QUEUED if n == 1 else Phase.IDLE) for n in range(5)]
    for one in made[:3]:
        warm.add(one)
    warm.touch(made[0])
    for one in made[3:]:
        warm.add(one)
        warm.make_room()
    assert {one.state.n for one in warm.all()} == {1, 3, 4}


def test_busy_instances_at_the_front_do_not_hide_the_sleepers_behind():
    warm, _ = cache(200)
    for n in range(100):
        warm.add(instance(n, Phase.RUNNING))
    for n in range(100, 200):
        warm.add(instance(n))
    # each look puts the busy ones that it met behind the others
    assert [warm.has_room() for _ in range(4)] == [False, False, False, True]
    for n in range(200, 1000):
        warm.add(instance(n))
        warm.make_room()
    assert len(warm) <= 201 and sum(one.phase is Phase.RUNNING for one in warm.all()) == 100


def test_there_is_no_room_while_all_are_busy():
    warm, _ = cache(50)
    for n in range(50):
        assert warm.has_room()
        warm.add(instance(n, Phase.QUEUED))
    assert not any(warm.has_room() for _ in range(10))
    warm.all()[17].phase = Phase.IDLE
    assert any(warm.has_room() for _ in range(10))


def test_what_has_been_idle_for_long_leaves():
    warm, virtual = cache(50, idle=60.0)
    old, busy, young = instance(1), instance(2, Phase.RUNNING), instance(3)
    warm.add(old)
    warm.add(busy)
    virtual.advance(61)
    warm.add(young)
    warm.sweep()
    assert warm.all() == [busy, young]


def _seconds(kept: list[Instance], newcomers: list[Instance]) -> float:
    """Processor time of newcomers to a full cache."""
    warm, _ = cache(len(kept))
    for one in kept:
        warm.add(one)
    began = time.process_time()
    for one in newcomers:
        assert warm.has_room()
        warm.add(one)
        warm.make_room()
    return time.process_time() - began


def test_a_newcomer_costs_the_same_however_many_instances_are_kept():
    made = [instance(n) for n in range(60_000)]
    kept, newcomers = made[:40_000], made[40_000:]
    few = min(_seconds(kept[:100], newcomers) for _ in range(2))
    many = min(_seconds(kept, newcomers) for _ in range(2))
    assert many < few * 2


def test_what_is_suspended_leaves_once_the_store_has_all_that_waits_for_it():
    warm, _ = cache(1)
    suspended = instance(1)
    suspended.state = replace(suspended.state, status=RuntimeStatus.SUSPENDED)
    warm.add(suspended)
    for waiting in (Row(7, EventRaised("Go")), Row(0, TaskCompleted(0, None))):
        suspended.add(waiting)
    warm.add(instance(2, Phase.RUNNING))
    warm.make_room()
    assert warm.get(1) is suspended
    suspended.inbox[1].seq = 8
    warm.make_room()
    assert warm.get(1) is None
