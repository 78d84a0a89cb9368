"""Spans that user code makes hang on the span of its run: the context of a run is the current one while it lasts.

On where `PYTHON_ENABLE_OPENTELEMETRY` is true, as with the published worker; OpenTelemetry is then the app's own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from perdure.model.trace_context import headers

#: makes a context current and gives how to take that back
Attach = Callable[[str], Callable[[], None]]


def attaching() -> Attach | None:
    """How contexts are made current; None where that is not wanted, or cannot be done."""
    if os.environ.get("PYTHON_ENABLE_OPENTELEMETRY", "").strip().lower() not in ("true", "1"):
        return None
    try:
        from opentelemetry import context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
    except ImportError:
        logging.getLogger(__name__).warning(
            "PYTHON_ENABLE_OPENTELEMETRY is set, but opentelemetry-api is not installed in the environment of the app. "
            "Spans of its functions stay without parents. Install it: pip install opentelemetry-sdk"
        )
        return None
    propagator = TraceContextTextMapPropagator()

    def attach(trace: str) -> Callable[[], None]:
        parent, state = headers(trace)
        carrier: dict[str, Any] = {"traceparent": parent, "tracestate": state}
        token = context.attach(propagator.extract(carrier))
        return lambda: context.detach(token)

    return attach
