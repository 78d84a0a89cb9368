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


@app.route(route="signal/{key}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def signal(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Signal `keys` counters in turn, n times in all, each time to add 1."""
    key, count, keys = req.route_params["key"], int(req.params["n"]), int(req.params.get("keys", 1))
    begun = time.perf_counter()
    numbers = iter(range(count))

    async def sender() -> None:
        for number in numbers:
            await client.signal_entity(df.EntityId("counter", f"{key}-{number % keys}"), "add", 1)

    await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return func.HttpResponse(json.dumps({"seconds": time.perf_counter() - begun}), mimetype="application/json")


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0)
    if context.operation_name == "add":
        value += context.get_input()
        context.set_state(value)
    context.set_result(value)


@app.orchestration_trigger(context_name="context")
def call1(context):
    return (yield context.call_entity(df.EntityId("counter", context.instance_id), "get"))


@app.orchestration_trigger(context_name="context")
def calls(context):
    entity = df.EntityId("counter", context.instance_id)
    for _ in range(context.get_input()):
        yield context.call_entity(entity, "add", 1)
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def hold(context, key):
    """Holds the lock of a counter until told otherwise."""
    with (yield context.lock_entities([df.EntityId("counter", key)])):
        yield context.wait_for_external_event("go")
