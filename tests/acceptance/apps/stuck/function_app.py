"""Orchestrators that stand still in every way, until a file lets what they wait for go on."""

import os
import time
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def pays(context):
    return (yield context.call_activity_with_retry("pay", df.RetryOptions(1000, 3), context.get_input()))


@app.orchestration_trigger(context_name="context")
def fails(context):
    return (yield context.call_activity_with_retry("refuse", df.RetryOptions(60_000, 5), "no"))


@app.orchestration_trigger(context_name="context")
def delegates(context):
    return (yield context.call_sub_orchestrator("sleeps", None, f"{context.instance_id}-child"))


@app.orchestration_trigger(context_name="context")
def sleeps(context):
    yield context.create_timer(context.current_utc_datetime + timedelta(hours=3))


@app.orchestration_trigger(context_name="context")
def locks(context, _):
    with (yield context.lock_entities([df.EntityId("account", "a")])):
        yield context.wait_for_external_event("go")


@app.orchestration_trigger(context_name="context")
def computes(context):
    yield context.wait_for_external_event("go")
    while not os.path.exists(os.environ["GO_FILE"]):
        time.sleep(0.05)


@app.activity_trigger(input_name="text")
def pay(text: str) -> str:
    while not os.path.exists(os.environ["GO_FILE"]):
        time.sleep(0.05)
    return text


@app.activity_trigger(input_name="text")
def refuse(text: str) -> str:
    raise ValueError(text)


@app.entity_trigger(context_name="context")
def account(context):
    context.set_state(context.get_state(lambda: 0) + (context.get_input() or 0))
