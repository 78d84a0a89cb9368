"""The durable decorators on a plain `func.FunctionApp`."""

import logging

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="translations", methods=["POST"])
@app.durable_client_input(client_name="client")
async def translate(req: func.HttpRequest, client) -> func.HttpResponse:
    words = req.get_json()
    instance_id = await client.start_new("translate_all", None, words)
    logging.info("translating %d words as %s", len(words), instance_id)
    return client.create_check_status_response(req, instance_id)


@app.orchestration_trigger(context_name="context")
def translate_all(context):
    words = context.get_input()
    found = yield context.task_all([context.call_activity("look_up", word) for word in words])
    return dict(zip(words, found))


@app.activity_trigger(input_name="word")
def look_up(word: str) -> str:
    return word[::-1]
