"""How a host and its hub stand at this moment, for a scrape of the metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from perdure.host.loop import answer_of
from perdure.host.telemetry.metrics import Gauge, Metrics
from perdure.host.telemetry.metrics_api import MetricsApi
from perdure.storage.provider import Backlog, StoreError
from perdure.taskhub.core import TaskHub
from perdure.taskhub.parked import ParkedList

#: a question to the store is not repeated for so many times as long as its last answer took
_SPARE = 50


class Workers(Protocol):
    """What is told of the worker processes."""

    @property
    def processes(self) -> list[int]: ...
    @property
    def sessions(self) -> int: ...


def metrics_api(metrics: Metrics | None, hub: TaskHub, workers: Workers) -> MetricsApi:
    """What answers the scrapes of a host. `metrics` None: the extra is not installed."""
    if metrics is None:
        return MetricsApi(None, hub.options.hub_name, list, [])
    return MetricsApi(metrics, hub.options.hub_name, partial(host_gauges, hub, workers, metrics), hub_gauges(hub))


def host_gauges(hub: TaskHub, workers: Workers, metrics: Metrics) -> list[Gauge]:
    """What this host holds and runs."""
    return [
        _one("perdure_turns_running", "Turns under way on this host", hub.dispatcher.running),
        _one("perdure_turns_queued", "Instances of this host that wait for a turn", hub.dispatcher.queued),
        _one("perdure_activities_running", "Activities under way on this host", hub.activities.running),
        _one("perdure_instances_in_memory", "Instances that this host keeps in memory", len(hub.registry.warm)),
        _one("perdure_sessions", "Orchestrations whose code this host keeps between turns", workers.sessions),
        _one("perdure_worker_processes", "Worker processes that have loaded the app", len(workers.processes)),
        Gauge(
            "perdure_held_back",
            "1 while a concurrency limit of this host keeps work waiting",
            {(what.replace(" ", "_"),): held for what, held in metrics.held_back.items()},
            ("limit",),
        ),
    ]


def hub_gauges(hub: TaskHub) -> list[Callable[[], Awaitable[list[Gauge]]]]:
    """Questions to the store about the whole hub: what waits, what is parked. Every host of a hub gives the same
    answers."""
    parked = ParkedList(hub.store, hub.clock)

    async def count_parked() -> list[Gauge]:
        count = await answer_of(parked.count)
        if isinstance(count, StoreError):
            return []
        return [_one("perdure_parked_instances", "Instances of the hub that are parked", count)]

    async def read_backlog() -> list[Gauge]:
        answer = await answer_of(hub.store.backlog)
        return [] if isinstance(answer, StoreError) else _backlog_gauges(answer)

    return [_Sparing(ask, hub.clock.monotonic) for ask in (count_parked, read_backlog)]


def _backlog_gauges(backlog: Backlog) -> list[Gauge]:
    activities: dict[tuple[str, ...], float] = {("waiting",): backlog.waiting, ("running",): backlog.running}
    text = "Age of the oldest activity, start or timer of the hub that nobody has taken up"
    return [
        Gauge("perdure_backlog_activities", "Activities of the hub without a result", activities, ("state",)),
        _one("perdure_backlog_instances", "Instances of the hub with something to do", backlog.instances),
        _one("perdure_oldest_message_seconds", text, backlog.oldest / 1e6),
        _one("perdure_hosts", "Hosts of the hub that are up", backlog.hosts),
    ]


def _one(name: str, text: str, value: float) -> Gauge:
    return Gauge(name, text, {(): value})


class _Sparing:
    """Asks, or gives the last answer again where asking is dear: so scrapes cost the store next to nothing, however
    much there is to count."""

    def __init__(self, ask: Callable[[], Awaitable[list[Gauge]]], monotonic: Callable[[], float]) -> None:
        self._ask, self._monotonic = ask, monotonic
        self._last: list[Gauge] = []
        self._again = 0.0

    async def __call__(self) -> list[Gauge]:
        began = self._monotonic()
        if began < self._again:
            return self._last
        self._last = []
        try:
            self._last = await self._ask()
        finally:
            # also when the scrape did not wait for the answer
            ended = self._monotonic()
            self._again = ended + (ended - began) * _SPARE
        return self._last
