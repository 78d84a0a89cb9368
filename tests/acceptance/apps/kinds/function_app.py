"""A function of every kind. What arrives is logged as `GOT <function> <type> <content>`."""

import logging

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def got(name: str, value: object, content: object) -> None:
    logging.info("GOT %s %s %s", name, type(value).__name__, content)


@app.queue_trigger(arg_name="message", queue_name="q", connection="C")
def queue(message: func.QueueMessage) -> None:
    got("queue", message, message.get_body())


@app.blob_trigger(arg_name="blob", path="c/{name}", connection="C")
def blob(blob: func.InputStream) -> None:
    got("blob", blob, blob.read())


@app.event_grid_trigger(arg_name="event")
def event_grid(event: func.EventGridEvent) -> None:
    got("event_grid", event, event.get_json())


@app.event_hub_message_trigger(arg_name="event", event_hub_name="h", connection="C")
def event_hub(event: func.EventHubEvent) -> None:
    got("event_hub", event, event.get_body())


@app.event_hub_message_trigger(arg_name="events", event_hub_name="h", connection="C", cardinality="many")
async def event_hub_many(events: list[func.EventHubEvent]) -> None:
    got("event_hub_many", events, [event.get_body() for event in events])


@app.service_bus_queue_trigger(arg_name="message", queue_name="q", connection="C")
def service_bus_queue(message: func.ServiceBusMessage) -> None:
    got("service_bus_queue", message, message.get_body())


@app.service_bus_topic_trigger(arg_name="message", topic_name="t", subscription_name="s", connection="C")
async def service_bus_topic(message: func.ServiceBusMessage) -> None:
    got("service_bus_topic", message, message.get_body())


@app.cosmos_db_trigger(arg_name="documents", container_name="c", database_name="d", connection="C")
def cosmos_db(documents: func.DocumentList) -> None:
    got("cosmos_db", documents, [document.to_dict() for document in documents])


@app.kafka_trigger(arg_name="event", topic="t", broker_list="b")
def kafka(event: func.KafkaEvent) -> None:
    got("kafka", event, event.get_body())


@app.generic_trigger(arg_name="message", type="rabbitMQTrigger", queueName="q", connectionStringSetting="C")
def rabbit(message: str) -> None:
    got("rabbit", message, message)


@app.generic_trigger(arg_name="thing", type="thingTrigger", anything="else")
def generic(thing) -> None:
    got("generic", thing, thing)


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *")
def timer(timer: func.TimerRequest) -> None:
    got("timer", timer, timer.past_due)


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
def retried(timer: func.TimerRequest, context: func.Context) -> None:
    retry = context.retry_context
    reason = retry.exception.message if retry.exception else ""
    got("retried", timer, f"{retry.retry_count} of {retry.max_retry_count} {reason}")
    if retry.retry_count < 2:
        raise OSError("not yet")


@app.timer_trigger(arg_name="timer", schedule="soon")
def never(timer: func.TimerRequest) -> None: ...


@app.route(route="http")
def http(req: func.HttpRequest) -> str:
    got("http", req, req.get_body())
    return "ok"


@app.orchestration_trigger(context_name="context")
def orchestration(context: df.DurableOrchestrationContext):
    return (yield context.call_activity("activity", context.get_input()))


@app.activity_trigger(input_name="value")
def activity(value: str) -> str:
    got("activity", value, value)
    return value


@app.entity_trigger(context_name="context")
def entity(context: df.DurableEntityContext) -> None:
    got("entity", context.get_input(), f"{context.entity_key} {context.operation_name} {context.get_input()}")


@app.route(route="outputs")
@app.queue_output(arg_name="queued", queue_name="q", connection="C")
@app.blob_output(arg_name="stored", path="c/x", connection="C")
@app.generic_output_binding(arg_name="sent", type="sendGrid", apiKey="C")
@app.event_hub_output(arg_name="unused", event_hub_name="h", connection="C")
def outputs(
    req: func.HttpRequest,
    queued: func.Out[str],
    stored: func.Out[bytes],
    sent: func.Out[object],
    unused: func.Out[str],
) -> str:
    queued.set({"any": object()})
    stored.set(b"x")
    sent.set(object())
    return "ok"


@app.queue_trigger(arg_name="message", queue_name="q", connection="C")
@app.queue_output(arg_name="$return", queue_name="q2", connection="C")
def returning(message: func.QueueMessage) -> object:
    return object()
