"""Retries: activities and sub-orchestrations that fail for a while, beside others that do not."""

from collections import Counter

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
attempts: Counter[str] = Counter()


@app.route(route="deliveries", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_deliveries(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("deliver_all", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def deliver_all(context: df.DurableOrchestrationContext):
    options = df.RetryOptions(first_retry_interval_in_milliseconds=100, max_number_of_attempts=4)
    parcels = [
        context.call_activity_with_retry("deliver", options, {**parcel, "run": context.instance_id})
        for parcel in context.get_input()
    ]
    first = yield context.task_any(parcels)
    try:
        delivered = yield context.task_all(parcels)
    except Exception as error:
        return {"first": first.result, "failed": str(error).splitlines()[0].strip()}
    # A new fan-out after retried tasks.
    thanked = yield context.task_all([context.call_activity("thank", name) for name in delivered])
    return {"first": first.result, "thanked": thanked}


@app.activity_trigger(input_name="parcel")
def deliver(parcel: dict) -> str:
    """Fails `parcel["failures"]` times for one run, then succeeds."""
    key = f"{parcel['run']}/{parcel['name']}"
    attempts[key] += 1
    if attempts[key] <= parcel["failures"]:
        raise ConnectionError(f"nobody at home for {parcel['name']}")
    return parcel["name"]


@app.activity_trigger(input_name="name")
def thank(name: str) -> str:
    return f"thank you, {name}"
