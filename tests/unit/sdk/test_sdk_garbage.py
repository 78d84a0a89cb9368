"""Sessions that end leave nothing behind that only a search for reference cycles could free."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from perdure.model.execution import TurnRequest
from perdure.model.history import ExecutionStarted, HistoryEvent, TaskCompleted
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions
from tests.unit.sdk.turns import START

COUNT = 100


def event(context: Any) -> Any:
    yield context.wait_for_external_event("go")


def race(context: Any) -> Any:
    late = context.create_timer(context.current_utc_datetime + timedelta(1))
    yield context.task_any([context.wait_for_external_event("go"), context.task_all([late])])


async def awaits(context: Any) -> None:
    await context.wait_for_external_event("go")


def chain(context: Any) -> Any:
    yield context.call_activity("A")


def fails(context: Any) -> Any:
    yield context.call_activity("A")
    raise ValueError("no")


def again(context: Any) -> Any:
    yield context.call_activity("A")
    context.continue_as_new(None)


def garbage(function: Callable[..., Any], *turns: list[HistoryEvent]) -> int:
    """What a search for cycles frees after these turns of many instances, most of whose sessions were evicted."""
    code = SimpleNamespace(function=function, name="orch", input_type=None)
    sessions = Sessions(lambda name: code, SdkOptions(max_sessions=1))

    def run(count: int) -> None:
        for n in range(count):
            for turn, events in enumerate(turns):
                sessions.run(TurnRequest(n + 1, 0, turn, "inst", "orch", START, events))

    run(3)  # what is made once is there now
    gc.collect()
    gc.disable()
    try:
        run(COUNT)
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize("function", [event, race, awaits, chain])
def test_an_evicted_session_is_freed_at_once(function: Callable[..., Any]) -> None:
    assert garbage(function, [ExecutionStarted("orch")]) < COUNT


@pytest.mark.parametrize("function", [chain, fails, again])
def test_a_finished_session_is_freed_at_once(function: Callable[..., Any]) -> None:
    assert garbage(function, [ExecutionStarted("orch")], [TaskCompleted(0, "null")]) < COUNT
