"""A fan-out of activities that sleep, each of which says where and when it ran."""

import os
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def fan(context):
    count = context.get_input()
    return (yield context.task_all([context.call_activity("nap", number) for number in range(count)]))


@app.activity_trigger(input_name="number")
def nap(number) -> list:
    begun = time.time()
    time.sleep(float(os.environ.get("NAP_SECONDS", "1")))
    return [os.environ["HOST_NAME"], os.getpid(), begun, time.time()]
