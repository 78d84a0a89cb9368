"""Activities that run for long are written down while they run; what `InspectInstance` finds of them and of others."""

from __future__ import annotations

import pytest

from perdure.engine.waiting import explain
from perdure.model.actions import CompleteOrchestration, ScheduleTask
from perdure.model.commit_plan import Attempt
from perdure.model.execution import ActivityCompleted, ActivityRequest
from perdure.model.operations import Inspected, InspectInstance, OpenActivity, StartInstance
from tests.unit.taskhub.scripted import Bench


def calls(name: str):
    def script(step, events):
        return [CompleteOrchestration("1")] if step else [ScheduleTask(0, name, "1")]

    return script


def attempts(bench: Bench) -> list[Attempt]:
    return [one for of in bench.database.tables.attempts.values() for one in of]


def test_a_long_run_is_written_once_and_a_short_one_when_it_has_ended():
    bench = Bench({"Long": calls("A"), "Short": calls("B")})
    bench.executor.hold.add("A")
    bench.call(StartInstance("Long", "long"))
    bench.call(StartInstance("Short", "short"))
    bench.wait("short")
    bench.time.advance(0.9)
    assert all(one.finished or one.started == 0 for one in attempts(bench))
    bench.time.advance(5)
    (runs,) = (one for one in attempts(bench) if one.worker)
    # the executor says that it runs for two seconds
    assert (runs.finished, runs.host, runs.worker) == (0, bench.hub.token, "worker-1 (process 7)")
    found = bench.call(InspectInstance("long"))
    assert isinstance(found, Inspected)
    (open_one,) = found.activities
    assert open_one == OpenActivity(0, bench.hub.token, began=runs.started, worker="worker-1 (process 7)")
    assert "on host 1, worker-1 (process 7)." in explain(found)
    assert found.time - 10_000_000 < found.hosts[0].heard <= found.time
    bench.executor.release()
    bench.wait("long")
    bench.time.advance(2)
    assert len([one for one in attempts(bench) if one.worker]) == 1


def test_what_waits_in_the_worker_is_not_said_to_run():
    bench = Bench({"Long": calls("A")})
    bench.executor.hold.add("A")
    bench.executor.activity_runs = lambda *key: None
    bench.call(StartInstance("Long", "long"))
    bench.time.advance(5)
    assert attempts(bench) == []
    assert "it has only just begun there, or waits for a free thread." in explain(bench.call(InspectInstance("long")))


def test_an_activity_beyond_the_limit_lies_unclaimed():
    bench = Bench({"Long": calls("A")}, max_activities=1)
    bench.executor.hold.add("A")
    for instance_id in ("one", "two"):
        bench.call(StartInstance("Long", instance_id))
        bench.time.advance(2)
    assert bench.call(InspectInstance("two")).activities == [OpenActivity(0)]


def test_attempts_are_timed_by_the_stores_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Bench({"Call": calls("A")})
    first.hub.stop(lambda: None)
    first.time.advance(5)
    bench = Bench({"Call": calls("A")}, first.database)
    by_the_store = bench.clock.now
    # this machine's clock is five minutes ahead, and so is its workers'
    monkeypatch.setattr(bench.clock, "now", lambda: by_the_store() + 300_000_000)

    def outcome(request: ActivityRequest) -> ActivityCompleted:
        now = bench.clock.now()
        return ActivityCompleted(request.n, request.generation, request.task, "1", now - 2_000_000, now)

    monkeypatch.setattr(bench.executor, "outcome", outcome)
    began = by_the_store()
    bench.call(StartInstance("Call", "c1"))
    bench.time.advance(3)
    (ran,) = attempts(bench)
    assert ran.finished - ran.started == 2_000_000
    assert began <= ran.finished <= by_the_store()
