"""What the recordings of dialect 1 ran. Add functions; never change one that a recording holds."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import perdure as df

DIALECT = 1
app = df.DFApp()
tried: Counter[str] = Counter()


@app.activity_trigger(input_name="name")
def hello(name: str) -> str:
    return f"Hello {name}!"


@app.activity_trigger(input_name="told")
def flaky(told: dict[str, Any]) -> str:
    """Fails as often as it is told to, then succeeds."""
    tried[told["key"]] += 1
    if tried[told["key"]] <= told["failures"]:
        raise ValueError(f"{told['key']} fails the {tried[told['key']]}. time")
    return f"{told['key']} done"


@app.orchestration_trigger(context_name="context")
def chaining(context: Any) -> Any:
    first = yield context.call_activity("hello", "Tokyo")
    second = yield context.call_activity("hello", first)
    return (yield context.call_activity("hello", second))


@app.orchestration_trigger(context_name="context")
def fan_out(context: Any) -> Any:
    names = context.get_input()
    results = yield context.task_all([context.call_activity("hello", name) for name in names])
    return ", ".join(results)


@app.orchestration_trigger(context_name="context")
def race(context: Any) -> Any:
    """An activity wins against a timer, which is cancelled; then a timer wins against an event."""
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    work = context.call_activity("hello", "fast")
    winner = yield context.task_any([timer, work])
    if winner is work:
        timer.cancel()
    event = context.wait_for_external_event("never")
    short = context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    second = yield context.task_any([event, short])
    return [work.result, "timer" if second is short else "event"]


@app.orchestration_trigger(context_name="context")
def retries(context: Any) -> Any:
    options = df.RetryOptions(5000, 3)
    told = {"key": "retried", "failures": 2}
    first = yield context.call_activity_with_retry("flaky", options, told)
    try:
        yield context.call_activity_with_retry("flaky", options, {"key": "hopeless", "failures": 9})
    except Exception as error:
        return [first, "hopeless fails" in str(error)]


@app.orchestration_trigger(context_name="context")
def parent(context: Any) -> Any:
    first = yield context.call_sub_orchestrator("child", "a", "child-a")
    second = yield context.call_sub_orchestrator("child", "b")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def child(context: Any) -> Any:
    return (yield context.call_activity("hello", f"{context.get_input()} of {context.parent_instance_id}"))


@app.orchestration_trigger(context_name="context")
def events(context: Any) -> Any:
    """Two events come before anybody waits, one while the code waits."""
    yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    first = yield context.wait_for_external_event("go")
    second = yield context.wait_for_external_event("GO")
    third = yield context.wait_for_external_event("stop")
    return [first, second, third]


@app.entity_trigger(context_name="context")
def account(context: Any) -> None:
    balance = context.get_state(lambda: 0)
    if context.operation_name == "add":
        balance += context.get_input()
        context.set_state(balance)
    context.set_result(balance)


@app.orchestration_trigger(context_name="context")
def entities(context: Any) -> Any:
    """A signal, then a call that sees it."""
    source = df.EntityId("account", "source")
    context.signal_entity(source, "add", 100)
    return (yield context.call_entity(source, "get"))


@app.orchestration_trigger(context_name="context")
def transfer(context: Any, amount: Any) -> Any:
    """Two arguments: a critical section."""
    source, target = df.EntityId("account", "source"), df.EntityId("account", "target")
    with (yield context.lock_entities([target, source])):
        yield context.call_entity(source, "add", -amount)
        return (yield context.call_entity(target, "add", amount))


@app.orchestration_trigger(context_name="context")
def counting(context: Any) -> Any:
    """Three generations; an event that the first one does not take is carried over to the last."""
    count = context.get_input()
    yield context.call_activity("hello", str(count))
    if count < 2:
        context.set_custom_status({"generation": count})
        context.continue_as_new(count + 1)
        return None
    return (yield context.wait_for_external_event("carried"))


@app.orchestration_trigger(context_name="context")
def status(context: Any) -> Any:
    context.set_custom_status({"step": 1})
    yield context.call_activity("hello", "one")
    context.set_custom_status({"step": 2, "id": str(context.new_uuid())})
    yield context.call_activity("hello", str(context.current_utc_datetime))
    context.set_custom_status(None)
    yield context.call_activity("hello", "three")
    context.set_custom_status("over")


@app.orchestration_trigger(context_name="context")
async def coroutine(context: Any) -> Any:
    first = await context.call_activity("hello", "await")
    await context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
    both = await context.task_all([context.call_activity("hello", "x"), context.wait_for_external_event("y")])
    return [first, *both]


@app.orchestration_trigger(context_name="context")
def approval(context: Any) -> Any:
    yield context.call_activity("hello", "boss")
    answer = yield context.wait_for_external_event("approval")
    return (yield context.call_activity("hello", answer))


@app.orchestration_trigger(context_name="context")
def holder(context: Any, _: Any) -> Any:
    """Is terminated inside a critical section."""
    with (yield context.lock_entities([df.EntityId("account", "held")])):
        yield context.wait_for_external_event("never")


@app.orchestration_trigger(context_name="context")
def waiting_parent(context: Any) -> Any:
    timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
    yield context.task_all([timer, context.call_sub_orchestrator("approval", None, "waiting-child")])


@app.orchestration_trigger(context_name="context")
def failing(context: Any) -> Any:
    yield context.call_activity("hello", "before")
    raise LookupError("there is no such order")


@app.orchestration_trigger(context_name="context")
def rewound(context: Any) -> Any:
    first = yield context.call_activity("hello", "first")
    second = yield context.call_activity("flaky", {"key": "rewound", "failures": 1})
    third = yield context.call_activity("hello", "third")
    return [first, second, third]


@app.orchestration_trigger(context_name="context")
def rewound_parent(context: Any) -> Any:
    both = [context.call_sub_orchestrator("rewound_child", key, f"rewound-{key}") for key in ("one", "two")]
    return (yield context.task_all(both))


@app.orchestration_trigger(context_name="context")
def rewound_child(context: Any) -> Any:
    key = context.get_input()
    return (yield context.call_activity("flaky", {"key": f"child {key}", "failures": 1 if key == "two" else 0}))


@app.orchestration_trigger(context_name="context")
def two_waits(context: Any) -> Any:
    """Of two waits for one event the later one gets the first."""
    both = yield context.task_all([context.wait_for_external_event("go"), context.wait_for_external_event("go")])
    return (yield context.call_activity("hello", str(both)))
