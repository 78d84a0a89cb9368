"""Everything that runs leaves a line in RUNS_FILE: `kind key host process begun ended`."""

import asyncio
import os
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def note(kind, key, begun):
    with open(os.environ["RUNS_FILE"], "a") as runs:
        runs.write(f"{kind} {key} {os.environ.get('HOST_NAME')} {os.getpid()} {begun} {time.time()}\n")


@app.orchestration_trigger(context_name="context")
def fan(context):
    """Input: a list of [activity, seconds]."""
    asks = [
        context.call_activity(name, {"key": f"{context.instance_id}/{number}", "seconds": seconds})
        for number, (name, seconds) in enumerate(context.get_input())
    ]
    return (yield context.task_all(asks))


@app.orchestration_trigger(context_name="context")
def block(context):
    """Keeps its worker's turn thread busy."""
    begun = time.time()
    time.sleep(context.get_input())
    note("turn", context.instance_id, begun)


@app.orchestration_trigger(context_name="context")
def waits(context):
    note("top", context.instance_id, time.time())
    return (yield context.wait_for_external_event("go"))


@app.activity_trigger(input_name="asked")
def plain(asked) -> int:
    begun = time.time()
    time.sleep(asked["seconds"])
    note("plain", asked["key"], begun)
    return os.getpid()


@app.activity_trigger(input_name="asked")
async def coroutine(asked) -> int:
    begun = time.time()
    await asyncio.sleep(asked["seconds"])
    note("coroutine", asked["key"], begun)
    return os.getpid()


@app.entity_trigger(context_name="context")
def slow(context):
    begun = time.time()
    time.sleep(context.get_input())
    note("batch", context.entity_key, begun)
