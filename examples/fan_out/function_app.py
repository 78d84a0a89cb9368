"""Fan-out/fan-in: many activities at once, their results in the order asked for.

`POST /api/fan-out?count=100&seconds=0.2` starts `count` activities that sleep `seconds` each.
"""

import logging
import os
import socket
import threading
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="fan-out", methods=["GET", "POST"])
@app.durable_client_input(client_name="client")
async def start_fan_out(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    asked = {"count": int(req.params.get("count", "100")), "seconds": float(req.params.get("seconds", "0.2"))}
    instance_id = await client.start_new("measure_all", client_input=asked)
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def measure_all(context: df.DurableOrchestrationContext):
    asked = context.get_input()
    tasks = [
        context.call_activity("measure", {"number": number, "seconds": asked["seconds"]})
        for number in range(asked["count"])
    ]
    results = yield context.task_all(tasks)
    return {"count": len(results or []), "sum": sum(results or []), "results": results}


@app.activity_trigger(input_name="sample")
def measure(sample: dict) -> int:
    logging.info(
        "measuring sample %s on %s in process %s, thread %s",
        sample["number"],
        socket.gethostname(),
        os.getpid(),
        threading.get_ident(),
    )
    time.sleep(sample["seconds"])
    return sample["number"] ** 2
