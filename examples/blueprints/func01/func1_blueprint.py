"""Orders: the starter and the orchestrator."""

import azure.durable_functions as df
import azure.functions as func

orders = df.Blueprint()


@orders.route(route="orders", methods=["POST"])
@orders.durable_client_input(client_name="client")
async def place_order(req: func.HttpRequest, client) -> func.HttpResponse:
    instance_id = await client.start_new("fulfil", None, req.get_json())
    return client.create_check_status_response(req, instance_id)


@orders.orchestration_trigger(context_name="context")
def fulfil(context: df.DurableOrchestrationContext):
    order = context.get_input()
    reserved = []
    for item in order["items"]:
        reserved.append((yield context.call_activity("reserve", item)))
    label = yield context.call_activity("print_label", {"to": order["to"], "parcels": len(reserved)})
    return {"reserved": reserved, "label": label}
