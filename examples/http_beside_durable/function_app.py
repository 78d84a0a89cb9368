"""Plain HTTP functions beside durable ones: sync and async, with a route template, `HttpResponse` and `str`."""

import asyncio
import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="greet/{name:alpha}/{times:int?}", methods=["GET"])
def greet(req: func.HttpRequest) -> func.HttpResponse:
    times = int(req.route_params.get("times") or 1)
    said = {"said": [f"Hello {req.route_params['name']}"] * times, "loud": req.params.get("loud") == "yes"}
    return func.HttpResponse(json.dumps(said), status_code=200, mimetype="application/json")


@app.route(route="echo", methods=["POST"])
async def echo(req: func.HttpRequest) -> str:
    await asyncio.sleep(0)
    return req.get_body().decode()


@app.route(route="teapot")
def teapot(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("short and stout", status_code=418, headers={"X-Handle": "here"})


@app.route(route="sums", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_sum(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("add_up", client_input=req.get_json())
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance_id, timeout_in_milliseconds=10_000, retry_interval_in_milliseconds=50
    )


@app.orchestration_trigger(context_name="context")
def add_up(context: df.DurableOrchestrationContext):
    total = 0
    for number in context.get_input():
        total = yield context.call_activity("add", [total, number])
    return {"total": total}


@app.activity_trigger(input_name="pair")
def add(pair: list) -> int:
    return pair[0] + pair[1]
