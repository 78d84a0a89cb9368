"""Spans from what a hub tells, on virtual time."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

from perdure.host.telemetry.traces import Span, Traces
from perdure.model.actions import (
    CarriedEvent,
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateTimer,
    ScheduleTask,
    SendEvent,
    SignalEntity,
)
from perdure.model.execution import EntityDecided, EntitySignal, EntityStart, OperationResult
from perdure.model.failure import FailureDetails
from perdure.model.history import EventRaised, HistoryEvent
from perdure.model.operations import (
    RaiseEvent,
    RewindInstance,
    SignalEntityOperation,
    StartInstance,
    TerminateInstance,
)
from perdure.model.trace_context import Sampling, span_id, trace_id
from perdure.taskhub.telemetry import Telemetry, telling
from tests.unit.taskhub.scripted import Bench, Script

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{CALLER}-01 vendor=one"


def traced(scripts: dict[str, Script], **options: Any) -> tuple[Bench, list[Span]]:
    """A hub that traces, and the spans as they are told."""
    bench = Bench(scripts, sampling=Sampling(), **options)
    spans: list[Span] = []
    told = Traces(spans.append)
    bench.hub.telemetry = bench.hub.shift.telemetry = bench.hub.activities._telemetry = told
    return bench, spans


def one(spans: list[Span], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


def done(turn: int, events: list[HistoryEvent]) -> list[Any]:
    return [CompleteOrchestration("1")]


def waits_twice(turn: int, events: list[HistoryEvent]) -> list[Any]:
    return [[], [], [CompleteOrchestration("1")]][turn]


def test_a_message_that_changes_nothing_ends_nothing_again() -> None:
    bench, spans = traced({"Chain": waits_twice})
    bench.call(StartInstance("Chain", "i", trace=PARENT))
    bench.time.advance(0.1)
    # both are there before the first is carried out
    answers: list[Any] = []
    bench.client.call(TerminateInstance("i"), answers.append)
    bench.client.call(TerminateInstance("i"), answers.append)
    bench.time.advance(1)
    assert [span.name for span in spans] == ["create_orchestration:Chain", "orchestration:Chain"]
    assert spans[1].attributes["durabletask.task.status"] == "Terminated"


def test_what_was_terminated_before_it_began_was_asked_for_all_the_same() -> None:
    bench, spans = traced({"Chain": done})
    later = bench.time.now + 3_600_000_000
    bench.call(StartInstance("Chain", "i", start_at=later, trace=PARENT))
    bench.call(TerminateInstance("i"))
    bench.time.advance(1)
    created, run = spans
    assert (span_id(created.parent or ""), run.parent) == (CALLER, created.context)
    assert run.attributes["durabletask.task.status"] == "Terminated"


def test_a_retried_instance_that_failed_goes_on_under_its_span() -> None:
    failure = FailureDetails("ValueError", "no")

    def fails(turn: int, events: list[HistoryEvent]) -> list[Any]:
        return [ScheduleTask(0, "A")] if turn == 0 else [CompleteOrchestration("no", failure)]

    bench, spans = traced({"Chain": fails})
    bench.call(StartInstance("Chain", "i", trace=PARENT))
    bench.wait("i")
    assert one(spans, "orchestration:Chain").error == "no"
    bench.call(RewindInstance("i"))
    bench.time.advance(1)
    first, second = [span for span in spans if span.name == "orchestration:Chain"]
    assert first.context == second.context
    assert first.start == second.start
    assert len([span for span in spans if span.name == "create_orchestration:Chain"]) == 1


@pytest.mark.parametrize("hot", [True, False])
def test_a_generation_that_left_memory_began_when_its_history_says(hot: bool) -> None:
    def script(turn: int, events: list[HistoryEvent]) -> list[Any]:
        if any(isinstance(event, EventRaised) and event.name == "again" for event in events):
            return [ContinueAsNewWith("2")]
        ends = any(isinstance(event, EventRaised) and event.name == "end" for event in events)
        return [CompleteOrchestration("1")] if ends else []

    bench, spans = traced({"Chain": script}, hot=hot)
    bench.call(StartInstance("Chain", "i", trace=PARENT))
    bench.time.advance(5)
    bench.call(RaiseEvent("i", "again"))
    bench.time.advance(5)
    began = bench.time.now
    bench.call(RaiseEvent("i", "noted"))
    bench.time.advance(5)
    (instance,) = bench.hub.registry.warm.all()
    bench.hub.registry.forget(instance)
    bench.call(RaiseEvent("i", "end"))
    bench.time.advance(5)
    first, second = [span for span in spans if span.name == "orchestration:Chain"]
    assert first.context != second.context
    assert first.parent == second.parent == one(spans, "create_orchestration:Chain").context
    assert (first.end - first.start) // 1_000_000 == 5
    assert second.start < began - 4_000_000
    assert (second.end - second.start) // 1_000_000 == 10


def test_events_hang_on_who_raised_them_and_are_told_once() -> None:
    def sender(turn: int, events: list[HistoryEvent]) -> list[Any]:
        return [SendEvent(0, "i", "x"), SendEvent(1, "i", "x"), SendEvent(2, "nobody", "y"), CompleteOrchestration()]

    def keeper(turn: int, events: list[HistoryEvent]) -> list[Any]:
        raised = [event for event in events if isinstance(event, EventRaised)]
        carried = tuple(CarriedEvent(event.name) for event in raised)
        return [ContinueAsNewWith(None, carried)] if len(raised) == 2 and raised[0].trace else []

    bench, spans = traced({"Sender": sender, "Keeper": keeper})
    bench.call(StartInstance("Keeper", "i", trace=PARENT))
    bench.time.advance(1)
    bench.call(StartInstance("Sender", "s", trace=PARENT))
    bench.wait("s")
    bench.time.advance(1)
    bench.call(RaiseEvent("i", "z", trace=PARENT))
    bench.call(RaiseEvent("i", "alone"))
    bench.time.advance(1)
    events = [span for span in spans if span.name.startswith("orchestration_event:")]
    assert [event.name[20:] for event in events] == ["x", "x", "z", "alone"]
    assert len({event.context for event in events}) == 4
    run = one(spans, "orchestration:Sender")
    assert [event.parent for event in events[:3]] == [run.context, run.context, PARENT]
    assert events[0].attributes["durabletask.task.instance_id"] == "s"
    assert trace_id(events[3].context) != TRACE and span_id(events[3].parent or "") == ""


def test_a_timer_is_told_when_it_fired_and_not_when_it_was_cancelled() -> None:
    def script(turn: int, events: list[HistoryEvent]) -> list[Any]:
        now = bench.time.now
        first = [CreateTimer(0, now + 5_000_000), CreateTimer(1, now + 3_600_000_000)]
        return first if turn == 0 else [CompleteOrchestration("1")]

    bench, spans = traced({"Chain": script})
    bench.call(StartInstance("Chain", "i", trace=PARENT))
    bench.wait("i")
    timer = one(spans, "orchestration:Chain:timer")
    assert timer.parent == one(spans, "orchestration:Chain").context
    assert timer.attributes["durabletask.task.task_id"] == 0
    assert (timer.end - timer.start) // 1_000_000 == 5


def test_what_an_entity_sends_hangs_on_the_operation_that_sent_it() -> None:
    bench, spans = traced({"Chain": done})
    times = iter(range(100, 200, 10))

    def run_entity(request: Any, answer: Any) -> None:
        results, signals, starts = [], [], []
        for number, operation in enumerate(request.operations):
            failure = FailureDetails("ValueError", "no") if operation.operation == "fail" else None
            results.append(OperationResult(None, "no" if failure else "", failure, next(times), next(times)))
            if operation.operation == "pass":
                signals.append(EntitySignal("@counter@other", "note", by=number))
                starts.append(EntityStart("Chain", "started", by=number))
        decided = EntityDecided(request.n, request.base_turn, results, "1", signals, starts)
        bench.clock.soon(lambda: answer(decided))

    bench.executor.run_entity = run_entity  # type: ignore[method-assign]
    answers: list[Any] = []
    for operation in ("fail", "pass"):
        asked = SignalEntityOperation("@counter@one", operation, trace=PARENT)
        bench.client.call(asked, answers.append)
    bench.wait("started")
    bench.time.advance(1)
    failed, passed, noted = (one(spans, f"entity:counter:{name}") for name in ("fail", "pass", "note"))
    assert (failed.error, passed.error) == ("no", None)
    assert (failed.start, failed.end, passed.start, passed.end) == (100, 110, 120, 130)
    assert failed.parent == passed.parent == PARENT
    assert noted.parent == passed.context
    created = one(spans, "create_orchestration:Chain")
    assert created.parent == passed.context
    assert one(spans, "orchestration:Chain").parent == created.context


def test_a_hub_that_does_not_trace_stores_and_tells_nothing() -> None:
    def script(turn: int, events: list[HistoryEvent]) -> list[Any]:
        first = [ScheduleTask(0, "A"), CreateTimer(1, bench.time.now + 1), SignalEntity(2, "@counter@k", "add", "1")]
        return first if turn == 0 else [CompleteOrchestration("1")]

    bench, spans = traced({"Chain": script})
    bench.hub.options = bench.hub.options.__class__(names=bench.hub.options.names)
    bench.call(StartInstance("Chain", "i", trace=PARENT))
    record = bench.wait("i")
    bench.call(SignalEntityOperation("@counter@k", "add", "1", trace=PARENT))
    bench.time.advance(1)
    assert spans == []
    assert record.record.trace is None
    assert [request.trace for request in bench.executor.ran] == [None]
    assert all(operation.trace is None for batch in bench.executor.batches for operation in batch.operations)


def test_what_does_not_trace_costs_next_to_nothing() -> None:
    """Calls of Python functions, counted: those of telemetry beside all of the hub's."""

    def chain(turn: int, events: list[HistoryEvent]) -> list[Any]:
        return [ScheduleTask(turn, "A")] if turn < 3 else [CompleteOrchestration("1")]

    bench = Bench({"Chain": chain})
    bench.hub.telemetry = bench.hub.shift.telemetry = bench.hub.activities._telemetry = telling([Telemetry()])
    calls: Counter[str] = Counter()

    def count(frame: Any, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and "/perdure/" in path and "/testing/" not in path:
            calls[path.rpartition("/")[2]] += 1

    sys.setprofile(count)
    try:
        for number in range(20):
            bench.call(StartInstance("Chain", f"i{number}"))
        for number in range(20):
            bench.wait(f"i{number}")
    finally:
        sys.setprofile(None)
    # the hub and a store in memory; user code, workers and a disk are not among it
    assert calls["traces.py"] == calls["trace_context.py"] == 0
    # one look at each activity, whether it is traced
    assert calls["spans.py"] == 60
    assert (calls["telemetry.py"] + calls["spans.py"]) / calls.total() < 0.05, calls
