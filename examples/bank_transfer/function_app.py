"""Transfers between accounts: a class entity per account, and a critical section over both."""

import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.entity_trigger(context_name="context", entity_name="Account")
class Account(df.DurableEntity):
    """Each public method is an operation; the state is the balance."""

    def deposit(self, amount: int) -> int:
        balance = self.get_state(int, 0) + amount
        self.set_state(balance)
        return balance

    def withdraw(self, amount: int) -> int:
        balance = self.get_state(int, 0)
        if balance < amount:
            raise ValueError(f"only {balance} left, {amount} asked for")
        self.set_state(balance - amount)
        return balance - amount

    def balance(self) -> int:
        return self.get_state(int, 0)


@app.orchestration_trigger(context_name="context")
def transfer(context, order: dict):
    source = df.EntityInstanceId("Account", order["from"])
    target = df.EntityInstanceId("Account", order["to"])
    with (yield context.lock_entities([source, target])):
        available = yield context.call_entity(source, "balance")
        if available < order["amount"]:
            return {"moved": 0, "available": available}
        yield context.call_entity(source, "withdraw", order["amount"])
        yield context.call_entity(target, "deposit", order["amount"])
    return {"moved": order["amount"], "available": available - order["amount"]}


@app.route(route="transfers", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_transfer(req: func.HttpRequest, client) -> func.HttpResponse:
    instance_id = await client.start_new("transfer", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="accounts/{owner}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def pay_in(req: func.HttpRequest, client) -> func.HttpResponse:
    account = df.EntityId("Account", req.route_params["owner"])
    await client.signal_entity(account, "deposit", req.get_json())
    return func.HttpResponse(status_code=202)


@app.route(route="accounts/{owner}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def read_account(req: func.HttpRequest, client) -> func.HttpResponse:
    found = await client.read_entity_state(df.EntityId("Account", req.route_params["owner"]))
    return func.HttpResponse(json.dumps(found.entity_state), mimetype="application/json")
