"""Durable HTTP: an orchestration calls an endpoint that answers 202 until its work is done."""

import json
import time

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
ready_at: dict[str, float] = {}


@app.route(route="prints/{job}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_print(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    printer = req.url.split("/api/")[0] + "/api/printer"
    asked = {"printer": printer, "job": req.route_params["job"]}
    instance_id = await client.start_new("print_and_report", client_input=asked)
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def print_and_report(context: df.DurableOrchestrationContext):
    asked = context.get_input()
    url = f"{asked['printer']}/{asked['job']}"
    accepted = yield context.call_http("POST", url, content={"pages": 3}, headers={"X-Tray": "2"})
    missing = yield context.call_http("GET", f"{asked['printer']}-nowhere")
    return {"status": accepted["statusCode"], "said": json.loads(accepted["content"]), "missing": missing["statusCode"]}


@app.route(route="printer/{job}", methods=["GET", "POST"])
def printer(req: func.HttpRequest) -> func.HttpResponse:
    """The long-running endpoint: 202 with a place to ask for half a second, then 200."""
    job = req.route_params["job"]
    done = ready_at.setdefault(job, time.monotonic() + 0.5)
    if time.monotonic() < done:
        return func.HttpResponse(status_code=202, headers={"Location": req.url, "Retry-After": "1"})
    return func.HttpResponse(json.dumps({"job": job, "printed": True}), mimetype="application/json")
