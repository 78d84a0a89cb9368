"""When spans are made and where they go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perdure.host.settings.config import Flags, load_config
from perdure.host.telemetry.tracing_settings import NotTraced, Tracing, client_sampling, tracing_of
from perdure.model.trace_context import Sampling

TO = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
NO_DESTINATION = (
    "host.json asks for distributed tracing, but nothing says where spans go. Set OTEL_EXPORTER_OTLP_ENDPOINT "
    "(for example http://localhost:4318)."
)


def found(folder: Path, variables: dict[str, str], tracing: object = None, **top: object) -> Tracing | NotTraced:
    durable = {} if tracing is None else {"extensions": {"durableTask": {"tracing": tracing}}}
    (folder / "host.json").write_text(json.dumps({"version": "2.0", **durable, **top}))
    return tracing_of(load_config(Flags(), variables, folder))


def test_off_unless_a_destination_is_named(tmp_path: Path) -> None:
    assert found(tmp_path, {}) == NotTraced()
    assert found(tmp_path, TO) == Tracing(Sampling())
    assert found(tmp_path, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1/traces"}) == Tracing(Sampling())
    assert found(tmp_path, {"OTEL_TRACES_EXPORTER": "console"}) == Tracing(Sampling(), ("console",))
    assert found(tmp_path, {"OTEL_TRACES_EXPORTER": "OTLP, console"}) == Tracing(Sampling(), ("otlp", "console"))
    grpc = {**TO, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert found(tmp_path, grpc) == Tracing(Sampling(), ("otlp",), "grpc")


@pytest.mark.parametrize("off", [{"OTEL_SDK_DISABLED": "TRUE"}, {"OTEL_TRACES_EXPORTER": "none"}])
def test_the_variables_switch_it_off_whatever_host_json_says(tmp_path: Path, off: dict[str, str]) -> None:
    assert found(tmp_path, {**TO, **off}, {"distributedTracingEnabled": True, "version": "V2"}) == NotTraced()


def test_host_json_switches_it_off_and_on(tmp_path: Path) -> None:
    assert found(tmp_path, TO, {"distributedTracingEnabled": False}) == NotTraced()
    assert found(tmp_path, TO, {"distributedTracingEnabled": True, "version": "None"}) == NotTraced()
    assert found(tmp_path, TO, {"distributedTracingEnabled": True, "version": "V1"}) == Tracing(Sampling())
    assert found(tmp_path, {}, {"distributedTracingEnabled": True}) == NotTraced(NO_DESTINATION)
    assert found(tmp_path, {}, telemetryMode="openTelemetry") == NotTraced(NO_DESTINATION)
    assert found(tmp_path, TO, telemetryMode="openTelemetry") == Tracing(Sampling())


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    assert found(tmp_path, {"OTEL_TRACES_EXPORTER": "zipkin"}) == NotTraced(
        "OTEL_TRACES_EXPORTER is 'zipkin'. Expected otlp, console or none: no spans are sent."
    )
    assert found(tmp_path, {**TO, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}) == NotTraced(
        "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'. Expected http/protobuf or grpc: no spans are sent."
    )


@pytest.mark.parametrize(
    ("name", "argument", "sampling"),
    [
        ("", "", Sampling()),
        ("always_on", "", Sampling(by_parent=False)),
        ("always_off", "", Sampling(0.0, by_parent=False)),
        ("traceidratio", "0.1", Sampling(0.1, by_parent=False)),
        ("parentbased_always_off", "", Sampling(0.0)),
        ("parentbased_traceidratio", "0.5", Sampling(0.5)),
        ("parentbased_traceidratio", "many", Sampling()),
        ("of my own", "", Sampling()),
    ],
)
def test_samplers(tmp_path: Path, name: str, argument: str, sampling: Sampling) -> None:
    variables = {**TO, "OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}
    assert found(tmp_path, variables) == Tracing(sampling)


def test_a_client_passes_contexts_on_and_begins_traces_where_its_environment_says_so() -> None:
    assert client_sampling({}.get) == Sampling(roots=False)
    assert client_sampling(TO.get) == Sampling()
