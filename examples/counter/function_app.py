"""A counter entity: signals and calls change it, clients read it."""

import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="counters/{key}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def change(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    asked = req.get_json()
    await client.signal_entity(df.EntityId("counter", req.route_params["key"]), asked["operation"], asked.get("amount"))
    return func.HttpResponse(status_code=202)


@app.route(route="counters/{key}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def read(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    found = await client.read_entity_state(df.EntityId("counter", req.route_params["key"]))
    said = {"exists": found.entity_exists, "value": found.entity_state}
    return func.HttpResponse(json.dumps(said), mimetype="application/json")


@app.route(route="counters/{key}/steps", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_steps(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    asked = {"key": req.route_params["key"], "steps": req.get_json()}
    instance_id = await client.start_new("step_by_step", client_input=asked)
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def step_by_step(context: df.DurableOrchestrationContext):
    asked = context.get_input()
    counter_id = df.EntityId("counter", asked["key"])
    values = []
    for step in asked["steps"]:
        context.signal_entity(counter_id, "add", step)
        values.append((yield context.call_entity(counter_id, "get")))
    return values


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext):
    value = context.get_state(lambda: 0)
    operation = context.operation_name
    if operation == "add":
        value += context.get_input()
    elif operation == "reset":
        value = 0
    elif operation == "delete":
        context.destruct_on_exit()
        return
    elif operation != "get":
        raise ValueError(f"a counter cannot {operation}")
    context.set_state(value)
    context.set_result(value)
