"""Singleton: at most one instance with a fixed id runs at a time."""

import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

NOT_RUNNING = [
    df.OrchestrationRuntimeStatus.Completed,
    df.OrchestrationRuntimeStatus.Failed,
    df.OrchestrationRuntimeStatus.Terminated,
    None,
]


@app.route(route="nightly/{instance_id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_nightly(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = req.route_params["instance_id"]
    existing = await client.get_status(instance_id)
    if existing.runtime_status in NOT_RUNNING:
        await client.start_new("nightly_job", instance_id, req.get_json())
        return client.create_check_status_response(req, instance_id)
    said = {"running": instance_id, "since": existing.created_time.isoformat()}
    return func.HttpResponse(json.dumps(said), status_code=409, mimetype="application/json")


@app.orchestration_trigger(context_name="context")
def nightly_job(context: df.DurableOrchestrationContext):
    job = context.get_input()
    context.set_custom_status("waiting for the go")
    yield context.wait_for_external_event("go")
    report = yield context.call_activity("sweep", job["night"])
    context.set_custom_status("done")
    return report


@app.activity_trigger(input_name="night")
def sweep(night: int) -> str:
    return f"swept night {night}"
