"""Where an orchestration stands: the line, what it waits for, since when, and the events that nobody took."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from perdure.model.codec import encode_history
from perdure.model.execution import TurnRequest
from perdure.model.history import (
    EventRaised,
    ExecutionStarted,
    OrchestratorStarted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
)
from perdure.sdk.app import OrchestratorCode
from perdure.sdk.options import SdkOptions
from perdure.sdk.standing import Standing, stand
from perdure.sdk.types import RetryOptions


def order(context: Any) -> Generator[Any, Any, Any]:
    yield context.call_activity("pay", 1)
    paid = context.wait_for_external_event("paid")
    yield context.task_any([paid, context.wait_for_external_event("cancelled")])


def standing(*turns: list[Any], code: Any = order) -> Standing:
    rows = [encode_history(turn) for turn in turns]
    request = TurnRequest(1, 0, len(rows), "o1", "order", 0, [], rows)
    return stand(OrchestratorCode(code, "order", None), SdkOptions(), request)


FIRST = [OrchestratorStarted(100), ExecutionStarted("order"), TaskScheduled(0, "pay", "1")]


def test_an_activity() -> None:
    found = standing(FIRST)
    assert found.location.endswith(f"test_sdk_standing.py:{order.__code__.co_firstlineno + 1} in order")
    assert (found.waits_for, found.events) == ("context.call_activity('pay')", ())


def test_events_and_since_when() -> None:
    found = standing(
        FIRST, [OrchestratorStarted(200), TaskCompleted(0)], [OrchestratorStarted(300), EventRaised("other")]
    )
    assert found.events == ("paid", "cancelled")
    assert found.since == 200, "not the turn of the event that nobody waits for"
    assert found.unclaimed == ("other",)
    assert found.location.endswith(f":{order.__code__.co_firstlineno + 3} in order")


def test_code_that_has_changed() -> None:
    def other(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity("ship", 1)

    assert "ship" in standing(FIRST, code=other).mismatch


def test_a_retried_call() -> None:
    def retries(context: Any) -> Generator[Any, Any, Any]:
        yield context.call_activity_with_retry("pay", RetryOptions(60_000, 5), 1)

    fire_at = 160_000_000
    turns = [
        [OrchestratorStarted(100_000_000), ExecutionStarted("order"), TaskScheduled(0, "pay", "1")],
        [OrchestratorStarted(100_000_000), TaskFailed(0, "no"), TimerCreated(1, fire_at)],
    ]
    found = standing(*turns, code=retries)
    assert (found.mismatch, found.attempts) == ("", {"pay": 5})
