"""Work for many hosts: every activity says which host ran it, and leaves a line in RUNS_FILE: `key time host`."""

import asyncio
import os
import time
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
HOST = os.environ["HOST_NAME"]


def left(key, begun):
    with open(os.environ["RUNS_FILE"], "a") as runs:
        runs.write(f"{key} {begun} {HOST}\n")


@app.orchestration_trigger(context_name="context")
def chain(context):
    asked = context.get_input()
    hosts = []
    for number in range(asked["steps"]):
        hosts.append((yield context.call_activity("step", {"key": f"{number}", "seconds": asked["seconds"]})))
    return hosts


@app.orchestration_trigger(context_name="context")
def fan(context):
    asked = context.get_input()
    asks = [
        context.call_activity("step", {"key": f"{context.instance_id}/{number}", "seconds": asked["seconds"]})
        for number in range(asked["width"])
    ]
    return (yield context.task_all(asks))


@app.orchestration_trigger(context_name="context")
def waits(context):
    got = []
    for _ in range(context.get_input()):
        got.append((yield context.wait_for_external_event("go")))
    return got


@app.orchestration_trigger(context_name="context")
def sleeps(context):
    due = context.current_utc_datetime + timedelta(seconds=context.get_input())
    yield context.create_timer(due)
    return [due.isoformat(), context.current_utc_datetime.isoformat()]


@app.orchestration_trigger(context_name="context")
def calls(context):
    key, value = context.get_input()
    return (yield context.call_entity(df.EntityId("counter", key), "add", value))


@app.route(route="slow/{seconds}")
@app.durable_client_input(client_name="client")
async def slow(req: func.HttpRequest, client) -> func.HttpResponse:
    left("slow", time.time())
    await asyncio.sleep(float(req.route_params["seconds"]))
    started = await client.start_new("waits", None, 1)
    return func.HttpResponse(started)


@app.activity_trigger(input_name="asked")
def step(asked) -> str:
    begun = time.time()
    time.sleep(asked["seconds"])
    left(asked["key"], begun)
    return HOST


@app.entity_trigger(context_name="context")
def counter(context):
    total = context.get_state(lambda: 0)
    if context.operation_name == "slowly":
        left("slowly", time.time())
        time.sleep(context.get_input())
        context.set_state(total + 1)
    if context.operation_name == "add":
        total += context.get_input()
        context.set_state(total)
    context.set_result(total)
