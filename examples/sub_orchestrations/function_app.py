"""Sub-orchestrations: a tour made of legs, each an orchestration of its own."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="tours", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_tour(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("tour", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def tour(context: df.DurableOrchestrationContext):
    stops = context.get_input()
    legs = [
        context.call_sub_orchestrator("leg", [start, end], f"{context.instance_id}-{number}")
        for number, (start, end) in enumerate(zip(stops, stops[1:]))
    ]
    distances = yield context.task_all(legs)
    try:
        yield context.call_sub_orchestrator("leg", [stops[-1], ""])
    except Exception as error:
        end = str(error)
    return {"distances": distances, "total": sum(distances), "dead_end": "nowhere to go" in end}


@app.orchestration_trigger(context_name="context")
def leg(context: df.DurableOrchestrationContext):
    start, end = context.get_input()
    distance = yield context.call_activity("measure_distance", {"from": start, "to": end})
    context.set_custom_status(f"{start} to {end}: {distance}")
    return distance


@app.activity_trigger(input_name="way")
def measure_distance(way: dict) -> int:
    if not way["to"]:
        raise ValueError(f"nowhere to go from {way['from']}")
    return abs(len(way["from"]) - len(way["to"])) + 1
