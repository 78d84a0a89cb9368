"""Sends spans to where the standard variables say, by the SDK of OpenTelemetry (the extra `otel`).

Only this module loads it, and only on a host that traces.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

import perdure
from perdure.host.telemetry.traces import CONSUMER, INTERNAL, PRODUCER, SERVER, Span
from perdure.host.telemetry.tracing_settings import CONSOLE, GRPC, Tracing
from perdure.model.trace_context import headers, span_id, trace_id

HINT = "Traces need an extra: pip install perdure[otel]. No spans are sent."
GRPC_HINT = "OTLP over gRPC needs a package: pip install opentelemetry-exporter-otlp-proto-grpc. No spans are sent."


class SpanExport:
    """Queues spans, bounded, and sends them in batches from a thread of its own; what does not fit is dropped."""

    def __init__(self, tracing: Tracing, settings: Mapping[str, str], service: str, host_id: str) -> None:
        """`settings` are those of the app: what they say of OpenTelemetry counts where the environment says nothing.
        `service` names it where nothing else does. Raises ImportError where a package is missing."""
        for name, value in settings.items():
            if name.upper().startswith("OTEL_"):
                os.environ.setdefault(name.upper(), value)
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
        attributes = {"service.instance.id": host_id, **({} if named else {"service.name": service})}
        self._resource = Resource.create(attributes)
        self._processors = [BatchSpanProcessor(_exporter(name, tracing)) for name in tracing.exporters]
        self._convert = _converter(self._resource)

    def emit(self, span: Span) -> None:
        """Send a span some time soon."""
        try:
            readable = self._convert(span)
            for processor in self._processors:
                processor.on_end(readable)
        except Exception as error:  # noqa: BLE001 - a span that cannot be sent must not end the turn that it is about
            logging.getLogger("opentelemetry").warning("A span could not be sent: %r", error)

    def close(self, seconds: float) -> None:
        """Send what is queued. Waits no longer than that, whatever the collector does."""
        closing = [threading.Thread(target=one.shutdown, daemon=True) for one in self._processors]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(seconds)


def _exporter(name: str, tracing: Tracing) -> Any:
    if name == CONSOLE:
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if tracing.protocol == GRPC:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _converter(resource: Any) -> Callable[[Span], Any]:
    """Spans as the SDK has them once they are over."""
    from opentelemetry.attributes import BoundedAttributes
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

    kinds = {
        SERVER: SpanKind.SERVER,
        PRODUCER: SpanKind.PRODUCER,
        CONSUMER: SpanKind.CONSUMER,
        INTERNAL: SpanKind.INTERNAL,
    }
    scope = InstrumentationScope("perdure", perdure.__version__)
    fine = Status(StatusCode.UNSET)

    def context_of(context: str, remote: bool) -> Any:
        state = TraceState.from_header([headers(context)[1]])
        ids = int(trace_id(context), 16), int(span_id(context), 16)
        return SpanContext(*ids, remote, TraceFlags(TraceFlags.SAMPLED), state)

    def convert(span: Span) -> Any:
        return ReadableSpan(
            name=span.name,
            context=context_of(span.context, False),
            parent=context_of(span.parent, True) if span.parent and span_id(span.parent) else None,
            resource=resource,
            attributes=BoundedAttributes(attributes=span.attributes),
            kind=kinds[span.kind],
            instrumentation_scope=scope,
            status=fine if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=span.start * 1000,
            end_time=max(span.start, span.end) * 1000,
        )

    return convert


class _ExportLog(logging.Handler):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say, self._last = say, ""

    def emit(self, record: logging.LogRecord) -> None:
        # attempts are numbered and timed in the text, but not in what it is made from
        kind = str(record.msg)
        if kind != self._last:
            self._last = kind
            why = f" {record.exc_info[1]!r}" if record.exc_info else ""
            self._say(record.getMessage() + why)


def log_once(say: Callable[[str], None]) -> None:
    """Give warnings of the SDK (a collector that does not answer, above all) to `say`, from any thread; the same again
    and again as one line."""
    logger = logging.getLogger("opentelemetry")
    logger.handlers = [_ExportLog(say)]
    logger.propagate = False


def missing(error: ImportError) -> str:
    """What to install, for the user."""
    return GRPC_HINT if ".grpc" in (error.name or "") else HINT
