"""What the recordings of dialect 2 ran. Add functions; never change one that a recording holds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import perdure as df

DIALECT = 2
app = df.DFApp()
tried: Counter[str] = Counter()


@dataclass
class Order:
    number: int
    item: str


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


@app.orchestration_trigger(context_name="ctx")
def chaining(ctx: Any, order: Any) -> Any:
    first = yield ctx.call_activity(hello, input=order["item"])
    second = yield ctx.call_activity("hello", input=first)
    return {"number": order["number"], "text": second}


@app.orchestration_trigger(context_name="context")
def one_argument(context: Any) -> Any:
    """Calls are scheduled when they are made, not when they are yielded."""
    unseen = context.call_activity("hello", "unseen")
    first = yield context.call_activity("hello", context.get_input())
    return [first, (yield unseen)]


@app.orchestration_trigger(context_name="ctx")
def fan_out(ctx: Any, names: Any) -> Any:
    return (yield ctx.when_all([ctx.call_activity("hello", input=name) for name in names]))


@app.orchestration_trigger(context_name="ctx")
def all_with_a_failure(ctx: Any, _: Any) -> Any:
    """`when_all` fails once all are over."""
    tasks = [ctx.call_activity("flaky", input={"key": f"all {k}", "failures": k}) for k in (1, 0)]
    tasks.append(ctx.create_timer(timedelta(minutes=1)))
    try:
        yield ctx.when_all(tasks)
    except Exception as error:
        yield ctx.call_activity("hello", input=type(error).__name__)
    return [task.is_completed for task in tasks]


@app.orchestration_trigger(context_name="ctx")
def race(ctx: Any, _: Any) -> Any:
    timer = ctx.create_timer(timedelta(hours=1))
    event = ctx.wait_for_external_event("go")
    winner = yield ctx.when_any([timer, event])
    if winner is event:
        timer.cancel()
    return event.result


@app.orchestration_trigger(context_name="ctx")
def retries(ctx: Any, _: Any) -> Any:
    policy = df.RetryPolicy(
        first_retry_interval=timedelta(seconds=2), max_number_of_attempts=4, backoff_coefficient=2.0
    )
    return (yield ctx.call_activity("flaky", input={"key": "retried", "failures": 3}, retry_policy=policy))


@app.orchestration_trigger(context_name="ctx")
def parent(ctx: Any, _: Any) -> Any:
    first = yield ctx.call_sub_orchestrator("child", input="a", instance_id="modern-child")
    second = yield ctx.call_sub_orchestrator("child", input="b", version="2.5")
    ctx.send_event("somebody", "finished", data=[first, second])
    return [first, second]


@app.orchestration_trigger(context_name="ctx")
def child(ctx: Any, name: Any) -> Any:
    return (yield ctx.call_activity("hello", input=f"{name} {ctx.version}"))


@app.orchestration_trigger(context_name="ctx")
def events(ctx: Any, _: Any) -> Any:
    """Two waits at once, oldest first; then one event that was there before its wait."""
    two = yield ctx.when_all([ctx.wait_for_external_event("go"), ctx.wait_for_external_event("go")])
    early = yield ctx.wait_for_external_event("early")
    return [*two, early]


@app.entity_trigger(context_name="context")
def account(context: Any) -> None:
    balance = context.get_state(lambda: 0)
    if context.operation_name == "add":
        balance += context.get_input()
        context.set_state(balance)
    context.set_result(balance)


@app.orchestration_trigger(context_name="ctx")
def entities(ctx: Any, amount: Any) -> Any:
    source, target = df.EntityInstanceId("account", "a"), df.EntityInstanceId("account", "b")
    ctx.signal_entity(source, "add", amount)
    with (yield ctx.lock_entities([target, source])):
        yield ctx.call_entity(source, "add", -1)
        return (yield ctx.call_entity(target, "add", 1))


@app.orchestration_trigger(context_name="ctx")
def counting(ctx: Any, count: Any) -> Any:
    yield ctx.create_timer(timedelta(minutes=1))
    if count < 1:
        ctx.continue_as_new(count + 1, save_events=True)
        return None
    return (yield ctx.wait_for_external_event("carried"))


@app.orchestration_trigger(context_name="ctx")
def status(ctx: Any, _: Any) -> Any:
    ctx.set_custom_status(0)
    yield ctx.call_activity("hello", input=ctx.new_uuid())
    ctx.set_custom_status([ctx.current_utc_datetime.isoformat()])
    yield ctx.create_timer(timedelta(seconds=30))


@app.orchestration_trigger(context_name="ctx")
async def coroutine(ctx: Any, order: Order) -> Any:
    first = await ctx.call_activity("hello", input=order.item)
    winner = await ctx.when_any([ctx.wait_for_external_event("y"), ctx.create_timer(timedelta(minutes=1))])
    return {"first": first, "event": winner.result}


@app.orchestration_trigger(context_name="ctx")
def approval(ctx: Any, _: Any) -> Any:
    yield ctx.call_activity("hello", input="boss")
    return (yield ctx.wait_for_external_event("approval"))


@app.orchestration_trigger(context_name="ctx")
def rewound(ctx: Any, _: Any) -> Any:
    first = yield ctx.call_activity("hello", input="first")
    second = yield ctx.call_activity("flaky", input={"key": "rewound", "failures": 1})
    return [first, second]
