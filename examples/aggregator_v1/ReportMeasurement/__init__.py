"""Takes measurements and passes each on to the entity of its station."""

import azure.durable_functions as df
import azure.functions as func


async def main(req: func.HttpRequest, starter: str) -> func.HttpResponse:
    client = df.DurableOrchestrationClient(starter)
    station = df.EntityId("Station", req.route_params["station"])
    for measurement in req.get_json():
        await client.signal_entity(station, "measured", measurement)
    return func.HttpResponse(status_code=202)
