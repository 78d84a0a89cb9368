"""How many activities a host claims and runs: its limit, the threads of its workers, and what is left to others."""

from __future__ import annotations

from collections import Counter

import pytest
from msgspec.structs import replace

from perdure.model.actions import CompleteOrchestration, ScheduleTask
from perdure.model.history import TaskCompleted
from perdure.model.operations import StartInstance
from perdure.storage.memory import Fate
from perdure.taskhub.pace import MOST_AHEAD, Pace
from perdure.taskhub.telemetry import Telemetry
from tests.unit.taskhub.scripted import Bench


class Told(Telemetry):
    def __init__(self) -> None:
        self.lines: list[object] = []

    def limit_reached(self, what: str, active: int, limit: int) -> None:
        if self.lines[-1:] != [(what, active, limit)]:
            self.lines.append((what, active, limit))

    def limit_cleared(self, what: str) -> None:
        if what == "activities" and self.lines and self.lines[-1] != "cleared":
            self.lines.append("cleared")


def fan(*names: str):
    """A fan-out of activities of these names."""

    def script(step, events):
        script.left -= sum(isinstance(e, TaskCompleted) for e in events)
        if step == 0:
            return [ScheduleTask(i, name, str(i)) for i, name in enumerate(names)]
        return [] if script.left else [CompleteOrchestration('"done"')]

    script.left = len(names)
    return script


def owners(bench: Bench) -> Counter[int]:
    return Counter(item.owner for item in bench.database.tables.work.values())


def held(bench: Bench, *names: str) -> Bench:
    bench.executor.hold.update(names)
    return bench


@pytest.mark.parametrize(("limit", "threads", "runs"), [(3, 100, 3), (10, 4, 4), (4, 4, 4)])
def test_a_host_claims_what_it_can_run_and_leaves_the_rest(limit, threads, runs):
    first = held(Bench({"Fan": fan(*"A" * 20)}, max_activities=limit, threads=threads), "A")
    first.call(StartInstance("Fan", "f1"))
    first.time.advance(1)
    # also while no other host is there
    assert len(first.executor.held) == runs and owners(first) == {first.hub.token: runs, 0: 20 - runs}
    second = held(Bench({"Fan": fan()}, first.database, max_activities=limit, threads=threads), "A")
    second.time.advance(2)
    assert len(second.executor.held) == runs
    assert owners(first) == {first.hub.token: runs, second.hub.token: runs, 0: 20 - 2 * runs}
    for _ in range(20):
        first.executor.release()
        second.executor.release()
        first.time.advance(2)
        assert max(owners(first)[host.hub.token] for host in (first, second)) <= runs
    assert first.status("f1") == "Completed" and not owners(first)
    assert len(second.executor.ran) >= 8


def test_a_coroutine_needs_no_thread():
    bench = held(Bench({"Fan": fan(*"AAABBB")}, max_activities=10, threads=1, coroutines=frozenset({"b"})), "A", "B")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    assert [request.name for request, _ in bench.executor.held] == ["A", "B", "B", "B"]
    assert owners(bench) == {bench.hub.token: 4, 0: 2}


def test_coroutines_in_the_store_are_claimed_while_no_thread_is_free():
    first = held(Bench({"Fan": fan(*"ABAB")}, max_activities=1, threads=1), "A", "B")
    first.call(StartInstance("Fan", "f1"))
    first.time.advance(0.1)
    options = {"max_activities": 10, "threads": 0, "coroutines": frozenset({"b"})}
    second = held(Bench({"Fan": fan()}, first.database, **options), "A", "B")
    second.time.advance(2)
    assert [request.name for request, _ in second.executor.held] == ["B", "B"]
    # a thread comes free: the plain one is taken now, too
    second.executor.threads = 1
    second.executor.release()
    second.time.advance(2)
    assert [request.name for request, _ in second.executor.held] == ["A"]
    assert owners(first) == {first.hub.token: 1, second.hub.token: 1}


def test_the_limit_counts_coroutines_and_plain_activities_together():
    bench = held(Bench({"Fan": fan(*"ABABAB")}, max_activities=3, threads=9, coroutines=frozenset({"b"})), "A", "B")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    assert sorted(request.name for request, _ in bench.executor.held) == ["A", "A", "B"]


def slow_store(call: str) -> Fate:
    return Fate(answer=0.005)


def test_short_activities_are_claimed_ahead_and_go_back_when_they_find_no_slot():
    bench = Bench({"Quick": fan(*"A" * 400), "Slow": fan(*"B" * 50)}, max_activities=5, threads=5)
    bench.store._fate = slow_store
    bench.call(StartInstance("Quick", "q1"))
    most = 0
    while bench.status("q1") != "Completed":
        bench.time.advance(0.001)
        most = max(most, owners(bench)[bench.hub.token] - bench.hub.activities.running)
    # beside these, some have ended whose result is not committed yet
    assert 5 < most < MOST_AHEAD * 1.5
    held(bench, "B").call(StartInstance("Slow", "s1"))
    bench.time.advance(0.1)
    assert owners(bench)[bench.hub.token] > 5
    bench.time.advance(0.4)
    # those that wait are everybody's now, and none is claimed ahead any more
    assert owners(bench) == {bench.hub.token: 5, 0: 45}
    bench.time.advance(10)
    assert owners(bench) == {bench.hub.token: 5, 0: 45}


def test_how_far_ahead_follows_from_what_activities_take():
    pace = Pace()
    assert pace.ahead(100, 0.004) == 0, "as long as nobody knows, nothing is claimed ahead"
    for _ in range(200):
        pace.ended(1.0)
    assert pace.ahead(16, 0.010) == 0
    for _ in range(200):
        pace.ended(0.004)
    assert pace.ahead(6, 0.005) in (14, 15)
    for _ in range(200):
        pace.ended(0.00001)
    assert pace.ahead(6, 0.005) == MOST_AHEAD
    assert pace.ahead(6, 0.0) == 0
    pace.stalled(0.25)
    assert pace.ahead(6, 0.005) == 0


def test_a_limit_that_holds_work_back_is_told_until_nothing_waits():
    told = Told()
    bench = held(Bench({"Fan": fan(*"A" * 6)}, telemetry=told, max_activities=2), "A")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    assert told.lines == [("activities", 2, 2)]
    bench.executor.release()
    bench.time.advance(0.1)
    assert told.lines == [("activities", 2, 2)]
    while bench.executor.held:
        bench.executor.release()
        bench.time.advance(0.1)
    assert told.lines == [("activities", 2, 2), "cleared"]


def test_threads_that_hold_work_back_are_told_with_the_configured_limit():
    told = Told()
    bench = held(Bench({"Fan": fan(*"A" * 6)}, telemetry=told, max_activities=20, threads=2), "A")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    assert told.lines == [("activities", 2, 20)]


def test_a_full_host_from_which_nothing_is_held_back_says_nothing():
    told = Told()
    bench = held(Bench({"Fan": fan("A", "A")}, telemetry=told, max_activities=2), "A")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(5)
    assert told.lines == []


def test_threads_that_come_free_are_used_at_once():
    bench = held(Bench({"Fan": fan(*"A" * 6)}, max_activities=9, threads=1), "A")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    assert len(bench.executor.held) == 1
    # another process has started
    bench.executor.threads = 4
    bench.executor.on_room()
    bench.time.advance(0.001)
    assert len(bench.executor.held) == 4


def test_activities_that_end_together_are_followed_by_one_look_for_others():
    bench = held(Bench({"Fan": fan(*"A" * 80)}, max_activities=40), "A")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(1)
    looks: list[int] = []
    room = bench.executor.activity_room
    bench.executor.activity_room = lambda: looks.append(1) or room()  # type: ignore[func-returns-value]
    bench.executor.release()
    bench.time.advance(0.001)
    assert len(bench.executor.ran) == 80
    # one when they have ended, one for the turn that takes their results, one when the others are claimed
    assert len(looks) < 8


def test_limits_change_with_the_app():
    bench = held(Bench({"Fan": fan(*"AAABBB")}, max_activities=2, max_turns=3, threads=1), "A", "B")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    assert [request.name for request, _ in bench.executor.held] == ["A"]
    changed = replace(bench.hub.options, max_activities=5, max_turns=7, coroutines=frozenset({"b"}))
    bench.executor.coroutines = changed.coroutines
    bench.hub.app_changed(changed)
    bench.hub.activities.look()
    bench.time.advance(0.1)
    assert sorted(request.name for request, _ in bench.executor.held) == ["A", "B", "B", "B"]
    assert [lane.limit for lane in bench.hub.shift.lanes.all] == [7]
