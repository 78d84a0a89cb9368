"""Function chaining: one activity after the other, each fed with the result of the one before."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="recipes/{dish}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start_recipe(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance_id = await client.start_new("cook", client_input=req.route_params["dish"])
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def cook(context: df.DurableOrchestrationContext):
    dish = context.get_input()
    shopped = yield context.call_activity("shop", dish)
    cooked = yield context.call_activity("boil", shopped)
    served = yield context.call_activity("serve", cooked)
    return [shopped, cooked, served]


@app.activity_trigger(input_name="dish")
def shop(dish: str) -> str:
    return f"ingredients for {dish}"


@app.activity_trigger(input_name="ingredients")
async def boil(ingredients: str) -> str:
    return f"boiled {ingredients}"


@app.activity_trigger(input_name="meal")
def serve(meal: str) -> str:
    return f"{meal}, on a plate"
