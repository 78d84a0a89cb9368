"""What is said when spans cannot be sent or made current; contexts of user code."""

from __future__ import annotations

import logging
import sys
from typing import Any

import pytest
from opentelemetry import trace

from perdure.host.telemetry.span_export import SpanExport, log_once, missing
from perdure.host.telemetry.traces import SERVER, Span
from perdure.host.telemetry.tracing_settings import Tracing
from perdure.host.worker.user_traces import attaching
from perdure.model.trace_context import Sampling

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTEXT = f"00-{TRACE}-{CALLER}-01"


@pytest.fixture
def said() -> Any:
    """What the SDK's log says, as the host shows it."""
    logger = logging.getLogger("opentelemetry")
    before = logger.handlers, logger.propagate
    texts: list[str] = []
    log_once(texts.append)
    yield texts
    logger.handlers, logger.propagate = before


def test_the_same_again_and_again_is_one_line(said: list[str]) -> None:
    exporter = logging.getLogger("opentelemetry.exporter.otlp")
    for seconds in (1, 2, 4):
        exporter.warning("Transient error %s, retrying in %ss.", "UNAVAILABLE", seconds)
    try:
        raise ConnectionError("refused")
    except ConnectionError:
        exporter.exception("Exception while exporting Span batch.")
    exporter.warning("Transient error %s, retrying in %ss.", "UNAVAILABLE", 1)
    assert said == [
        "Transient error UNAVAILABLE, retrying in 1s.",
        "Exception while exporting Span batch. ConnectionError('refused')",
        "Transient error UNAVAILABLE, retrying in 1s.",
    ]


def test_what_is_missing_is_named() -> None:
    assert missing(ModuleNotFoundError(name="opentelemetry.sdk.resources")) == (
        "Traces need an extra: pip install perdure[otel]. No spans are sent."
    )
    assert missing(ModuleNotFoundError(name="opentelemetry.exporter.otlp.proto.grpc")) == (
        "OTLP over gRPC needs a package: pip install opentelemetry-exporter-otlp-proto-grpc. No spans are sent."
    )


def test_a_span_that_cannot_be_sent_ends_nothing(said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    export = SpanExport(Tracing(Sampling(), ("console",)), {}, "shop", "h1")
    export.emit(Span("broken", SERVER, "nonsense", None, 0, 1, {}))
    export.emit(Span("whole", SERVER, CONTEXT, None, 5, 1, {"k": 1}))
    export.close(5)
    assert len(said) == 1 and said[0].startswith("A span could not be sent: ValueError(")
    printed = capsys.readouterr().out
    assert '"name": "whole"' in printed and '"service.name": "shop"' in printed


def test_the_context_of_a_run_is_current_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_ENABLE_OPENTELEMETRY", raising=False)
    assert attaching() is None
    monkeypatch.setenv("PYTHON_ENABLE_OPENTELEMETRY", "True")
    attach = attaching()
    assert attach is not None
    detach = attach(CONTEXT)
    current = trace.get_current_span().get_span_context()
    assert (f"{current.trace_id:032x}", f"{current.span_id:016x}") == (TRACE, CALLER)
    detach()
    assert not trace.get_current_span().get_span_context().is_valid


def test_an_app_without_open_telemetry_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYTHON_ENABLE_OPENTELEMETRY", "1")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert attaching() is None
    assert caplog.messages == [
        "PYTHON_ENABLE_OPENTELEMETRY is set, but opentelemetry-api is not installed in the environment of the app. "
        "Spans of its functions stay without parents. Install it: pip install opentelemetry-sdk"
    ]
