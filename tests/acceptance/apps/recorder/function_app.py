"""Activities that leave a line in the file RUNS_FILE for every run: `key time pid`."""

import os
import time
from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def chain(context):
    asked = context.get_input()
    total = 0
    for number in range(asked["steps"]):
        key = f"{context.instance_id}/{number}"
        total += yield context.call_activity("step", {"key": key, "seconds": asked.get("seconds", 0.01)})
    return total


@app.orchestration_trigger(context_name="context")
def wide(context):
    asked = context.get_input()
    results = yield context.task_all(
        [
            context.call_activity("step", {"key": f"{context.instance_id}/{number}", "seconds": 0.01})
            for number in range(asked["steps"])
        ]
    )
    return sum(results)


@app.orchestration_trigger(context_name="context")
def mixed(context):
    first = yield context.call_activity("step", {"key": f"{context.instance_id}/0", "seconds": 0})
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=0.1))
    child = yield context.call_sub_orchestrator("chain", {"steps": 2}, f"{context.instance_id}-child")
    last = yield context.call_activity("async_step", {"key": f"{context.instance_id}/1"})
    return first + child + last


@app.orchestration_trigger(context_name="context")
def waiting(context):
    return (yield context.wait_for_external_event("go"))


def _record(key: str) -> int:
    line = f"{key} {time.time()} {os.getpid()}\n".encode()
    file = os.open(os.environ["RUNS_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line)
    finally:
        os.close(file)
    return 1


@app.activity_trigger(input_name="asked")
def step(asked: dict) -> int:
    done = _record(asked["key"])
    time.sleep(asked["seconds"])
    return done


@app.activity_trigger(input_name="asked")
async def async_step(asked: dict) -> int:
    return _record(asked["key"])
