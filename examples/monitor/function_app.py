"""Monitor: look again and again, with a timer between, until something has happened or time is over."""

from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="monitors", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_monitor(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("watch_parcel", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def watch_parcel(context: df.DurableOrchestrationContext):
    watch = context.get_input()
    expiry = context.current_utc_datetime + timedelta(seconds=watch["give_up_seconds"])
    looks = 0
    while context.current_utc_datetime < expiry:
        looks += 1
        place = yield context.call_activity("locate", {"parcel": watch["parcel"], "look": looks})
        context.set_custom_status(f"look {looks}: {place}")
        if place == "home":
            return {"delivered": True, "looks": looks}
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=watch["every_seconds"]))
    return {"delivered": False, "looks": looks}


@app.activity_trigger(input_name="asked")
def locate(asked: dict) -> str:
    """A parcel named "P-4" is home at the fourth look."""
    return "home" if asked["look"] >= int(asked["parcel"].split("-")[1]) else "on the road"
