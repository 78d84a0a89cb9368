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


@app.orchestration_trigger(context_name="context")
def long_ids(context):
    # of 3 bytes each, which nothing makes shorter
    characters = "".join(chr(0x4E00 + number * 7919 % 20000) for number in range(2000))
    size = context.get_input()
    said = []
    for call in (
        lambda: context.call_sub_orchestrator("echo", 1, characters[:size]),
        lambda: context.call_entity(df.EntityId("counter", characters[: size - 3]), "add", 2),
    ):
        try:
            said.append((yield call()))
        except Exception as error:
            said.append(str(error))
    context.signal_entity(df.EntityId("counter", characters[: size - 3]), "add", 3)
    return said


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
