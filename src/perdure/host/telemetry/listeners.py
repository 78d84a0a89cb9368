"""Who hears what the task hub of a host tells: its log, and where they are wanted its metrics and its traces."""

from __future__ import annotations

import asyncio
from pathlib import Path

from perdure.host.functions.function_list import FunctionList
from perdure.host.logs.log import WARNING, HostLog
from perdure.host.settings.config import HostConfig
from perdure.host.telemetry.gauges import Workers, metrics_api
from perdure.host.telemetry.host_telemetry import HostTelemetry
from perdure.host.telemetry.metrics import Metrics
from perdure.host.telemetry.metrics_api import MetricsApi, is_installed
from perdure.host.telemetry.span_export import SpanExport, log_once, missing
from perdure.host.telemetry.traces import Traces
from perdure.host.telemetry.tracing_settings import NotTraced, Tracing, tracing_of
from perdure.model.trace_context import Sampling
from perdure.taskhub.core import TaskHub
from perdure.taskhub.telemetry import Telemetry, telling


class Listeners:
    """The listeners of one host. The extras are loaded only where they are used."""

    def __init__(self, config: HostConfig, log: HostLog, host_id: str) -> None:
        self._config, self._log, self._host_id = config, log, host_id
        self._metrics = Metrics() if is_installed() else None
        self._export: SpanExport | None = None
        #: which work is traced; None: none
        self.sampling: Sampling | None = None

    async def open(self) -> None:
        """Load what sends spans, if the host traces."""
        tracing = tracing_of(self._config)
        if isinstance(tracing, NotTraced):
            if tracing.why:
                self._log.write("perdure", WARNING, tracing.why)
            return
        try:
            self._export = await asyncio.get_running_loop().run_in_executor(None, self._load, tracing)
        except ImportError as error:
            self._log.write("perdure", WARNING, missing(error))
        else:
            self.sampling = tracing.sampling

    def _load(self, tracing: Tracing) -> SpanExport:
        log_once(lambda text: self._log.write("Host.OpenTelemetry", WARNING, text))
        return SpanExport(tracing, self._config.app_settings, self._service(), self._host_id)

    def _service(self) -> str:
        return self._config.setting("WEBSITE_SITE_NAME") or Path(self._config.script_root).name

    def telling(self, functions: FunctionList) -> Telemetry:
        """What the hub tells its events to; `functions` are those of the app."""
        listeners: list[Telemetry] = [HostTelemetry(self._log, self._host_id)]
        if self._metrics is not None:
            listeners.append(self._metrics)
        if self._export is not None:
            listeners.append(Traces(self._export.emit))
        self.app_changed(functions)
        return telling(listeners)

    def app_changed(self, functions: FunctionList) -> None:
        """The app was loaded anew."""
        if self._metrics is not None:
            self._metrics.app_changed(functions.spelled_names())

    def metrics_api(self, hub: TaskHub, workers: Workers) -> MetricsApi:
        """What answers scrapes."""
        return metrics_api(self._metrics, hub, workers)

    async def close(self, seconds: float) -> None:
        """Send what is queued, for no longer than that."""
        if self._export is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._export.close, seconds)
