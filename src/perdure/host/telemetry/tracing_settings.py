"""Whether spans are made and where they go: by the standard variables of OpenTelemetry, and by host.json.

A destination must be named (`OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_TRACES_EXPORTER`); host.json alone names none.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from perdure.host.settings.config import HostConfig
from perdure.model.trace_context import Sampling

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
OTLP, CONSOLE = "otlp", "console"
HTTP, GRPC = "http/protobuf", "grpc"

Lookup = Callable[[str], "str | None"]


class Tracing(Struct, frozen=True):
    """Spans are made: of which work, and where they go."""

    sampling: Sampling
    exporters: tuple[str, ...] = (OTLP,)
    protocol: str = HTTP


class NotTraced(Struct, frozen=True):
    """No spans are made; `why` is for the user, empty where nobody asked for any."""

    why: str = ""


def tracing_of(config: HostConfig) -> Tracing | NotTraced:
    """What a host does."""
    if config.distributed_tracing is False or config.tracing_version == "None":
        return NotTraced()
    found = tracing_by(config.setting)
    asked = config.distributed_tracing or config.telemetry_mode.strip().lower() == "opentelemetry"
    if isinstance(found, NotTraced) and asked and not found.why and not _is_off(config.setting):
        return NotTraced(
            "host.json asks for distributed tracing, but nothing says where spans go. Set OTEL_EXPORTER_OTLP_ENDPOINT "
            "(for example http://localhost:4318)."
        )
    return found


def tracing_by(setting: Lookup) -> Tracing | NotTraced:
    """What the variables of OpenTelemetry say."""
    if _is_off(setting):
        return NotTraced()
    named = setting("OTEL_TRACES_EXPORTER") or (OTLP if _first(setting, _ENDPOINTS) else "")
    exporters = tuple(name.strip().lower() for name in named.split(",") if name.strip())
    if not exporters:
        return NotTraced()
    protocol = _first(setting, _PROTOCOLS).lower() or HTTP
    unknown = next((name for name in exporters if name not in (OTLP, CONSOLE)), None)
    if unknown is not None:
        return NotTraced(f"OTEL_TRACES_EXPORTER is '{named}'. Expected otlp, console or none: no spans are sent.")
    if protocol not in (HTTP, GRPC):
        return NotTraced(f"{_PROTOCOLS[1]} is '{protocol}'. Expected {HTTP} or {GRPC}: no spans are sent.")
    return Tracing(_sampling(setting), exporters, protocol)


def client_sampling(setting: Lookup) -> Sampling:
    """Which work of a client outside of the hosts is traced: what comes with a context, and what begins here only
    where its own environment asks for traces."""
    found = tracing_by(setting)
    return found.sampling if isinstance(found, Tracing) else Sampling(roots=False)


def _is_off(setting: Lookup) -> bool:
    off = (setting("OTEL_SDK_DISABLED") or "").strip().lower() == "true"
    return off or (setting("OTEL_TRACES_EXPORTER") or "").strip().lower() == "none"


def _first(setting: Lookup, names: tuple[str, ...]) -> str:
    return next((value.strip() for name in names if (value := setting(name))), "")


def _sampling(setting: Lookup) -> Sampling:
    name = (setting("OTEL_TRACES_SAMPLER") or "parentbased_always_on").strip().lower()
    kind = name.removeprefix("parentbased_")
    ratio = {"always_off": 0.0}.get(kind, 1.0)
    if kind == "traceidratio":
        try:
            ratio = min(1.0, max(0.0, float(setting("OTEL_TRACES_SAMPLER_ARG") or "")))
        except ValueError:
            ratio = 1.0
    return Sampling(ratio, by_parent=kind != name or kind not in ("always_on", "always_off", "traceidratio"))
