"""An app that makes spans of its own, by OpenTelemetry, beside those of the host."""

import azure.durable_functions as df
import azure.functions as func
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("app")
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="start")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client):
    with tracer.start_as_current_span("asking"):
        instance_id = await client.start_new("Calls", None, req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="seen")
async def seen(req: func.HttpRequest):
    with tracer.start_as_current_span("answering"):
        return func.HttpResponse(req.headers.get("traceparent", ""))


@app.orchestration_trigger(context_name="context")
def Calls(context):
    yield context.call_activity("Plain", 0)
    yield context.call_activity("Async", 0)
    answer = yield context.call_http("GET", context.get_input())
    return answer["content"]


@app.activity_trigger(input_name="nothing")
def Plain(nothing):
    with tracer.start_as_current_span("plain work"):
        return


@app.activity_trigger(input_name="nothing")
async def Async(nothing):
    with tracer.start_as_current_span("async work"):
        return
