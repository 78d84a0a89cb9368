"""Counting, and answering a scrape whatever the store does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from perdure.host.http.exchange import Request, Response
from perdure.host.telemetry.gauges import hub_gauges
from perdure.host.telemetry.metrics import Gauge, Histogram, Metrics
from perdure.host.telemetry.metrics_api import MetricsApi
from perdure.model.commit_plan import NewInstance, WorkItem
from perdure.model.execution import ActivityCompleted, ActivityFailed, ActivityLost
from perdure.model.instance import InstanceKind
from perdure.storage.provider import Backlog, StoreError

SCOPE = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": [], "query_string": b""}


def scraped(metrics: Metrics, *asked: Any) -> dict[tuple[str, ...], float]:
    """What a scrape shows: name and values of labels but the hub."""

    async def ask() -> Response:
        return await MetricsApi(metrics, "hub", list, list(asked))(Request(SCOPE, None, 100))  # type: ignore[arg-type]

    response = asyncio.run(ask())
    assert response.status == 200
    return {
        (sample.name, *(value for label, value in sample.labels.items() if label != "hub")): sample.value
        for family in text_string_to_metric_families(response.body.decode())
        for sample in family.samples
    }


def test_attempts_are_counted_by_how_they_ended() -> None:
    metrics = Metrics(["Pay"])
    item = WorkItem(1, 0, 0, "PAY", None)
    metrics.activity_ran(item, ActivityCompleted(1, 0, 0, None, 1_000_000, 1_400_000))
    metrics.activity_ran(item, ActivityFailed(1, 0, 0, "no", started=2_000_000, finished=2_000_000))
    metrics.activity_ran(item, ActivityLost(1, 0, 0, True, True, "died"))
    metrics.activity_ran(item, ActivityLost(1, 0, 0, False, False, "never began"))
    assert metrics.attempts.values == {("Pay", "completed"): 1, ("Pay", "failed"): 1, ("Pay", "lost"): 1}
    assert metrics.activity_seconds.sums == {("Pay",): 0.4}


def test_a_name_has_one_label_however_it_is_called() -> None:
    metrics = Metrics(["Chain"])
    for name in ("chain", "CHAIN", "Elsewhere", "ELSEWHERE"):
        metrics.started(NewInstance(1, "i", InstanceKind.ORCHESTRATION, name, 0))
    assert metrics.starts.values == {("Chain", "client"): 2, ("elsewhere", "client"): 2}


def test_a_histogram_counts_what_is_at_most_a_bound() -> None:
    histogram = Histogram("x", "", (1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 3.0):
        histogram.observe(seconds)
    assert histogram.counts == {(): [2, 1, 1]}
    metrics = Metrics()
    metrics.commit_seconds.observe(0.002)
    metrics.commit_seconds.observe(7.0)
    seen = scraped(metrics)
    assert seen["perdure_commit_seconds_bucket", "0.0025"] == 1
    assert seen["perdure_commit_seconds_bucket", "+Inf"] == seen["perdure_commit_seconds_count",] == 2
    assert seen["perdure_commit_seconds_sum",] == 7.002


def test_what_the_store_does_not_tell_is_left_out(monkeypatch: Any) -> None:
    monkeypatch.setattr("perdure.host.telemetry.metrics_api._STORE_SECONDS", 0.01)
    metrics = Metrics()
    metrics.fenced.add()

    async def silent() -> list[Gauge]:
        await asyncio.Event().wait()
        return []

    async def well() -> list[Gauge]:
        return [Gauge("perdure_hosts", "", {(): 3})]

    seen = scraped(metrics, silent, well)
    assert seen["perdure_hosts",] == 3
    assert seen["perdure_fenced_turns_total",] == 1


class Store:
    """Parked instances and a backlog."""

    def __init__(self) -> None:
        self.asked = 0
        self.waits: Backlog | StoreError = Backlog(waiting=4, running=2, instances=7, oldest=1_500_000, hosts=3)
        self.parked: list[tuple[str, str]] | StoreError = [("1", "a"), ("2", "a")]

    def list_settings(self, kind: str, done: Any) -> None:
        assert kind == "parked"
        self.asked += 1
        done(self.parked)

    def backlog(self, done: Any) -> None:
        done(self.waits)


def hub_of(store: Any, monotonic: Any) -> Any:
    return SimpleNamespace(store=store, clock=SimpleNamespace(monotonic=monotonic))


def asked(questions: Any) -> dict[str, dict[tuple[str, ...], float]]:
    async def ask() -> list[Gauge]:
        return [gauge for question in questions for gauge in await question()]

    return {gauge.name: gauge.values for gauge in asyncio.run(ask())}


def test_the_backlog_is_shown_when_the_store_answers() -> None:
    store = Store()
    assert asked(hub_gauges(hub_of(store, lambda: 0.0))) == {
        "perdure_parked_instances": {(): 2},
        "perdure_backlog_activities": {("waiting",): 4, ("running",): 2},
        "perdure_backlog_instances": {(): 7},
        "perdure_oldest_message_seconds": {(): 1.5},
        "perdure_hosts": {(): 3},
    }
    store.parked = store.waits = StoreError("gone")
    assert asked(hub_gauges(hub_of(store, lambda: 0.0))) == {}


def test_an_answer_that_took_long_is_given_again_for_a_while() -> None:
    store, times = Store(), iter([0.0, 0.1, 1.0, 5.0, 5.2, 5.2])
    questions = hub_gauges(hub_of(store, lambda: next(times)))[:1]
    assert asked(questions) == asked(questions) == {"perdure_parked_instances": {(): 2}}
    assert store.asked == 1
    store.parked = []
    # it took 0.1 s: asked again 5 s after
    assert asked(questions) == {"perdure_parked_instances": {(): 2}}
    assert asked(questions) == {"perdure_parked_instances": {(): 0}}


def test_a_host_loads_nothing_of_the_extras_before_it_is_asked() -> None:
    code = "import sys, perdure.host.runtime; print([m for m in sys.modules if m[:6] in ('promet', 'opente')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
