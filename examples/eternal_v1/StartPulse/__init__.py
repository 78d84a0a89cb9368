"""HTTP starter of the v1 model; the answer goes to an output binding."""

import azure.durable_functions as df
import azure.functions as func


async def main(req: func.HttpRequest, starter: str, message: func.Out[func.HttpResponse]) -> None:
    client = df.DurableOrchestrationClient(starter)
    instance_id = await client.start_new("Pulse", req.route_params["patient"], {"beat": 1})
    response = client.create_check_status_response(req, instance_id)
    message.set(response)
