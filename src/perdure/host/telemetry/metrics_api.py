"""`/runtime/metrics`: the counts of this host and what waits in its hub, in the text that Prometheus reads.

Counting needs nothing; `prometheus-client` (the extra `metrics`) writes the text. It is loaded by the first scrape.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import perdure
from perdure.host.http.exchange import Request, Response
from perdure.host.telemetry.metrics import Counter, Gauge, Histogram, Metrics

PATH = "/runtime/metrics"
#: what a scrape waits for the store, in seconds: less than Prometheus waits for the scrape
_STORE_SECONDS = 2.0
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_MISSING = Response(
    404, b"Metrics need the package prometheus-client. Install it: pip install perdure[metrics]\n", [_TEXT]
)


def is_installed() -> bool:
    """Whether there is anything that could write the metrics."""
    return find_spec("prometheus_client") is not None


class MetricsApi:
    """Answers scrapes. `gauges` tells how this host stands now; each of `asked` asks the store, and may fail."""

    def __init__(
        self,
        metrics: Metrics | None,
        hub: str,
        gauges: Callable[[], list[Gauge]],
        asked: list[Callable[[], Awaitable[list[Gauge]]]],
    ) -> None:
        """`metrics` None: the extra is not installed."""
        self._metrics, self._hub, self._gauges, self._asked = metrics, hub, gauges, asked
        self._registry: Any = None
        self._shown: list[Gauge] = []

    async def __call__(self, request: Request) -> Response:
        """The metrics; 404 with a hint where the extra is missing. What the store does not tell in time is left out."""
        if request.method not in ("GET", "HEAD"):
            return Response(405, b"", [(b"allow", b"GET, HEAD")])
        if self._metrics is None:
            return _MISSING
        if self._registry is None:
            self._registry = await asyncio.get_running_loop().run_in_executor(None, _registry, self)
        answers = await asyncio.gather(*(_in_time(ask()) for ask in self._asked))
        self._shown = [*self._gauges(), *(gauge for answer in answers for gauge in answer)]
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(200, encode(self._registry), [(b"content-type", content_type.encode("latin-1"))])

    def collect(self) -> Iterator[Any]:
        """The families, as `prometheus_client` asks for them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        assert self._metrics is not None
        versions: dict[tuple[str, ...], float] = {(perdure.__version__, platform.python_version()): 1.0}
        info = Gauge("perdure_build_info", "The release that runs, and its Python", versions, ("version", "python"))
        for counter in self._metrics.counters:
            yield self._filled(CounterMetricFamily, counter, counter.values.items())
        for histogram in self._metrics.histograms:
            yield self._histogram(HistogramMetricFamily, histogram)
        for gauge in (info, *self._shown):
            yield self._filled(GaugeMetricFamily, gauge, gauge.values.items())

    def _filled(self, kind: Any, metric: Counter | Gauge, values: Any) -> Any:
        family = kind(metric.name, metric.text, labels=("hub", *metric.labels))
        for labels, value in values:
            family.add_metric((self._hub, *labels), value)
        return family

    def _histogram(self, kind: Any, metric: Histogram) -> Any:
        family = kind(metric.name, metric.text, labels=("hub", *metric.labels))
        bounds = [*map(str, metric.bounds), "+Inf"]
        for labels, counts in metric.counts.items():
            total, buckets = 0, []
            for bound, count in zip(bounds, counts, strict=True):
                total += count
                buckets.append((bound, float(total)))
            family.add_metric((self._hub, *labels), buckets, metric.sums.get(labels, 0.0))
        return family


def _registry(api: MetricsApi) -> Any:
    """What is exposed: the metrics of `api` and those of this process."""
    from prometheus_client import CollectorRegistry, ProcessCollector

    registry = CollectorRegistry()
    registry.register(api)
    ProcessCollector(registry=registry)
    return registry


async def _in_time(asking: Awaitable[list[Gauge]]) -> list[Gauge]:
    try:
        return await asyncio.wait_for(asking, _STORE_SECONDS)
    except asyncio.TimeoutError:
        return []
