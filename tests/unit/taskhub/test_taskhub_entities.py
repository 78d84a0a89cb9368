"""Entities in the hub: long queues in windows, locks with thousands behind them, order, limits."""

from __future__ import annotations

import pytest

from perdure.model.actions import CallEntity, CompleteOrchestration, CreateTimer, LockEntities, UnlockEntities
from perdure.model.operations import Done, EntityFound, ReadEntity, SignalEntityOperation, StartInstance
from perdure.taskhub import registry
from tests.unit.taskhub.scripted import Bench

HITS = "@counter@hits"


def add(bench: Bench, amount: int, entity: str = HITS) -> None:
    assert bench.call(SignalEntityOperation(entity, "add", str(amount))) == Done()


def amounts(bench: Bench) -> list[int]:
    return [int(op.input or 0) for batch in bench.executor.batches for op in batch.operations]


@pytest.mark.parametrize("seconds", [0.0, 0.03])
def test_signals_beyond_memory_are_taken_in_order_while_more_come(monkeypatch, seconds):
    monkeypatch.setattr(registry, "INBOX_BOUND", 5)
    bench = Bench({}, max_entity_batch=3)
    bench.executor.turn_seconds = seconds
    sent: list[Done] = []
    for number in range(300):
        bench.client.call(SignalEntityOperation(HITS, "add", str(number)), sent.append)
        bench.time.advance(0.004)
    bench.time.advance(20)
    assert sent == [Done()] * 300
    assert amounts(bench) == list(range(300))
    assert len(bench.hub.registry.warm()[0].loaded) < 50


def test_the_unlock_is_seen_behind_more_than_fits_in_memory(monkeypatch):
    monkeypatch.setattr(registry, "INBOX_BOUND", 5)

    def section(step, events):
        if step == 0:
            return [LockEntities(0, (HITS,))]
        if step == 1:
            return [CreateTimer(1, bench.time.now + 10_000_000)]
        if step == 2:
            return [CallEntity(2, HITS, "add", "1000")]
        return [UnlockEntities(3, 0, (HITS,)), CompleteOrchestration('"done"')]

    bench = Bench({"Section": section})
    bench.call(StartInstance("Section", "s1"))
    bench.time.advance(1)
    for number in range(40):
        add(bench, number)
    assert amounts(bench) == []
    assert bench.wait("s1").record.output == '"done"'
    bench.time.advance(1)
    assert amounts(bench) == [1000, *range(40)]
    assert bench.call(ReadEntity(HITS)) == EntityFound(True, str(1000 + sum(range(40))))
