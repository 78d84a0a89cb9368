"""Entities in the hub: long queues in windows, locks with thousands behind them, order, limits."""

from __future__ import annotations

import pytest

from perdure.model.actions import (
    CallEntity,
    CompleteOrchestration,
    CreateTimer,
    LockEntities,
    SendEvent,
    UnlockEntities,
)
from perdure.model.commit_plan import Message, MessageVerdict
from perdure.model.history import EntityOperationCompleted, EntityOperationFailed, EntityOperationRequested
from perdure.model.instance import decode_lock
from perdure.model.operations import (
    CleanEntities,
    Done,
    EntitiesCleaned,
    EntityFound,
    Found,
    GetInstance,
    InspectInstance,
    Purged,
    PurgeInstance,
    RaiseEvent,
    ReadEntity,
    RefusalCode,
    Refused,
    SignalEntityOperation,
    StartInstance,
    TerminateInstance,
)
from perdure.taskhub import purging, registry
from tests.unit.taskhub.scripted import Bench

HITS = "@counter@hits"


def test_an_event_for_an_entity_reaches_nobody():
    bench = Bench({"Sends": lambda step, events: [SendEvent(0, HITS, "go", "1"), CompleteOrchestration("1")]})
    add(bench, 1)
    bench.time.advance(1)
    assert bench.call(RaiseEvent(HITS, "go")) == Refused(RefusalCode.NOT_FOUND, f"No instance with ID '{HITS}' found.")
    bench.call(StartInstance("Sends", "s"))
    bench.wait("s")
    inspected = bench.call(InspectInstance(HITS))
    assert inspected.inbox == []
    assert bench.call(PurgeInstance(HITS), within=0.5) == Purged(1)
    assert bench.status(HITS) == ""


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
    assert len(bench.hub.registry.warm.all()[0].loaded) < 50


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


def holding(bench, days=1):
    def section(step, events):
        if step == 0:
            return [LockEntities(0, (HITS,))]
        if step == 1:
            return [CreateTimer(1, bench.time.now + days * 86_400_000_000)]
        return [UnlockEntities(2, 0, (HITS,)), CompleteOrchestration('"done"')]

    return section


def caller(step, events):
    if step == 0:
        return [CallEntity(0, HITS, "add", "1")]
    (answer,) = [e for e in events if isinstance(e, (EntityOperationCompleted, EntityOperationFailed))]
    return [CompleteOrchestration(f'"{getattr(answer, "reason", "") or answer.result}"')]


def locked_bench() -> Bench:
    box: list[Bench] = []

    def section(step, events):
        return holding(box[0])(step, events)

    box.append(Bench({"Caller": caller, "Holder": section, "Second": section}))
    return box[0]


def record(bench: Bench):
    found = bench.call(GetInstance(HITS))
    return found.record if isinstance(found, Found) else None


def test_a_purge_of_an_idle_entity_deletes_its_row():
    bench = Bench({})
    add(bench, 1)
    bench.time.advance(1)
    assert bench.call(PurgeInstance(HITS)) == Purged(1)
    assert record(bench) is None
    add(bench, 5)
    bench.time.advance(1)
    assert bench.call(ReadEntity(HITS)) == EntityFound(True, "5")


def test_a_purge_of_a_locked_entity_answers_callers_and_leaves_the_lock():
    bench = locked_bench()
    bench.call(StartInstance("Holder", "h1"))
    bench.time.advance(1)
    add(bench, 7)
    bench.call(StartInstance("Caller", "c1"))
    bench.call(StartInstance("Second", "h2"))
    bench.call(SignalEntityOperation(HITS, "add", "100", due=bench.time.now + 3_600_000_000))
    bench.time.advance(1)
    assert decode_lock(record(bench).custom_status).locked_by == "h1"
    assert bench.call(PurgeInstance(HITS)) == Purged(1)
    assert "purged before the operation ran" in bench.wait("c1").record.output
    assert decode_lock(record(bench).custom_status).locked_by == "h1", "nobody gets between its operations"
    assert bench.executor.batches == []
    assert bench.call(TerminateInstance("h1", "enough")) == Done()
    bench.time.advance(1)
    assert decode_lock(record(bench).custom_status).locked_by == "h2"
    bench.time.advance(7200)
    assert bench.call(ReadEntity(HITS)) == EntityFound(False, None)


def test_a_purge_of_a_long_queue_drops_what_was_sent_before_it(monkeypatch):
    monkeypatch.setattr(registry, "INBOX_BOUND", 5)
    bench = Bench({}, max_entity_batch=1)
    bench.executor.turn_seconds = 5
    for number in range(600):
        add(bench, number)
    bench.executor.turn_seconds = 0
    purged: list = []
    bench.client.call(PurgeInstance(HITS), purged.append)
    bench.time.advance(0.01)
    add(bench, 1000)
    bench.time.advance(10)
    assert purged == [Purged(1)]
    assert bench.call(ReadEntity(HITS)) == EntityFound(True, "1000")
    assert not bench.database.tables.inbox


def test_cleaning_removes_empty_entities_and_spares_those_with_messages():
    bench = Bench({})
    for key in ("full", "empty", "later"):
        add(bench, 1, f"@counter@{key}")
    bench.time.advance(1)
    for key in ("empty", "later"):
        bench.executor.clears = True
        add(bench, 0, f"@counter@{key}")
        bench.time.advance(1)
    bench.executor.clears = False
    due = bench.time.now + 3_600_000_000
    assert bench.call(SignalEntityOperation("@counter@later", "add", "9", due=due)) == Done()
    assert bench.call(CleanEntities(True, False)) == EntitiesCleaned(1, 0)
    assert bench.call(CleanEntities(True, False)) == EntitiesCleaned(0, 0)
    bench.time.advance(3700)
    assert bench.call(ReadEntity("@counter@later")) == EntityFound(True, "9")
    assert bench.call(ReadEntity("@counter@full")) == EntityFound(True, "1")


def test_cleaning_releases_the_lock_of_a_holder_that_is_gone_and_no_other(monkeypatch):
    monkeypatch.setattr(purging, "unlocks", lambda *_: [])
    bench = locked_bench()
    bench.call(StartInstance("Holder", "h1"))
    bench.time.advance(1)
    bench.call(StartInstance("Second", "h2"))
    bench.time.advance(1)
    assert bench.call(CleanEntities()) == EntitiesCleaned(0, 0)
    assert bench.call(PurgeInstance("h1")) == Purged(1)
    bench.time.advance(1)
    assert decode_lock(record(bench).custom_status).locked_by == "h1"
    assert bench.call(CleanEntities(True, False)) == EntitiesCleaned(0, 0)
    assert bench.call(CleanEntities()) == EntitiesCleaned(0, 1)
    bench.time.advance(1)
    assert decode_lock(record(bench).custom_status).locked_by == "h2"
    assert bench.call(CleanEntities()) == EntitiesCleaned(0, 0)


def test_entity_batches_have_a_bound_of_their_own():
    bench = Bench({"Caller": caller}, max_turns=1, max_entity_batches=2)
    bench.executor.turn_seconds = 1
    for number in range(5):
        add(bench, 1, f"@counter@{number}")
    bench.time.advance(0.5)
    assert len(bench.executor.batches) == 2
    bench.call(StartInstance("Caller", "c1"))
    bench.time.advance(0.1)
    assert len(bench.executor.turns) == 1, "orchestrations do not wait for entities"
    bench.time.advance(1)
    assert len(bench.executor.batches) == 4
    bench.time.advance(20)
    assert {bench.call(ReadEntity(f"@counter@{number}")).state for number in range(5)} == {"1"}
    assert bench.status("c1") == "Completed"


def test_entity_batches_count_as_turns_without_a_bound_of_their_own():
    bench = Bench({}, max_turns=1)
    bench.executor.turn_seconds = 1
    for number in range(3):
        add(bench, 1, f"@counter@{number}")
    bench.time.advance(0.5)
    assert len(bench.executor.batches) == 1
    bench.time.advance(5)
    assert len(bench.executor.batches) == 3


def test_a_message_that_another_host_has_consumed_since_is_not_taken_again():
    """The answer of the commit that sent it came late: the entity was nobody's then."""
    bench = Bench({}, warm_idle=1.0)
    add(bench, 1)
    bench.time.advance(60)
    assert not bench.hub.registry.warm.all()
    consumed = Message(0, EntityOperationRequested("add", "100"), instance_id=HITS)
    bench.hub.registry.message_committed(consumed, MessageVerdict(777, record(bench).n, 0))
    bench.time.advance(1)
    bench.hub.registry.message_committed(consumed, MessageVerdict(778, record(bench).n, 0))
    bench.time.advance(1)
    assert bench.call(ReadEntity(HITS)) == EntityFound(True, "1")
