"""What clients do to instances that run: starts in their place, purges, records of who asked, the end of a hub."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.model.actions import (
    CompleteOrchestration,
    CreateSubOrchestration,
    LockEntities,
    ScheduleTask,
)
from perdure.model.commit_plan import CommitBatch
from perdure.model.history import HistoryEvent, SubOrchestrationInstanceFailed
from perdure.model.instance import InstanceFilter, RuntimeStatus, decode_lock
from perdure.model.operations import (
    AuditListed,
    CleanEntities,
    DeleteTaskHub,
    Done,
    ExistingPolicy,
    Found,
    GetInstance,
    ListAudit,
    Purged,
    PurgeInstance,
    PurgeInstances,
    RaiseEvent,
    RefusalCode,
    Refused,
    RestartInstance,
    ResumeInstance,
    SignalEntityOperation,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
    asked_by,
)
from perdure.storage.memory import Fate, MemoryDatabase, MemoryStore
from perdure.taskhub.client import HubClient
from perdure.taskhub.client_hub import ClientHub
from perdure.taskhub.options import HubOptions
from perdure.testing.clock import VirtualClock
from tests.unit.taskhub.scripted import Bench, NoWakes

HITS = "@counter@hits"
REPLACE = ExistingPolicy.REPLACE_ANY


def waits(step: int, events: list[HistoryEvent]) -> list[Any]:
    return []


def ends(step: int, events: list[HistoryEvent]) -> list[Any]:
    return [CompleteOrchestration("1")]


def holds(step: int, events: list[HistoryEvent]) -> list[Any]:
    return [LockEntities(0, (HITS,))] if step == 0 else []


def never_ends(step: int, events: list[HistoryEvent]) -> list[Any]:
    return [ScheduleTask(step, "A")]


def parent(step: int, events: list[HistoryEvent]) -> list[Any]:
    if step == 0:
        return [CreateSubOrchestration(0, "Waits", "child")]
    (failed,) = [event for event in events if isinstance(event, SubOrchestrationInstanceFailed)]
    return [CompleteOrchestration(f'"{failed.reason}"')]


def locked_by(bench: Bench) -> str:
    found = bench.call(GetInstance(HITS))
    assert isinstance(found, Found)
    lock = decode_lock(found.record.custom_status)
    return lock.locked_by if lock is not None else ""


def number(bench: Bench, instance_id: str) -> int:
    found = bench.call(GetInstance(instance_id))
    assert isinstance(found, Found)
    return found.record.n


# ---- starts in the place of others


def test_a_start_over_a_holder_of_locks_gives_them_back_in_one_commit() -> None:
    bench = Bench({"Holds": holds, "Waits": waits})
    for name in ("h1", "h2"):
        bench.call(StartInstance("Holds", name))
        bench.time.advance(1)
    assert locked_by(bench) == "h1"
    old = number(bench, "h1")
    commits: list[CommitBatch] = []
    commit = bench.store.commit
    bench.store.commit = lambda batch, done: (commits.append(batch), commit(batch, done))  # type: ignore[assignment,func-returns-value,method-assign]
    assert bench.call(StartInstance("Waits", "h1", policy=REPLACE)) == Started("h1")
    (replacing,) = [batch for batch in commits if batch.purges]
    assert [purge.n for purge in replacing.purges] == [old]
    assert [new.instance_id for new in replacing.creations] == ["h1"]
    bench.time.advance(1)
    assert locked_by(bench) == "h2"
    assert (bench.status("h1"), number(bench, "h1") != old) == ("Running", True)


def test_any_state_in_the_settings_means_the_same() -> None:
    bench = Bench({"Holds": holds, "Waits": waits}, existing_policy=REPLACE)
    bench.call(StartInstance("Holds", "h1"))
    bench.time.advance(1)
    assert locked_by(bench) == "h1"
    assert bench.call(StartInstance("Waits", "h1")) == Started("h1")
    bench.time.advance(1)
    assert locked_by(bench) == ""


def test_the_parent_of_a_child_that_is_replaced_is_told() -> None:
    bench = Bench({"Parent": parent, "Waits": waits})
    bench.call(StartInstance("Parent", "p"))
    bench.time.advance(1)
    assert bench.call(StartInstance("Waits", "child", policy=REPLACE)) == Started("child")
    text = "The sub-orchestration 'child' was replaced by a new start of the same id before it finished."
    assert bench.wait("p").record.output == f'"{text}"'
    assert bench.status("child") == "Running"


def test_a_start_over_what_is_free_or_has_finished_is_a_start() -> None:
    bench = Bench({"Ends": ends})
    for _ in range(2):
        assert bench.call(StartInstance("Ends", "e", policy=REPLACE)) == Started("e")
        bench.wait("e")


def test_a_purge_with_children_spares_whoever_has_their_ids_by_now() -> None:
    bench = Bench({"Parent": parent, "Waits": waits})
    bench.call(StartInstance("Parent", "p"))
    bench.time.advance(1)
    assert bench.call(PurgeInstance("p", recurse=True)) == Purged(2)
    assert bench.status("child") == ""
    bench.call(StartInstance("Parent", "p"))
    bench.time.advance(1)
    bench.call(StartInstance("Waits", "child", policy=REPLACE))
    assert bench.call(PurgeInstance("p", recurse=True)) == Purged(1)
    assert bench.status("child") == "Running"


def test_a_purge_with_children_says_when_it_did_not_come_to_its_end() -> None:
    bench = Bench({"Parent": parent, "Waits": waits})
    bench.call(StartInstance("Parent", "p"))
    bench.time.advance(1)
    finds = iter([None, Fate(error="down", applied=False)])
    bench.store._fate = lambda call: next(finds, None) if call == "find" else None
    answer = bench.call(PurgeInstance("p", recurse=True))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.text) == (RefusalCode.UNAVAILABLE, "The store could not answer: down")
    assert (bench.status("p"), bench.status("child")) == ("", "Running")


def test_of_many_starts_over_one_another_each_begins_and_one_remains() -> None:
    bench = Bench({"Holds": holds})
    answers: list[Any] = []
    for _ in range(20):
        bench.client.call(StartInstance("Holds", "h", policy=REPLACE), answers.append)
        bench.time.advance(0.003)
    bench.time.advance(20)
    assert answers == [Started("h")] * 20
    assert bench.status("h") == "Running"
    assert locked_by(bench) == "h"
    bench.call(PurgeInstance("h"))
    bench.time.advance(1)
    assert locked_by(bench) == ""


@pytest.mark.parametrize("replaced", [False, True])
def test_an_instance_that_moves_faster_than_its_history_is_read_is_deleted(replaced: bool) -> None:
    bench = Bench({"NeverEnds": never_ends, "Waits": waits})
    bench.executor.turn_seconds = 0.001
    bench.call(StartInstance("NeverEnds", "n"))
    bench.time.advance(0.1)
    bench.store._fate = lambda call: Fate(visible=0.02) if call == "read_history" else None
    operation = StartInstance("Waits", "n", policy=REPLACE) if replaced else PurgeInstance("n")
    assert bench.call(operation, within=10) == (Started("n") if replaced else Purged(1))
    bench.time.advance(1)
    assert bench.status("n") == ("Running" if replaced else "")


# ---- purges


def many(bench: Bench, count: int) -> None:
    for at in range(count):
        bench.call(StartInstance("Ends", f"e{at:03}"))
    bench.wait(f"e{count - 1:03}")


def test_a_purge_rests_after_each_step_as_long_as_the_step_took() -> None:
    bench = Bench({"Ends": ends})
    many(bench, 250)
    bench.store._fate = lambda call: Fate(visible=0.5) if call == "query" else None
    begun = bench.time.now
    assert bench.call(PurgeInstances(InstanceFilter())) == Purged(250)
    assert bench.time.now - begun == pytest.approx(3 * 500_000 + 2 * 500_000, abs=20_000)


def test_a_purge_with_a_limit_goes_on_where_it_stood() -> None:
    bench = Bench({"Ends": ends})
    many(bench, 250)
    first = bench.call(PurgeInstances(InstanceFilter(), limit=150))
    assert isinstance(first, Purged) and first.instances == 200 and first.continuation is not None
    assert bench.call(PurgeInstances(InstanceFilter(), limit=150, continuation=first.continuation)) == Purged(50)
    refused = bench.call(PurgeInstances(InstanceFilter(), continuation="garbage"))
    assert isinstance(refused, Refused) and refused.code is RefusalCode.BAD_REQUEST
    assert "unknown continuation 'garbage'" in refused.text


# ---- who asked


def audit(bench: Bench, instance_id: str | None = None) -> list[tuple[str, str, str, str | None, str]]:
    listed = bench.call(ListAudit(instance_id))
    assert isinstance(listed, AuditListed)
    return [(e.operation, e.target, e.who, e.reason, e.result) for e in listed.entries]


def test_what_somebody_does_to_an_instance_is_recorded() -> None:
    bench = Bench({"Waits": waits, "Ends": ends})
    bench.call(StartInstance("Waits", "w"))
    bench.call(StartInstance("Waits", "hand", by="anna"))
    for operation in (
        SuspendInstance("w", "lunch", by="anna"),
        ResumeInstance("w", by="bob"),
        RaiseEvent("w", "go", "1", by="anna"),
        RaiseEvent("w", "go", "1"),
        TerminateInstance("w", "enough", by="anna"),
    ):
        assert bench.call(operation) == Done()
        bench.time.advance(0.1)
    assert audit(bench, "w") == [
        ("terminate", "w", "anna", "enough", "accepted"),
        ("raiseEvent:go", "w", "anna", None, "accepted"),
        ("resume", "w", "bob", None, "accepted"),
        ("suspend", "w", "anna", "lunch", "accepted"),
    ]
    assert audit(bench, "hand") == [("start", "hand", "anna", "Waits", "accepted")]
    assert bench.call(SignalEntityOperation(HITS, "add", "1", by="anna")) == Done()
    assert audit(bench, HITS) == [("signal:add", HITS, "anna", None, "accepted")]
    bench.call(RestartInstance("w", new_id=False, by="bob"))
    assert audit(bench, "w") == [("restart:w", "w", "bob", None, "accepted")], (
        "what was recorded of the old one is gone"
    )
    bench.call(PurgeInstance("w", by="anna"))
    assert audit(bench, "w") == [("purge", "w", "anna", None, "accepted")]
    assert bench.call(CleanEntities(by="the app"))
    assert audit(bench)[0] == (
        "cleanEntities",
        "TestHubName",
        "the app",
        None,
        "0 empty entities removed, 0 locks released",
    )


def test_what_is_refused_leaves_nothing() -> None:
    bench = Bench({"Ends": ends})
    bench.call(StartInstance("Ends", "e"))
    bench.wait("e")
    for operation in (
        TerminateInstance("e", by="a"),
        SuspendInstance("nobody", by="a"),
        PurgeInstance("nobody", by="a"),
    ):
        assert isinstance(bench.call(operation), Refused)
    assert audit(bench) == []


def test_a_purge_of_many_is_one_record_whatever_its_steps() -> None:
    bench = Bench({"Ends": ends})
    many(bench, 250)
    wanted = InstanceFilter(statuses=(int(RuntimeStatus.COMPLETED),), id_prefix="e")
    continuation = None
    while True:
        answer = bench.call(PurgeInstances(wanted, limit=100, continuation=continuation, by="anna"))
        assert isinstance(answer, Purged)
        continuation = answer.continuation
        if continuation is None:
            break
        assert audit(bench) == [("purge", "TestHubName", "anna", "Completed, id prefix e", "begun")]
    assert audit(bench) == [("purge", "TestHubName", "anna", "Completed, id prefix e", "250 instances deleted")]


def test_who_asks_is_known_of_what_changes_instances_alone() -> None:
    assert asked_by(TerminateInstance("a"), "anna") == TerminateInstance("a", by="anna")
    assert asked_by(RaiseEvent("a", "go"), "anna") == RaiseEvent("a", "go")
    assert asked_by(RaiseEvent("a", "go"), "anna", by_hand=True) == RaiseEvent("a", "go", by="anna")
    assert asked_by(GetInstance("a"), "anna", by_hand=True) == GetInstance("a")


# ---- the end of a hub


def client_of(database: MemoryDatabase, bench: Bench) -> HubClient:
    clock = VirtualClock(bench.time)
    hub = ClientHub(MemoryStore(database, clock), clock, NoWakes(), HubOptions())
    hub.start(lambda failed: None)
    bench.time.advance(0.1)
    return HubClient(hub)


def answer(bench: Bench, client: HubClient, operation: Any, within: float = 30) -> Any:
    answers: list[Any] = []
    client.call(operation, answers.append)
    assert bench.time.run_until(lambda: bool(answers), within=within)
    return answers[0]


def test_a_hub_with_a_live_host_is_not_deleted() -> None:
    bench = Bench({"Waits": waits}, address="http://there")
    bench.call(StartInstance("Waits", "w"))
    client = client_of(bench.database, bench)
    refused = answer(bench, client, DeleteTaskHub())
    assert refused == Refused(
        RefusalCode.WRONG_STATE,
        "Task hub 'TestHubName' is in use: host 1 at http://there is up. "
        "Stop it, and all other hosts of the hub, then delete the hub.",
    )
    assert bench.status("w") == "Running"


def test_a_hub_whose_host_has_died_is_deleted_once_its_beat_stood_still() -> None:
    bench = Bench({"Waits": waits, "Holds": holds})
    for at in range(250):
        bench.call(StartInstance("Waits", f"w{at}"))
    bench.call(StartInstance("Holds", "h"))
    bench.call(SignalEntityOperation(HITS, "add", "1"))
    client = client_of(bench.database, bench)
    bench.clock.stop()
    begun = bench.time.now
    first = answer(bench, client, DeleteTaskHub(limit=100))
    assert first == Purged(100, "100")
    assert 9 <= (bench.time.now - begun) / 1e6 < 12
    total, continuation = first.instances, first.continuation
    while continuation is not None:
        step = answer(bench, client, DeleteTaskHub(limit=100, continuation=continuation))
        total, continuation = total + step.instances, step.continuation
    assert total == 252
    assert bench.database.tables.instances == bench.database.tables.hosts == {}
