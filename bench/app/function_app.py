"""The workloads, as an ordinary app.

`POST /api/start/{name}?n=1000&prefix=w1` starts n instances `w1-0`, `w1-1`, ...; the body is the input of each.
"""

import asyncio
import json
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
AT_ONCE = 200


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    name, count, prefix = req.route_params["name"], int(req.params["n"]), req.params["prefix"]
    given = req.get_json() if req.get_body() else None
    begun = time.perf_counter()
    numbers = iter(range(count))

    async def starter() -> None:
        for number in numbers:
            await client.start_new(name, f"{prefix}-{number}", given)

    await asyncio.gather(*(starter() for _ in range(min(AT_ONCE, count))))
    said = {"started": count, "seconds": time.perf_counter() - begun}
    return func.HttpResponse(json.dumps(said), mimetype="application/json")


@app.orchestration_trigger(context_name="context")
def hello3(context):
    return [
        (yield context.call_activity("hello", "Tokyo")),
        (yield context.call_activity("hello", "Seattle")),
        (yield context.call_activity("hello", "London")),
    ]


@app.orchestration_trigger(context_name="context")
def hello1(context):
    return (yield context.call_activity("hello", "Tokyo"))


@app.orchestration_trigger(context_name="context")
def sequence(context):
    for _ in range(context.get_input()):
        yield context.call_activity("hello", "Tokyo")
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def fan(context):
    results = yield context.task_all([context.call_activity("hello", "Tokyo") for _ in range(context.get_input())])
    return len(results)


@app.orchestration_trigger(context_name="context")
def waiting(context):
    return (yield context.wait_for_external_event("go"))


@app.activity_trigger(input_name="name")
def hello(name: str) -> str:
    return f"Hello {name}!"
