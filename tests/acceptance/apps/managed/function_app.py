"""Orchestrators that end in every way, and a counter: what the management tests manage."""

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def echo(context):
    return context.get_input()
    yield


@app.orchestration_trigger(context_name="context")
def waiting(context):
    context.set_custom_status("waits")
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def failing(context):
    yield context.call_activity("fail", "boom")


@app.orchestration_trigger(context_name="context")
def parent(context):
    return (yield context.call_sub_orchestrator("waiting", None, f"{context.instance_id}-child"))


@app.activity_trigger(input_name="text")
def fail(text: str) -> str:
    raise ValueError(text)


@app.entity_trigger(context_name="context")
def counter(context):
    state = context.get_state(lambda: 0)
    if context.operation_name == "add":
        state += context.get_input()
    if context.operation_name == "delete":
        context.destruct_on_exit()
    else:
        context.set_state(state)
