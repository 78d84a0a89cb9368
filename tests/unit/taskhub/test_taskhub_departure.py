"""A host that is drained and takes work again: nothing is lost, nothing runs twice, others help meanwhile."""

from __future__ import annotations

import pytest

from perdure.model.actions import CompleteOrchestration, CreateTimer, ScheduleTask
from perdure.model.history import EventRaised
from perdure.model.operations import Done, RaiseEvent, Refused, Started, StartInstance
from perdure.storage.memory import Fate
from tests.unit.taskhub.scripted import Bench


def chain(step, events):
    return [ScheduleTask(step, "A", f'"{step}"')] if step < 3 else [CompleteOrchestration('"done"')]


def waiting(step, events):
    raised = [e for e in events if isinstance(e, EventRaised)]
    return [CompleteOrchestration(raised[0].input)] if raised else []


def bench(**options: object) -> Bench:
    return Bench({"Chain": chain, "Waiting": waiting}, **options)


def drained(host: Bench, seconds: float = 0.1) -> list[int]:
    done: list[int] = []
    host.hub.drain(lambda: done.append(1))
    host.time.advance(seconds)
    return done


def test_a_drained_host_takes_work_again():
    host = bench()
    host.call(StartInstance("Waiting", "w1"))
    assert drained(host) and host.database.tables.hosts[host.hub.token].leaving
    assert isinstance(host.call(StartInstance("Chain", "c1")), Refused)
    token = host.hub.token
    host.hub.resume(lambda: None)
    host.time.advance(0.1)
    assert host.hub.token == token and not host.database.tables.hosts[token].leaving
    assert host.call(StartInstance("Chain", "c1")) == Started("c1")
    assert host.call(RaiseEvent("w1", "go", "5")) == Done()
    host.time.advance(1)
    assert (host.status("c1"), host.status("w1")) == ("Completed", "Completed")


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3, 2.0])
def test_what_runs_meanwhile_goes_on(seconds):
    """At whatever point of the drain it is taken back: while turns run, while activities do, or afterwards."""
    host = bench()
    host.executor.turn_seconds = 0.2
    host.call(StartInstance("Chain", "c1"))
    host.time.advance(0.25)
    host.executor.hold.add("A")
    for i in range(5):
        host.call(StartInstance("Chain", f"d{i}"))
    host.time.advance(0.1)
    drained(host, seconds)
    host.hub.resume(lambda: None)
    host.time.advance(1.0)
    while host.executor.held:
        host.executor.release()
        host.time.advance(1.0)
    for name in ("c1", *(f"d{i}" for i in range(5))):
        assert host.status(name) == "Completed", name
    ran = [(request.instance_id, request.task) for request in host.executor.ran]
    assert len(ran) == len(set(ran)) == 18, "an activity ran twice"


def test_a_result_that_a_turn_has_taken_is_not_lost():
    """The turn cannot begin, as its history cannot be read at the moment."""
    host = bench(hot=False)
    host.executor.hold.add("A")
    host.call(StartInstance("Chain", "c1"))
    host.time.advance(0.1)
    down = Fate(error="the store is down", answer=0.01, applied=False)
    host.store._fate = lambda call: down if call == "read_history" else None
    host.executor.release()
    host.time.advance(0.25)
    assert drained(host, 0.3)
    host.store._fate = None
    host.hub.resume(lambda: None)
    host.time.advance(0.5)
    while host.executor.held:
        host.executor.release()
        host.time.advance(0.5)
    assert host.status("c1") == "Completed"
    assert len(host.executor.ran) == 3


def test_others_have_what_they_took_and_the_rest_comes_back():
    first = bench()
    second = bench(database=first.database)
    for name in ("w1", "w2"):
        first.call(StartInstance("Waiting", name))
    assert drained(first)
    assert second.call(RaiseEvent("w1", "go", "1")) == Done()
    second.time.advance(2)
    assert second.status("w1") == "Completed"
    first.hub.resume(lambda: None)
    first.time.advance(0.1)
    assert second.call(RaiseEvent("w2", "go", "2")) == Done()
    token, n = second.hub.wakes.woken[-1]
    assert token == first.hub.token
    first.hub.woken(n)
    first.time.advance(0.1)
    assert first.status("w2") == "Completed"
    assert any(request.n == n for request in first.executor.turns)


def test_timers_and_messages_that_came_meanwhile_are_not_missed():
    host = bench()

    def sleeper(step, events):
        return [CreateTimer(0, host.time.now + 5_000_000)] if step == 0 else [CompleteOrchestration('"woke"')]

    host.executor._scripts["chain"] = sleeper
    host.call(StartInstance("Chain", "s1"))
    host.time.advance(0.1)
    host.call(StartInstance("Chain", "s2"))
    assert drained(host)
    host.time.advance(20)
    assert (host.status("s1"), host.status("s2")) == ("Running", "Pending")
    host.hub.resume(lambda: None)
    host.time.advance(0.1)
    assert (host.status("s1"), host.status("s2")) == ("Completed", "Running")
    host.time.advance(6)
    assert host.status("s2") == "Completed"


def test_the_last_wish_counts_however_slow_the_store_is():
    host = bench()
    host.call(StartInstance("Waiting", "w1"))
    host.store._fate = lambda call: Fate(answer=0.5)

    def leaving() -> bool:
        return host.database.tables.hosts[host.hub.token].leaving

    done = drained(host, 0.6)
    host.hub.resume(lambda: None)
    host.time.advance(0.1)
    done += drained(host, 0.1)
    host.hub.resume(lambda: None)
    done += drained(host, 10)
    assert leaving() and not host.hub.accepting
    host.hub.resume(lambda: None)
    host.time.advance(10)
    assert not leaving() and host.hub.accepting
    host.store._fate = None
    assert host.call(RaiseEvent("w1", "go", "5")) == Done()
    assert host.wait("w1").record.output == "5"


def test_a_store_that_fails_is_asked_again():
    host = bench()
    drained(host)
    down = Fate(error="the store is down", answer=0.05, applied=False)
    host.store._fate = lambda call: down if call == "come_back" else None
    resumed: list[int] = []
    host.hub.resume(lambda: resumed.append(1))
    host.time.advance(1)
    assert not host.hub.accepting and not resumed
    host.store._fate = None
    host.time.advance(1)
    assert resumed and host.call(StartInstance("Chain", "c1")) == Started("c1")


def test_a_drain_outlives_the_token():
    first = bench()
    second = bench(database=first.database)
    drained(first)
    old = first.hub.token
    first.clock.pause(30)
    second.time.advance(60)
    assert first.hub.token != old and not first.hub.accepting
    assert first.database.tables.hosts[first.hub.token].leaving
    second.call(StartInstance("Chain", "c1"))
    assert second.wait("c1").record.output == '"done"'
    first.hub.resume(lambda: None)
    first.time.advance(1)
    assert first.call(StartInstance("Chain", "c2")) == Started("c2")
