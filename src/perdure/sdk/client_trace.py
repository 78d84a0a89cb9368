"""The trace context that a client's operations carry: that of the caller's span."""

from __future__ import annotations

import sys

import msgspec

from perdure.model.operations import Operation, RaiseEvent, RestartInstance, SignalEntityOperation, StartInstance
from perdure.model.trace_context import read

_TRACED = (StartInstance, RaiseEvent, SignalEntityOperation, RestartInstance)


def span_headers() -> tuple[str | None, str | None]:
    """The W3C trace headers of the span under way; none when the app does not use OpenTelemetry."""
    if "opentelemetry.trace" not in sys.modules:
        return None, None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent"), carrier.get("tracestate")


def with_trace(operation: Operation, otherwise: str | None = None) -> Operation:
    """The operation with the context of the span under way, or where there is none with `otherwise`."""
    if not isinstance(operation, _TRACED) or operation.trace is not None:
        return operation
    parent, state = span_headers()
    trace = otherwise if parent is None else read(parent, state)
    return operation if trace is None else msgspec.structs.replace(operation, trace=trace)
