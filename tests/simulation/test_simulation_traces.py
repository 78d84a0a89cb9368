"""Traces under crashes, takeovers and lost answers: no span twice, and every parent is one that is told as well."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from perdure.host.telemetry.traces import Span, Traces
from perdure.model.trace_context import Sampling, span_id, trace_id
from perdure.taskhub.core import TaskHub
from perdure.testing.simulation import Settings, World, settings_of
from perdure.testing.workloads import CLIENTS

#: what clients ask for
ROOTS = {"create_orchestration", "orchestration_event", "entity"}


def traced(settings: Settings) -> list[Span]:
    """Run a seed whose hosts all trace; the spans that they told."""
    spans: list[Span] = []

    def hub(store: Any, executor: Any, clock: Any, wakes: Any, options: Any) -> TaskHub:
        return TaskHub(store, executor, clock, wakes, replace(options, sampling=Sampling()), Traces(spans.append))

    world = World(settings)
    world.hub = hub  # type: ignore[method-assign, assignment]
    world.run()
    return spans


def key(context: str) -> tuple[str, str]:
    return trace_id(context), span_id(context)


def twice(spans: list[Span]) -> list[str]:
    counts = Counter(key(span.context) for span in spans)
    return [span.name for span in spans if counts[key(span.context)] > 1]


@pytest.mark.parametrize("first", [0, 20])
def test_under_faults_no_span_is_told_twice(first: int) -> None:
    told = 0
    for seed in range(first, first + 20):
        spans = traced(settings_of(seed))
        assert twice(spans) == [], seed
        told += len(spans)
    assert told > 2000


@pytest.mark.parametrize("hosts", [1, 3])
def test_without_faults_all_is_told_and_hangs_together(hosts: int) -> None:
    clients = tuple(CLIENTS)
    names: Counter[str] = Counter()
    for seed in range(4):
        spans = traced(Settings(seed, hosts, clients, ()))
        assert twice(spans) == []
        known = {key(span.context) for span in spans}
        roots = [span for span in spans if span.parent is None or not span_id(span.parent)]
        assert {span.name.partition(":")[0] for span in roots} <= ROOTS
        assert [span for span in spans if span not in roots and key(span.parent or "") not in known] == [], seed
        names.update(span.name.partition(":")[0] for span in spans)
    assert set(names) == {"create_orchestration", "orchestration", "activity", "orchestration_event", "entity"}
