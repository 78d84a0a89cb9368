"""One of everything that metrics count and traces show. `SHAPE` changes what `shaped` does."""

import datetime
import json
import os
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="start/{name}")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client, context):
    instance_id = await client.start_new(req.route_params["name"], None, req.get_json())
    response = client.create_check_status_response(req, instance_id)
    response.headers["x-traceparent"] = context.trace_context.Traceparent
    response.headers["x-tracestate"] = context.trace_context.Tracestate
    return response


@app.orchestration_trigger(context_name="context")
def Steps(context):
    for _ in range(context.get_input()):
        yield context.call_activity("Tell", 0)
    return "done"


@app.orchestration_trigger(context_name="context")
def Failing(context):
    try:
        yield context.call_activity("Boom", 0)
    except Exception:
        return "caught"


@app.orchestration_trigger(context_name="context")
def Again(context):
    left = context.get_input()
    yield context.call_activity("Tell", 0)
    if left:
        context.continue_as_new(left - 1)
    return left


@app.orchestration_trigger(context_name="context")
def Shaped(context):
    yield context.call_activity("Tell" if os.environ.get("SHAPE", "1") == "1" else "Boom", 0)
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def Whole(context):
    told = yield context.call_activity("Tell", context.get_input())
    child = yield context.call_sub_orchestrator("Child", None, f"{context.instance_id}-child")
    yield context.create_timer(context.current_utc_datetime + datetime.timedelta(milliseconds=50))
    total = yield context.call_entity(df.EntityId("Counter", "all"), "add", 2)
    context.signal_entity(df.EntityId("Counter", "all"), "add", 3)
    event = yield context.wait_for_external_event("go")
    again = yield context.call_activity("Tell", 0)
    return {"told": told, "child": child, "total": total, "event": event, "again": again}


@app.orchestration_trigger(context_name="context")
def Child(context):
    return (yield context.call_activity("Tell", 0))


@app.activity_trigger(input_name="seconds")
def Tell(seconds: float, context: func.Context) -> str:
    time.sleep(seconds)
    return json.dumps([context.trace_context.Traceparent, context.trace_context.Tracestate])


@app.activity_trigger(input_name="nothing")
def Boom(nothing):
    raise ValueError("as asked")


@app.entity_trigger(context_name="context")
def Counter(context):
    total = context.get_state(lambda: 0) + context.get_input()
    context.set_state(total)
    context.set_result(total)
