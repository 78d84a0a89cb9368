"""Device state: one entity per device follows its messages, and tells the fleet when it goes on or off line."""

import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
FLEET = df.EntityInstanceId("Fleet", "all")


@app.entity_trigger(context_name="context", entity_name="Device")
class Device(df.DurableEntity):
    def message(self, sent: dict) -> None:
        state = self.get_state(dict, {"online": False, "messages": 0, "last": None})
        state["messages"] += 1
        if "online" in sent and sent["online"] != state["online"]:
            state["online"] = sent["online"]
            self.signal_entity(FLEET, "came_online" if sent["online"] else "went_offline")
        state["last"] = sent.get("reading", state["last"])
        self.set_state(state)


@app.entity_trigger(context_name="context", entity_name="Fleet")
class Fleet(df.DurableEntity):
    def came_online(self) -> None:
        self.set_state(self.get_state(int, 0) + 1)

    def went_offline(self) -> None:
        self.set_state(self.get_state(int, 0) - 1)


@app.route(route="devices/{device}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def receive(req: func.HttpRequest, client) -> func.HttpResponse:
    await client.signal_entity(df.EntityId("Device", req.route_params["device"]), "message", req.get_json())
    return func.HttpResponse(status_code=202)


@app.route(route="devices/{device}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def show(req: func.HttpRequest, client) -> func.HttpResponse:
    found = await client.read_entity_state(df.EntityId("Device", req.route_params["device"]))
    return func.HttpResponse(json.dumps(found.entity_state), mimetype="application/json")


@app.route(route="fleet", methods=["GET"])
@app.durable_client_input(client_name="client")
async def count_online(req: func.HttpRequest, client) -> func.HttpResponse:
    found = await client.read_entity_state(df.EntityId("Fleet", "all"))
    return func.HttpResponse(json.dumps({"online": found.entity_state or 0}), mimetype="application/json")
