"""The paragraph of `perdure durable why`: one case for each reason why an instance may stand still."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.engine import waiting
from perdure.engine.waiting import Place
from perdure.engine.waits import phrase
from perdure.model import history as h
from perdure.model.instance import EntityLock, InstanceKind, InstanceRecord, RuntimeStatus, encode_lock
from perdure.model.operations import Inspected, LiveHost, Neighbour, OpenActivity, WaitingMessage

S = 1_000_000
NOW = 1_767_225_600 * S  # 2026-01-01
HOST = LiveHost(7, "127.0.0.1:7071", {"orchestration": ("Order",), "activity": ("Pay",), "entity": ("counter",)})
CLIENT = LiveHost(9, "", {})


def record(status: RuntimeStatus = RuntimeStatus.RUNNING, **fields: Any) -> InstanceRecord:
    values: dict[str, Any] = {
        "n": 1,
        "instance_id": "o1",
        "kind": InstanceKind.ORCHESTRATION,
        "name": "Order",
        "version": "",
        "generation": 0,
        "turn": 2,
        "status": status,
        "owner": 7,
        "created": NOW - 600 * S,
        "updated": NOW - 60 * S,
        "first_turn": 1,
        **fields,
    }
    return InstanceRecord(**values)


def explain(
    of: InstanceRecord,
    history: list[h.HistoryEvent],
    inbox: list[WaitingMessage],
    hosts: list[LiveHost],
    now: int,
    place: Place | None = None,
    **more: Any,
) -> str:
    return waiting.explain(Inspected(of, history, inbox, hosts, now, **more), place)


def turn(*events: h.HistoryEvent, at: int = -60) -> list[h.HistoryEvent]:
    return [h.OrchestratorStarted(NOW + at * S), *events]


FIRST = turn(h.ExecutionStarted("Order"), at=-600)


@pytest.mark.parametrize(
    ("events", "inbox", "told"),
    [
        (
            [h.TaskScheduled(0, "Pay")],
            [],
            "Activity 'Pay' was scheduled 2025-12-31 23:59:00 UTC (60 s ago) and has not",
        ),
        ([h.TaskScheduled(0, "Pey")], [], "The function 'Pey' doesn't exist, is disabled, or is not an activity"),
        (
            [h.SubOrchestrationInstanceCreated(0, "Child", "c1")],
            [],
            "It waits for its child 'c1' (Child), which was started",
        ),
        (
            [h.TimerCreated(0, NOW + 3600 * S)],
            [WaitingMessage(h.TimerFired(0, NOW + 3600 * S), NOW + 3600 * S)],
            "A timer fires 2026-01-01 01:00:00 UTC (in 60 min).",
        ),
        ([h.TimerCreated(0, NOW + 3600 * S)], [], "it waits for an external event"),
        (
            [h.TaskScheduled(0, "Pay", attempt=2), *turn(h.TaskFailed(0, "no"), h.TimerCreated(1, NOW + 41 * S))],
            [WaitingMessage(h.TimerFired(1, NOW + 41 * S), NOW + 41 * S)],
            "Activity 'Pay' failed on attempt 2; attempt 3 comes 2026-01-01 00:00:41 UTC (in 41 s).",
        ),
        ([h.EntityOperationCalled(0, "@a@b", "get")], [], "It waits for the answer of entity '@a@b' to 'get', called"),
        ([h.EntityLocksRequested(0, ("@a@b", "@c@d"))], [], "It waits for the locks of '@a@b' and '@c@d', asked for"),
        ([h.EntityLocksRequested(0, ("@a@b",)), h.EntityLockGranted(0)], [], "it waits for an external event"),
        ([h.EventRaised("x"), h.EventRaised("x")], [], "Events that came so far: 'x' (2 times)."),
        ([], [WaitingMessage(h.EventRaised("y"))], "Events that no turn has taken yet: 'y'."),
        (
            [h.TaskScheduled(0, "Pay")],
            [WaitingMessage(h.TaskCompleted(0))],
            "1 result came that no turn has taken yet.",
        ),
        ([h.TaskScheduled(number, "Pay") for number in range(9)], [], "4 more tasks are open."),
    ],
)
def test_open_tasks(events: list[h.HistoryEvent], inbox: list[WaitingMessage], told: str) -> None:
    text = explain(record(), [*FIRST, *turn(*events)], inbox, [HOST], NOW)
    assert told in text
    assert text.startswith("'o1' (Order) has been waiting since 2025-12-31 23:59:00 UTC (60 s ago).")
    takes = any(message.due <= NOW for message in inbox)
    owned = "Host 7 at 127.0.0.1:7071 owns it."
    assert text.endswith(f"{owned} A turn is under way there, or about to begin." if takes else owned)


def test_attempts_of_a_retried_call() -> None:
    due = NOW + 41 * S
    events = turn(h.TaskScheduled(0, "Pay"), *turn(h.TaskFailed(0, "no"), h.TimerCreated(1, due)))
    inbox = [WaitingMessage(h.TimerFired(1, due), due)]
    text = explain(record(), [*FIRST, *events], inbox, [HOST], NOW, Place(attempts={"Pay": 5}))
    assert "Activity 'Pay' failed on attempt 1; attempt 2 of 5 comes 2026-01-01 00:00:41 UTC (in 41 s)." in text


SILENT = LiveHost(3, "b:1", HOST.names, NOW - 20 * S)
LATE = LiveHost(8, "c:1", HOST.names, NOW - 5 * S)


@pytest.mark.parametrize(
    ("activity", "hosts", "told"),
    [
        (OpenActivity(0), [HOST], "nobody has taken it: it waits for a host with a free slot."),
        (OpenActivity(0), [], "nobody has taken it: it waits for a host. No host of this task hub is up"),
        (OpenActivity(0, not_before=NOW + S), [HOST], "it is held back until 2026-01-01 00:00:01 UTC (in 1.0 s)."),
        (OpenActivity(0, suspect=2), [HOST], "free slot. A worker died while it ran (2 times), so it runs alone"),
        (OpenActivity(0, 7), [HOST], "was taken by host 7 at 127.0.0.1:7071: it has only just begun there, or waits"),
        (
            OpenActivity(0, 7, began=NOW - 50 * S, worker="worker-1 (process 12)"),
            [HOST],
            "runs since 2025-12-31 23:59:10 UTC (50 s ago) on host 7 at 127.0.0.1:7071, worker-1 (process 12).",
        ),
        (
            OpenActivity(0, 7, began=NOW - 50 * S, finished=NOW - S),
            [HOST],
            "ended 2025-12-31 23:59:59 UTC (1.0 s ago) on host 7 at 127.0.0.1:7071: a turn is about to take its "
            "result. Host 7 at 127.0.0.1:7071 owns it. A turn is under way there, or about to begin.",
        ),
        (OpenActivity(0, 5), [HOST], "was taken by host 5, which is gone: another host runs it anew."),
        (
            OpenActivity(0, 8, began=NOW - 50 * S),
            [HOST, LATE],
            "on host 8 at c:1, last heard of 5.0 s ago (it may have been killed: another host declares it dead after "
            "9 s).",
        ),
        (
            OpenActivity(0, 3, began=NOW - 50 * S),
            [HOST, SILENT],
            "on host 3 at b:1, last heard of 20 s ago (it has been killed or hangs: the next host that is up declares",
        ),
        (
            OpenActivity(0, 3, began=NOW - 50 * S),
            [SILENT],
            "No host of this task hub is up (host 3 at b:1 was last heard of 20 s ago): it goes on when one starts.",
        ),
    ],
)
def test_who_has_an_activity(activity: OpenActivity, hosts: list[LiveHost], told: str) -> None:
    history = [*FIRST, *turn(h.TaskScheduled(0, "Pay"))]
    text = explain(record(), history, [], hosts, NOW, activities=[activity])
    assert "Activity 'Pay' was scheduled 2025-12-31 23:59:00 UTC (60 s ago) and " in text
    assert told in text


def test_the_first_of_several_attempts_is_told_where_the_code_is_known() -> None:
    history = [*FIRST, *turn(h.TaskScheduled(0, "Pay"))]
    text = explain(record(), history, [], [HOST], NOW, Place(attempts={"Pay": 5}))
    assert "Activity 'Pay' (attempt 1 of 5) was scheduled" in text


def test_how_its_neighbours_are() -> None:
    events = [
        h.SubOrchestrationInstanceCreated(0, "Child", "c1"),
        h.EntityLocksRequested(1, ("@a@b", "@c@d")),
        h.EntityOperationCalled(2, "@e@f", "get"),
    ]
    neighbours = [
        Neighbour("c1", "it waits for activity 'Pay'"),
        Neighbour("@a@b", "", "o1"),
        Neighbour("@c@d", "", "o2"),
        Neighbour("@e@f", "", "o3"),
        Neighbour("o2", "it is suspended"),
    ]
    text = explain(record(), [*FIRST, *turn(*events)], [], [HOST], NOW, neighbours=neighbours)
    assert "which was started 2025-12-31 23:59:00 UTC (60 s ago): it waits for activity 'Pay'." in text
    assert "The lock of '@a@b' is held by it. The lock of '@c@d' is held by 'o2' (it is suspended)." in text
    assert "It waits for the answer of entity '@e@f' to 'get'" in text
    assert "The lock of '@e@f' is held by 'o3'." in text


@pytest.mark.parametrize(
    ("fields", "events", "inbox", "told"),
    [
        ({"status": RuntimeStatus.COMPLETED, "completed": NOW - S}, [], [], "it ended 1.0 s ago (Completed)"),
        ({"parked": "x"}, [], [], "it is parked: its code no longer fits its history"),
        ({"status": RuntimeStatus.SUSPENDED}, [], [], "it is suspended"),
        ({"status": RuntimeStatus.PENDING}, [], [], "it has not started"),
        (
            {"status": RuntimeStatus.PENDING, "not_before": NOW + 9 * S},
            [],
            [],
            "it has not started (it is to start in 9.0 s)",
        ),
        ({}, [h.TaskScheduled(0, "Pay"), h.TaskScheduled(1, "Pay")], [], "it waits for activity 'Pay' and 1 more"),
        ({}, [h.SubOrchestrationInstanceCreated(0, "Child", "c2")], [], "it waits for its child 'c2'"),
        ({}, [h.EntityOperationCalled(0, "@a@b", "get")], [], "it waits for the answer of entity '@a@b'"),
        ({}, [h.EntityLocksRequested(0, ("@a@b", "@c@d"))], [], "it waits for the locks of '@a@b' and '@c@d'"),
        (
            {},
            [h.TimerCreated(0, NOW + 300 * S)],
            [WaitingMessage(h.TimerFired(0, NOW + 300 * S), NOW + 300 * S)],
            "it waits for a timer that fires in 5 min",
        ),
        (
            {},
            [h.TaskScheduled(0, "Pay"), *turn(h.TaskFailed(0, "no"), h.TimerCreated(1, NOW + 41 * S))],
            [WaitingMessage(h.TimerFired(1, NOW + 41 * S), NOW + 41 * S)],
            "it waits for attempt 2 of 'Pay' in 41 s",
        ),
        ({}, [], [WaitingMessage(h.EventRaised("go"))], "a turn takes what came for it"),
        ({}, [], [], "it waits for an external event"),
    ],
)
def test_in_a_phrase(
    fields: dict[str, Any], events: list[h.HistoryEvent], inbox: list[WaitingMessage], told: str
) -> None:
    assert phrase(record(**fields), [*FIRST, *turn(*events)], inbox, NOW) == told


def test_the_place_in_the_code() -> None:
    place = Place("app.py:12 in order", "context.wait_for_external_event('go')", ("go",), ("other",), NOW - 300 * S)
    text = explain(record(), FIRST, [], [HOST], NOW, place)
    assert "Its code stands at app.py:12 in order, for context.wait_for_external_event('go')." in text
    assert "It waits for the event 'go' since 2025-12-31 23:55:00 UTC (5 min ago)." in text
    assert "Events that came under other names and wait: 'other'." in text


@pytest.mark.parametrize(
    ("fields", "hosts", "told"),
    [
        ({"parked": "Turn 3 differs at app.py:9."}, [HOST], "is parked: its code no longer does what its history says"),
        ({"parked": "Turn 3 differs at app.py:9."}, [HOST], "Turn 3 differs at app.py:9."),
        ({"owner": 0}, [HOST], "No host owns it: a host takes it when something comes for it."),
        ({"owner": 3}, [HOST], "Its owner (host 3) is gone: another host takes it over when something comes for it."),
        ({"suspect": 2}, [HOST], "A worker died while it ran (2 times)"),
        ({"not_before": NOW + 10 * S}, [HOST], "It is held back until 2026-01-01 00:00:10 UTC (in 10 s)."),
        ({}, [], "No host of this task hub is up: it goes on when one starts."),
        ({}, [CLIENT], "No host of this task hub is up"),
        ({"name": "Odrer"}, [HOST], "The function 'Odrer' doesn't exist, is disabled, or is not an orchestrator"),
        ({"status": RuntimeStatus.PENDING, "not_before": NOW + S}, [HOST], "It is to start 2026-01-01 00:00:01 UTC"),
        ({"status": RuntimeStatus.PENDING, "owner": 0}, [HOST], "No host owns it yet: a host takes it as soon as"),
        (
            {"status": RuntimeStatus.PENDING},
            [HOST],
            "owns it: its first turn is under way there, or waits",
        ),
        ({"status": RuntimeStatus.PENDING}, [], "has not started. No host of this task hub is up"),
        (
            {"status": RuntimeStatus.COMPLETED, "completed": NOW - S},
            [],
            "completed 2025-12-31 23:59:59 UTC (1.0 s ago)",
        ),
        ({"status": RuntimeStatus.FAILED, "output": '"boom"'}, [], 'It said: "boom". Rewind runs again what failed.'),
        ({"status": RuntimeStatus.TERMINATED}, [], "was terminated"),
    ],
)
def test_states(fields: dict[str, Any], hosts: list[LiveHost], told: str) -> None:
    assert told in explain(record(**fields), FIRST, [], hosts, NOW)


def test_suspended() -> None:
    history = [*FIRST, *turn(h.ExecutionSuspended("lunch", NOW - 30 * S))]
    inbox = [WaitingMessage(h.EventRaised("go")), WaitingMessage(h.TimerFired(0, NOW + S), NOW + S)]
    text = explain(record(RuntimeStatus.SUSPENDED), history, inbox, [HOST], NOW)
    assert text == (
        "'o1' (Order) is suspended since 2025-12-31 23:59:30 UTC (30 s ago) (lunch): 1 message waits. "
        "It goes on when it is resumed."
    )
    inbox = [*inbox, WaitingMessage(h.ExecutionResumed()), WaitingMessage(h.ExecutionTerminated())]
    assert explain(record(RuntimeStatus.SUSPENDED), history, inbox, [], NOW) == (
        f"{text} A resume was asked for that no turn has taken yet. "
        "A terminate was asked for that no turn has taken yet."
    )


@pytest.mark.parametrize(
    ("fields", "inbox", "told"),
    [
        ({}, [], "Entity '@counter@a' has nothing to do."),
        ({}, [WaitingMessage(h.EntityOperationRequested("add"), NOW + S)], "The next signal comes 2026-01-01 00:00:01"),
        (
            {"lock_holder": 5, "custom_status": encode_lock(EntityLock("o5"))},
            [WaitingMessage(h.EntityOperationRequested("add"))],
            "is locked by 'o5' (it is suspended): operations of others wait for it. 1 operation waits: 'add'. "
            "Host 7 at 127.0.0.1:7071 owns it.",
        ),
        (
            {},
            [WaitingMessage(h.EntityOperationRequested("add"))],
            "1 operation waits: 'add'. Host 7 at 127.0.0.1:7071 owns it. A turn is under way there, or about to begin.",
        ),
    ],
)
def test_entities(fields: dict[str, Any], inbox: list[WaitingMessage], told: str) -> None:
    entity = record(kind=InstanceKind.ENTITY, instance_id="@counter@a", name="counter", **fields)
    told_of = explain(entity, [], inbox, [HOST], NOW, neighbours=[Neighbour("o5", "it is suspended")])
    assert told in told_of
