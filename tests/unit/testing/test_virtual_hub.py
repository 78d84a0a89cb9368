from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import perdure as df
from perdure.testing.hub import InstanceParked, OperationRefused, VirtualHub

app = df.DFApp()


@app.activity_trigger(input_name="name")
def hello(name: str) -> str:
    return f"Hello {name}!"


@app.activity_trigger(input_name="name")
async def slow_hello(name: str) -> str:
    return f"Hello slowly, {name}!"


@app.activity_trigger(input_name="value")
def broken(value: int) -> int:
    raise ValueError(f"no {value}")


@app.orchestration_trigger(context_name="context")
def cities(context: Any) -> Any:
    first = yield context.call_activity("hello", "Tokyo")
    second = yield context.call_activity(slow_hello, "London")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def reminder(context: Any) -> Any:
    yield context.create_timer(context.current_utc_datetime + timedelta(days=30))
    return (yield context.call_activity("hello", "again"))


@app.orchestration_trigger(context_name="context")
def approval(context: Any) -> Any:
    return (yield context.wait_for_external_event("approve"))


@app.orchestration_trigger(context_name="context")
def failing(context: Any) -> Any:
    return (yield context.call_activity("broken", 7))


drawn = itertools.count()


@app.orchestration_trigger(context_name="context")
def random_choice(context: Any) -> Any:
    yield context.call_activity("hello" if next(drawn) % 2 else "slow_hello", "x")
    yield context.call_activity("hello", "y")


@app.entity_trigger(context_name="context")
def counter(context: Any) -> None:
    total = context.get_state(lambda: 0) + (context.get_input() or 0)
    context.set_state(total)
    context.set_result(total)


@app.orchestration_trigger(context_name="context")
def counting(context: Any) -> Any:
    context.signal_entity(df.EntityId("counter", "c"), "add", 3)
    return (yield context.call_entity(df.EntityId("counter", "c"), "add", 4))


@pytest.fixture(params=[True, False], ids=["replay", "hot"])
def hub(request: pytest.FixtureRequest) -> Iterator[VirtualHub]:
    with VirtualHub(app, replay=request.param) as opened:
        yield opened


def test_an_orchestration_runs_with_plain_and_async_activities(hub: VirtualHub) -> None:
    state = hub.wait(hub.start("cities"))
    assert state.get_output() == ["Hello Tokyo!", "Hello slowly, London!"]


def test_a_month_passes_at_once(hub: VirtualHub) -> None:
    instance = hub.start("reminder")
    hub.advance(timedelta(days=29, hours=23))
    state = hub.status(instance)
    assert state is not None and state.runtime_status.name == "RUNNING"
    hub.advance(timedelta(hours=2))
    state = hub.status(instance)
    assert state is not None and state.get_output() == "Hello again!"


def test_wait_stops_at_the_end_of_the_instance(hub: VirtualHub) -> None:
    before = hub.now
    hub.wait(hub.start("reminder"))
    assert timedelta(days=30) <= hub.now - before < timedelta(days=30, seconds=1)


def test_wait_says_how_long_it_waited(hub: VirtualHub) -> None:
    instance = hub.start("approval", instance_id="a")
    with pytest.raises(TimeoutError, match="'a' is still Running after 60 seconds"):
        hub.wait(instance, within=60)
    with pytest.raises(LookupError, match="no instance 'b'"):
        hub.wait("b")


def test_events_suspension_and_termination(hub: VirtualHub) -> None:
    one, two = hub.start("approval"), hub.start("approval")
    hub.suspend(one)
    hub.raise_event(one, "approve", {"by": "me"})
    hub.advance(1)
    state = hub.status(one)
    assert state is not None and state.runtime_status.name == "SUSPENDED"
    hub.resume(one)
    assert hub.wait(one).get_output() == {"by": "me"}
    hub.terminate(two, "enough")
    assert hub.wait(two).runtime_status.name == "TERMINATED"
    with pytest.raises(OperationRefused, match="finished"):
        hub.raise_event(two, "approve")


def test_activities_can_be_replaced(hub: VirtualHub) -> None:
    hub.replace_activity("Hello", lambda name: name.upper())
    assert hub.wait(hub.start("cities")).get_output() == ["TOKYO", "Hello slowly, London!"]
    with pytest.raises(KeyError, match="no activity 'nope', only: broken, hello"):
        hub.replace_activity("nope", lambda value: value)


def test_failures_reach_the_state(hub: VirtualHub) -> None:
    state = hub.wait(hub.start("failing"))
    assert state.runtime_status.name == "FAILED"
    assert "no 7" in str(state.failure_details)


def test_entities(hub: VirtualHub) -> None:
    assert hub.wait(hub.start("counting")).get_output() == 7
    hub.signal_entity("counter", "c", "add", 5)
    hub.advance(1)
    assert hub.entity_state("counter", "c") == 12
    assert hub.entity_state("counter", "other") is None


def test_code_that_is_not_deterministic_is_found() -> None:
    with VirtualHub(app) as hub:
        instance = hub.start("random_choice", instance_id="a")
        with pytest.raises(InstanceParked, match="'a' cannot go on: "):
            hub.wait(instance)


def test_unknown_names_and_bad_apps_are_told() -> None:
    with VirtualHub(app) as hub, pytest.raises(OperationRefused, match="nope"):
        hub.start("nope")
    wrong = df.DFApp()

    @wrong.orchestration_trigger(context_name="context")
    def twice(context: Any) -> None: ...

    wrong.function_name("twice")(wrong.activity_trigger(input_name="value")(lambda value: value))
    with pytest.raises(ValueError, match="twice"):
        VirtualHub(wrong)
