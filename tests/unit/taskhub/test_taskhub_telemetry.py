"""What the hub tells, and who hears it."""

from __future__ import annotations

from typing import Any

from perdure.model.actions import CompleteOrchestration, ScheduleTask
from perdure.model.execution import TurnMismatch
from perdure.model.history import HistoryEvent, TaskCompleted
from perdure.model.operations import (
    Found,
    GetInstance,
    PurgeInstance,
    RaiseEvent,
    ResumeInstance,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)
from perdure.taskhub.parked import ParkedList
from perdure.taskhub.telemetry import EVENTS, Telemetry, telling
from tests.unit.taskhub.scripted import Bench


class Tokens(Telemetry):
    def __init__(self, said: list[str], name: str) -> None:
        self.said, self.name = said, name

    def registered(self, token: int) -> None:
        self.said.append(f"{self.name} heard of {token}")


class Losses(Tokens):
    def token_lost(self, token: int) -> None:
        self.said.append(f"{self.name} heard of the loss of {token}")


def test_each_event_goes_to_those_that_hear_it_in_order() -> None:
    said: list[str] = []
    told = telling([Tokens(said, "one"), Telemetry(), Losses(said, "two")])
    told.registered(7)
    told.token_lost(7)
    told.store_failed("nobody hears this")
    assert said == ["one heard of 7", "two heard of 7", "two heard of the loss of 7"]


def test_an_event_that_nobody_hears_costs_what_it_did() -> None:
    told = telling([Telemetry(), Tokens([], "one")])
    own = set(vars(told))
    assert own == {"registered"}
    assert len(EVENTS) > 10


def parked_bench() -> Bench:
    """An instance whose code cannot go on with what it waits for."""

    def script(turn: int, events: list[HistoryEvent]) -> list[Any]:
        return [ScheduleTask(0, "A")] if turn == 0 else [CompleteOrchestration("1")]

    bench = Bench({"Chain": script})
    bench.executor.hold.add("A")
    bench.call(StartInstance("Chain", "i"))
    assert bench.time.run_until(lambda: bool(bench.executor.held), within=5)
    run = bench.executor.run_turn
    mismatches: list[int] = []

    def run_turn(request: Any, done: Any) -> None:
        if any(isinstance(event, TaskCompleted) for event in request.events):
            mismatches.append(request.n)
            bench.clock.soon(lambda: done(TurnMismatch(request.n, request.generation, request.base_turn, "no fit")))
        else:
            run(request, done)

    bench.executor.run_turn = run_turn  # type: ignore[method-assign]
    bench.mismatches = mismatches  # type: ignore[attr-defined]
    request, done = bench.executor.held.pop()
    done(bench.executor.outcome(request))
    assert bench.time.run_until(lambda: parked_count(bench) == 1, within=5)
    assert bench.time.run_until(lambda: record(bench).parked is not None, within=5)
    return bench


def record(bench: Bench) -> Any:
    found = bench.call(GetInstance("i"))
    assert isinstance(found, Found)
    return found.record


def parked_count(bench: Bench) -> int:
    counts: list[Any] = []
    ParkedList(bench.store, bench.clock).count(counts.append)
    assert bench.time.run_until(lambda: bool(counts), within=5)
    count: int = counts[0]
    return count


def test_what_is_parked_stays_so_through_suspend_and_resume() -> None:
    bench = parked_bench()
    bench.call(SuspendInstance("i"))
    bench.time.advance(1)
    bench.call(ResumeInstance("i"))
    bench.call(RaiseEvent("i", "go"))
    bench.time.advance(1)
    assert record(bench).parked is not None
    assert len(bench.mismatches) == 1  # type: ignore[attr-defined]
    assert parked_count(bench) == 1


def test_what_was_parked_and_is_gone_is_not_counted() -> None:
    bench = parked_bench()
    bench.call(TerminateInstance("i"))
    assert bench.time.run_until(lambda: parked_count(bench) == 0, within=5)
    bench = parked_bench()
    bench.call(PurgeInstance("i"))
    assert bench.time.run_until(lambda: parked_count(bench) == 0, within=5)
