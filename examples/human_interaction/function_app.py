"""Human interaction: ask somebody, wait for the answer, and give up after a while."""

from datetime import timedelta

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="expenses", methods=["POST"])
@app.durable_client_input(client_name="client")
async def submit_expense(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("approve_expense", client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="expenses/{instance_id}/decision", methods=["POST"])
@app.durable_client_input(client_name="client")
async def decide(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    await client.raise_event(req.route_params["instance_id"], "decision", req.get_json())
    return func.HttpResponse(status_code=202)


@app.orchestration_trigger(context_name="context")
def approve_expense(context: df.DurableOrchestrationContext):
    expense = context.get_input()
    yield context.call_activity("ask_for_approval", {"instance": context.instance_id, **expense})
    deadline = context.current_utc_datetime + timedelta(seconds=expense.get("wait_seconds", 3600))
    timeout = context.create_timer(deadline)
    decision = context.wait_for_external_event("decision")
    winner = yield context.task_any([decision, timeout])
    if winner == timeout:
        return (yield context.call_activity("escalate", expense["amount"]))
    if not timeout.is_completed:
        timeout.cancel()
    return (yield context.call_activity("record", {"amount": expense["amount"], "decision": decision.result}))


@app.activity_trigger(input_name="request")
def ask_for_approval(request: dict) -> None:
    print(f"asking for approval of {request['amount']}: {request['instance']}")


@app.activity_trigger(input_name="amount")
def escalate(amount: int) -> str:
    return f"{amount} escalated: nobody answered"


@app.activity_trigger(input_name="recorded")
def record(recorded: dict) -> str:
    # A decision raised by the Python client arrives as JSON text, one posted to the webhook decoded.
    approved = recorded["decision"] in (True, "true")
    return f"{recorded['amount']} {'approved' if approved else 'declined'}"
