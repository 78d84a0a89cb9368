"""What the examples leave out: signals for later, a lock that stays, who holds it, cleaning up."""

import json
from datetime import datetime, timedelta, timezone

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.entity_trigger(context_name="context", entity_name="tally")
def tally(context: df.DurableEntityContext) -> None:
    if context.operation_name == "delete":
        context.destruct_on_exit()
        return
    total = context.get_state(lambda: 0) + (context.get_input() or 0)
    context.set_state(total)
    context.set_result(total)


@app.orchestration_trigger(context_name="context")
def hold(context, key: str):
    with (yield context.lock_entities([df.EntityId("tally", key)])):
        yield context.wait_for_external_event("go")


@app.orchestration_trigger(context_name="context")
def add(context: df.DurableOrchestrationContext):
    key, amount = context.get_input()
    return (yield context.call_entity(df.EntityId("tally", key), "add", amount))


@app.route(route="hold/{key}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_hold(req: func.HttpRequest, client) -> func.HttpResponse:
    instance_id = await client.start_new("hold", client_input=req.route_params["key"])
    return client.create_check_status_response(req, instance_id)


@app.route(route="add/{key}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_add(req: func.HttpRequest, client) -> func.HttpResponse:
    instance_id = await client.start_new("add", client_input=[req.route_params["key"], req.get_json()])
    return client.create_check_status_response(req, instance_id)


@app.route(route="later/{key}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def later(req: func.HttpRequest, client) -> func.HttpResponse:
    due = datetime.now(timezone.utc) + timedelta(seconds=float(req.params["seconds"]))
    entity = df.EntityId("tally", req.route_params["key"])
    operation = req.params.get("operation", "add")
    await client.signal_entity(entity, operation, req.get_json(), signal_time=due)
    return func.HttpResponse(status_code=202)


@app.route(route="seen/{key}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def seen(req: func.HttpRequest, client) -> func.HttpResponse:
    found = await client.get_entity(df.EntityId("tally", req.route_params["key"]))
    told = {"locked_by": None, "backlog": 0, "state": None}
    if found is not None:
        told = {
            "locked_by": found.get_locked_by(),
            "backlog": found.backlog_queue_size,
            "state": found.get_state(),
        }
    return func.HttpResponse(json.dumps(told), mimetype="application/json")


@app.route(route="clean", methods=["POST"])
@app.durable_client_input(client_name="client")
async def clean(req: func.HttpRequest, client) -> func.HttpResponse:
    done = await client.clean_entity_storage()
    told = {"removed": done.empty_entities_removed, "released": done.orphaned_locks_released}
    return func.HttpResponse(json.dumps(told), mimetype="application/json")
