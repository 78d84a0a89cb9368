"""Several hosts on one store, starting beyond memory, draining, losing the token."""

from __future__ import annotations

from collections import Counter

from msgspec.json import encode
from msgspec.structs import replace

from perdure.model.actions import (
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateSubOrchestration,
    CreateTimer,
    LockEntities,
    ScheduleTask,
)
from perdure.model.history import EventRaised, ExecutionStarted, TimerFired
from perdure.model.history_view import full_time, history_json
from perdure.model.instance import InstanceFilter
from perdure.model.operations import (
    Done,
    EntityFound,
    GetInstance,
    ListInstances,
    Purged,
    PurgeInstance,
    PurgeInstances,
    RaiseEvent,
    ReadEntity,
    RefusalCode,
    Refused,
    ResumeInstance,
    SignalEntityOperation,
    Started,
    StartInstance,
    SuspendInstance,
)
from perdure.storage.memory import Fate
from perdure.storage.provider import StoreError
from perdure.testing.clock import VirtualClock
from tests.unit.taskhub.scripted import Bench


def chain(step, events):
    return [ScheduleTask(step, "A", f'"{step}"')] if step < 3 else [CompleteOrchestration('"done"')]


def waiting(step, events):
    raised = [e for e in events if isinstance(e, EventRaised)]
    return [CompleteOrchestration(raised[0].input)] if raised else []


def test_more_instances_than_fit_in_memory_all_complete():
    bench = Bench({"Chain": chain}, max_warm=10, max_turns=4)
    for i in range(60):
        assert bench.call(StartInstance("Chain", f"c{i}")) == Started(f"c{i}")
    bench.time.advance(30)
    assert {bench.status(f"c{i}") for i in range(60)} == {"Completed"}
    assert len(bench.hub.registry.warm) <= 10


def test_other_hosts_learn_of_functions_that_came_with_new_code():
    one = Bench({"Chain": chain})
    other = Bench({"Chain": chain}, database=one.database)
    one.time.advance(4)
    names = {**one.hub.options.names, "activity": ("A", "New")}
    one.hub.app_changed(replace(one.hub.options, names=names))
    one.time.advance(2)
    assert other.hub.shift.catalog.unknown("activity", "New") is None
    other.hub.app_changed(replace(other.hub.options, names={"activity": ("A",)}))
    one.time.advance(2)
    for bench in (one, other):
        assert bench.hub.shift.catalog.unknown("activity", "Fail") is not None, "nobody has that any more"
        assert bench.hub.shift.catalog.unknown("activity", "New") is None


def test_new_functions_are_told_again_until_the_store_has_them_and_by_hosts_that_come_back():
    one = Bench({"Chain": chain})
    other = Bench({"Chain": chain}, database=one.database)
    one.time.advance(4)
    store, come_back = one.store, one.store.come_back
    answers = [StoreError("not now")]

    def fails_once(token, names, done):
        if answers:
            one.clock.soon(lambda: done(answers.pop()))
        else:
            come_back(token, names, done)

    def load(name):
        names = {**one.hub.options.names, "activity": ("A", name)}
        one.hub.app_changed(replace(one.hub.options, names=names))

    def known(*names):
        one.time.advance(2)
        return [name for name in names if other.hub.shift.catalog.unknown("activity", name) is None]

    store.come_back = fails_once
    load("First")
    load("Second")
    assert (known("First", "Second"), answers) == (["Second"], [])
    drained, resumed = [], []
    load("Third")
    one.hub.drain(lambda: drained.append(True))
    one.time.advance(1)
    load("Fourth")
    assert known("Third", "Fourth") == ["Third"], "it is away"
    one.hub.resume(lambda: resumed.append(True))
    load("Fifth")
    assert (drained, resumed, known("Fourth", "Fifth")) == ([True], [True], ["Fifth"])
    load("Sixth")
    one.hub.resume(lambda: resumed.append(True))
    assert (resumed, known("Sixth")) == ([True, True], ["Sixth"]), "it was not away"


def test_a_start_for_later_waits_in_the_store():
    bench = Bench({"Chain": chain})
    bench.call(StartInstance("Chain", "c1", start_at=bench.time.now + 600_000_000))
    bench.time.advance(590)
    assert bench.status("c1") == "Pending" and len(bench.hub.registry.warm) == 0
    bench.time.advance(9.9)
    assert bench.status("c1") == "Pending"
    bench.time.advance(0.2)
    assert bench.status("c1") == "Completed"


def test_the_history_says_for_when_a_start_was_scheduled():
    bench = Bench({"Chain": chain})
    planned = bench.time.now + 600_000_000

    def started(instance_id):
        (event, *_) = (e for e in bench.wait(instance_id).history if isinstance(e, ExecutionStarted))
        return event

    bench.call(StartInstance("Chain", "now"))
    bench.call(StartInstance("Chain", "later", start_at=planned))
    assert (started("now").scheduled_start_time, "ScheduledStartTime" in str(encode(started("now")))) == (0, False)
    bench.time.advance(600)
    assert started("later").scheduled_start_time == planned
    record = bench.call(GetInstance("later")).record
    (shown, *_) = history_json(record, [started("later")], show_input=True, show_output=True)
    assert shown["ScheduledStartTime"] == full_time(planned)


def test_only_the_first_generation_was_scheduled():
    def again(step, events):
        first = any(isinstance(e, ExecutionStarted) and e.input is None for e in events)
        return [ContinueAsNewWith("1")] if first else [CompleteOrchestration("2")]

    bench = Bench({"Again": again})
    bench.call(StartInstance("Again", "a", start_at=bench.time.now + 1_000_000))
    (event, *_) = (e for e in bench.wait("a").history if isinstance(e, ExecutionStarted))
    assert (event.input, event.scheduled_start_time) == ("1", 0)


def test_evicted_sleepers_are_loaded_by_their_timer_and_events():
    def sleeper(step, events):
        if step == 0:
            return [CreateTimer(0, bench.time.now + 3_600_000_000)]
        fired = any(isinstance(e, TimerFired) for e in events)
        return [CompleteOrchestration('"fired"' if fired else '"raised"')]

    bench = Bench({"Sleeper": sleeper}, warm_idle=60.0)
    bench.call(StartInstance("Sleeper", "s1"))
    bench.call(StartInstance("Sleeper", "s2"))
    bench.time.advance(600)
    assert len(bench.hub.registry.warm) == 0
    assert bench.call(RaiseEvent("s2", "go")) == Done()
    bench.time.advance(1)
    assert bench.status("s2") == "Completed"
    bench.time.advance(3001)
    assert bench.wait("s1").record.output == '"fired"'


def _sleeps_half_an_hour() -> tuple[VirtualClock, Bench]:
    """The clock of the store, and a host with one of its own on which an orchestration sleeps."""
    first = Bench({})

    def sleeper(step, events):
        return [CompleteOrchestration()] if step else [CreateTimer(0, bench.time.now + 1_800_000_000)]

    bench = Bench({"Sleeper": sleeper}, first.database)
    first.hub.stop(lambda: None)
    bench.call(StartInstance("Sleeper", "s1"))
    bench.time.advance(60)
    return first.clock, bench


def test_a_host_whose_own_clock_is_set_goes_by_that_of_the_store():
    for hour in (3600, -3600):
        _, bench = _sleeps_half_an_hour()
        bench.clock.set(hour)
        bench.time.advance(1700)
        assert bench.status("s1") == "Running"
        bench.time.advance(41)
        assert bench.status("s1") == "Completed"


def test_a_clock_of_the_store_that_is_set_is_noticed_within_seconds():
    clock, bench = _sleeps_half_an_hour()
    clock.set(1700)
    bench.time.advance(5)
    assert bench.status("s1") == "Running"
    clock.set(1800)
    bench.time.advance(5)
    assert bench.status("s1") == "Completed"


def test_drain_writes_results_and_another_host_goes_on():
    first = Bench({"Chain": chain})
    first.executor.hold.add("A")
    first.call(StartInstance("Chain", "c1"))
    first.time.advance(0.1)
    drained, stopped = [], []
    first.hub.drain(lambda: drained.append(1))
    first.time.advance(0.1)
    assert not drained
    first.executor.release()
    first.time.advance(0.1)
    assert drained and len(first.database.tables.inbox) == 1
    first.hub.stop(lambda: stopped.append(1))
    first.time.advance(0.1)
    assert stopped
    second = Bench({"Chain": chain}, first.database)
    assert second.wait("c1").record.output == '"done"'
    assert len(second.executor.ran) == 2


def test_a_host_that_retires_gives_idle_instances_away_while_a_long_turn_ends_there():
    first = Bench({"Waiting": waiting, "Chain": chain})
    for name in ("w1", "w2"):
        first.call(StartInstance("Waiting", name))
    first.time.advance(1)
    first.executor.turn_seconds = 8.0
    first.call(StartInstance("Chain", "long"))
    second = Bench({"Waiting": waiting, "Chain": chain}, first.database)
    first.hub.woken()
    first.time.advance(2)
    assert len(first.executor.turns) == 3
    first.hub.retire()
    assert first.call(RaiseEvent("w1", "go", "1")) == Done(), "clients are still served"
    assert second.call(RaiseEvent("w2", "go", "2")) == Done()
    _, n = second.hub.wakes.woken[-1]
    first.hub.woken(n)
    assert first.call(StartInstance("Chain", "new")) == Started("new")
    first.time.advance(0.6)
    second.hub.woken()
    assert second.wait("w1", within=0.2).record.output == "1"
    assert second.wait("w2", within=0.2).record.output == "2"
    assert second.wait("new", within=0.2).record.output == '"done"'
    assert first.hub.ownership.others == (second.hub.token,)
    # the turn under way is applied by the host that began it, and the next one is another's
    assert second.status("long") == "Pending" and len(first.executor.turns) == 3
    assert second.wait("long", within=8).record.output == '"done"'
    assert len(first.executor.turns) == 3
    assert not first.executor.ran


def test_a_lone_host_retires_when_it_is_drained():
    bench = Bench({"Chain": chain})
    bench.hub.retire()
    bench.call(StartInstance("Chain", "c1"))
    assert bench.wait("c1").record.output == '"done"'


def test_instances_of_a_silent_host_go_on_elsewhere():
    first = Bench({"Chain": chain})
    first.executor.hold.add("A")
    first.call(StartInstance("Chain", "c1"))
    first.time.advance(0.1)
    second = Bench({"Chain": chain}, first.database)
    first.clock.stop()
    second.time.advance(5)
    assert second.status("c1") == "Running" and not second.executor.ran
    assert second.wait("c1", within=12).record.output == '"done"'


def test_a_silent_host_is_taken_over_from_within_ten_seconds_whenever_it_fell_silent():
    for tenths in range(0, 40, 3):
        first = Bench({"Waiting": waiting})
        second = Bench({"Waiting": waiting}, first.database)
        first.time.advance(10 + tenths / 10)
        # the commit raises the beat a moment before the end
        first.call(StartInstance("Waiting", "w1"))
        first.clock.stop()
        assert second.call(RaiseEvent("w1", "go", "5")) == Done()
        assert second.wait("w1", within=10).record.output == "5", f"silent after {tenths} tenths of a second"


def test_a_host_that_falls_silent_soon_after_it_came_is_taken_over_from_within_ten_seconds():
    for tenths in range(0, 31, 3):
        first = Bench({"Waiting": waiting})
        first.time.advance(10 + tenths / 10)
        second = Bench({"Waiting": waiting}, first.database)
        told(second, first)
        second.time.advance(0.5)
        second.call(StartInstance("Waiting", "w1"))
        second.clock.stop()
        assert first.call(RaiseEvent("w1", "go", "5")) == Done()
        assert first.wait("w1", within=10).record.output == "5", f"came after {tenths} tenths of a second"


def test_a_lone_host_learns_at_once_that_another_came():
    first = Bench({"Chain": chain})
    first.time.advance(10.2)
    second = Bench({"Chain": chain}, first.database)
    told(second, first)
    assert first.hub.ownership.others == (second.hub.token,)
    # the same under a new token
    first.time.advance(0.2)
    first.call(StartInstance("Chain", "c1"))
    old = second.hub.token
    second.clock.pause(30)
    first.time.advance(29)
    assert first.hub.ownership.others == ()
    second.time.run_until(lambda: second.hub.token not in (0, old), within=5)
    told(second, first)
    assert first.hub.ownership.others == (second.hub.token,)


def told(sender: Bench, receiver: Bench) -> None:
    """What one host tells all others arrives."""
    for token, n in sender.hub.wakes.woken:
        if token == 0:
            receiver.hub.woken(n)
    sender.hub.wakes.woken.clear()
    receiver.time.advance(0.05)


def test_a_host_declared_dead_registers_again_and_cannot_write_under_its_old_token():
    first = Bench({"Chain": chain, "Waiting": waiting})
    first.call(StartInstance("Waiting", "w1"))
    second = Bench({"Chain": chain, "Waiting": waiting}, first.database)
    old = first.hub.token
    first.clock.pause(30)
    second.time.advance(20)
    assert second.call(RaiseEvent("w1", "go", "5")) == Done()
    assert second.wait("w1").record.output == "5"
    second.time.advance(15)
    assert first.hub.token != old and first.hub.token > second.hub.token
    assert first.call(StartInstance("Chain", "c1")) == Started("c1")
    assert first.wait("c1").record.output == '"done"'
    assert first.call(GetInstance("w1")).record.status.label == "Completed"


def test_what_clients_asked_of_a_host_that_lost_its_token_is_answered():
    first = Bench({"Chain": chain, "Waiting": waiting})
    for name in ("w1", "w2"):
        first.call(StartInstance("Waiting", name))
    second = Bench({"Chain": chain, "Waiting": waiting}, first.database)
    answers: list[object] = []
    first.clock.pause(30)
    for operation in (StartInstance("Chain", "c1"), RaiseEvent("w1", "go", "5"), PurgeInstance("w2")):
        first.client.call(operation, answers.append)
    second.time.advance(32)
    assert first.hub.token > second.hub.token
    assert len(answers) == 3
    for answer in answers[:2]:
        assert isinstance(answer, Refused) and answer.code is RefusalCode.UNAVAILABLE
        assert "gave up its place in the task hub" in answer.text
    assert first.call(StartInstance("Chain", "c1")) == Started("c1"), "asked again"


def test_a_host_that_cannot_reach_the_store_keeps_no_client_waiting():
    bench = Bench({"Chain": chain})
    bench.time.advance(5)
    bench.store._fate = lambda call: Fate(error="the store is down", answer=0.05, applied=False, lost=True)
    bench.time.advance(9)
    answer = bench.call(StartInstance("Chain", "c1"), within=1)
    assert answer == Refused(RefusalCode.UNAVAILABLE, "The store has not taken anything for some time. Ask again.")
    listed = bench.call(ListInstances(InstanceFilter()), within=1)
    assert isinstance(listed, Refused) and listed.code is RefusalCode.UNAVAILABLE
    bench.store._fate = None
    bench.time.advance(4)
    assert bench.call(StartInstance("Chain", "c1")) == Started("c1")


def test_an_event_raised_at_another_host_reaches_the_owner():
    first = Bench({"Waiting": waiting})
    first.call(StartInstance("Waiting", "w1"))
    second = Bench({"Waiting": waiting}, first.database)
    assert second.call(RaiseEvent("w1", "go", "5")) == Done()
    token, n = second.hub.wakes.woken[-1]
    assert token == first.hub.token
    first.hub.woken(n)
    assert first.wait("w1").record.output == "5"


def test_an_event_that_comes_by_another_host_goes_before_those_raised_after_it():
    first = Bench({"Waiting": waiting})
    first.call(StartInstance("Waiting", "w1"))
    second = Bench({"Waiting": waiting}, first.database)
    first.call(SuspendInstance("w1", "wait"))
    assert second.call(RaiseEvent("w1", "go", "5")) == Done()
    assert first.call(RaiseEvent("w1", "go", "6")) == Done()
    _, n = second.hub.wakes.woken[-1]
    first.hub.woken(n)
    first.time.advance(0.1)
    first.call(ResumeInstance("w1", "go on"))
    assert first.wait("w1").record.output == "5"


def test_the_owner_is_told_of_a_message_that_is_due_before_it_looks():
    first = Bench({})
    add = SignalEntityOperation("@counter@c", "add", "1")
    first.call(add)
    second = Bench({}, first.database)
    first.time.advance(5)
    second.hub.wakes.woken.clear()
    second.call(replace(add, due=first.time.now + 3_600_000_000))
    assert second.hub.wakes.woken == []
    second.call(replace(add, due=first.time.now + 400_000))
    token, n = second.hub.wakes.woken[-1]
    assert token == first.hub.token
    first.hub.woken(n)
    first.time.advance(0.38)
    assert len(first.executor.batches) == 1
    first.time.advance(0.02)
    assert len(first.executor.batches) == 2


def test_a_store_outage_makes_nobody_dead_and_nothing_run_twice():
    first = Bench({"Chain": chain})
    second = Bench({"Chain": chain}, first.database)
    first.executor.hold.add("A")
    first.call(StartInstance("Chain", "c1"))
    first.time.advance(0.1)
    tokens = first.hub.token, second.hub.token
    down = Fate(error="the store is down", answer=0.05, applied=False, lost=True)
    first.store._fate = second.store._fate = lambda call: down
    first.time.advance(60)
    first.store._fate = second.store._fate = None
    first.time.advance(3)
    first.executor.hold.clear()
    first.executor.release()
    assert first.wait("c1").record.output == '"done"'
    assert (first.hub.token, second.hub.token) == tokens
    assert len(first.executor.ran) + len(second.executor.ran) == 3


def test_what_arrives_while_no_token_is_held_is_left_to_others():
    """The answer to a search comes when the host has lost its token and has no new one yet."""
    first = Bench({"Waiting": waiting})
    first.call(StartInstance("Waiting", "w1"))
    n = first.call(GetInstance("w1")).record.n
    first.database.tables.hosts[first.hub.token].dead = True
    asked: list[str] = []

    def no_new_token(call: str) -> Fate | None:
        asked.append(call)
        return Fate(error="away", answer=0.1, applied=False, lost=True) if call == "register" else None

    first.store._fate = no_new_token
    assert first.time.run_until(lambda: not first.hub.token, within=10)
    first.time.advance(0.1)
    asked.clear()
    first.hub.registry.arrived(n)
    first.time.advance(1)
    assert set(asked) == {"register"} and (0, n) in first.hub.wakes.woken


#: calls that change nothing
_READING = frozenset({"hosts", "time", "waiting", "due_timers", "find", "read_inbox", "read_history", "recorded"})


def test_a_store_that_can_only_be_read_makes_nobody_dead():
    first = Bench({"Chain": chain})
    second = Bench({"Chain": chain}, first.database)
    first.executor.hold.add("A")
    first.call(StartInstance("Chain", "c1"))
    first.time.advance(1.1)
    tokens = first.hub.token, second.hub.token
    asked: Counter[str] = Counter()
    down = Fate(error="read-only", answer=0.01, applied=False, lost=True)

    def fate(call: str) -> Fate | None:
        asked[call] += 1
        return None if call in _READING else down

    first.store._fate = second.store._fate = fate
    first.time.advance(60)
    assert asked["hosts"] > 100 and asked["beat"] > 30
    first.store._fate = second.store._fate = None
    first.time.advance(20)
    assert (first.hub.token, second.hub.token) == tokens
    first.executor.hold.clear()
    first.executor.release()
    assert first.wait("c1").record.output == '"done"'
    assert len(first.executor.ran) + len(second.executor.ran) == 3


def test_hosts_that_slept_at_the_same_time_do_not_declare_one_another_dead():
    """As on a machine that is suspended: after it, each sees a beat that stood still for long."""
    first = Bench({"Chain": chain})
    second = Bench({"Chain": chain}, first.database)
    first.executor.hold.add("A")
    first.call(StartInstance("Chain", "c1"))
    for wakes_first in (0, 0.4):
        first.time.advance(5.3)
        tokens = first.hub.token, second.hub.token
        first.clock.pause(30)
        second.clock.pause(30 + wakes_first)
        first.time.advance(45)
        assert (first.hub.token, second.hub.token) == tokens
    assert len(first.executor.ran) == 1 and not second.executor.ran


def _idle_calls(sleepers: int) -> tuple[int, int]:
    """Store calls and clock steps in a quiet minute while this many instances wait for an event."""
    bench = Bench({"Waiting": waiting}, max_warm=50)
    for i in range(sleepers):
        bench.call(StartInstance("Waiting", f"w{i}"))
    bench.time.advance(30)
    calls: list[str] = []
    bench.store._fate = calls.append
    bench.time.advance(0.0)
    steps = bench.time.steps
    bench.time.advance(60)
    assert len(bench.hub.registry.warm) <= 50
    return len(calls), bench.time.steps - steps


def test_what_sleeps_costs_no_calls_and_no_wake_ups():
    few, many = _idle_calls(5), _idle_calls(2000)
    # jitter of the scans may add one in a minute
    assert abs(few[0] - many[0]) <= 4 and abs(few[1] - many[1]) <= 8
    assert many[0] < 60 * 4


def test_an_instance_of_a_dead_host_hears_an_event_at_once():
    first = Bench({"Waiting": waiting})
    first.call(StartInstance("Waiting", "w1"))
    first.time.advance(0.1)
    first.clock.stop()
    second = Bench({"Waiting": waiting}, first.database, scan_interval=1000.0)
    second.time.advance(20)
    assert second.call(GetInstance("w1")).record.owner == first.hub.token
    assert second.call(RaiseEvent("w1", "go", "5")) == Done()
    second.time.advance(0.01)
    assert second.status("w1") == "Completed"


def test_sleepers_make_room_for_new_instances():
    bench = Bench({"Chain": chain, "Waiting": waiting}, max_warm=10, scan_interval=1000.0)
    for i in range(40):
        bench.call(StartInstance("Waiting", f"w{i}"))
    bench.time.advance(1)
    bench.call(StartInstance("Chain", "c1"))
    bench.time.advance(0.01)
    assert bench.status("c1") == "Completed" and len(bench.hub.registry.warm) <= 10


def _settle(count: int) -> tuple[float, Counter[str]]:
    """Virtual seconds from many starts at once until all wait for their event, and the store calls in that time. Turns
    take 1 ms, ten at once; claims take 5 ms."""
    bench = Bench({"Waiting": waiting}, max_warm=50, max_turns=10, scan_interval=1000.0)
    bench.executor.turn_seconds = 0.001
    calls: Counter[str] = Counter()

    def fate(call: str) -> Fate | None:
        calls[call] += 1
        return Fate(answer=0.005) if call == "claim_ready" else None

    bench.store._fate = fate
    began, names = bench.time.now, iter(range(count))

    def start_next(answer: object = None) -> None:
        name = next(names, None)
        if name is not None:
            bench.client.call(StartInstance("Waiting", f"w{name}"), start_next)

    for _ in range(20):
        start_next()
    instances = bench.database.tables.instances
    assert bench.time.run_until(
        lambda: len(instances) == count and all(one.turn for one in instances.values()), within=60
    )
    assert len(bench.hub.registry.warm) <= 50
    return (bench.time.now - began) / 1e6, calls


def test_starts_beyond_what_fits_in_memory_settle_as_fast_as_turns_run():
    seconds, calls = _settle(3000)
    # ten turns at once of 1 ms each: fetching the next instances keeps no turn waiting
    assert seconds < 0.3 * 1.05
    # claimed 200 at a time, nothing claimed one by one
    assert calls["claim_ready"] <= 3000 / 200 + 3 and not calls["claim"]


def test_a_purge_that_the_store_did_not_take_is_not_answered_with_nothing_purged():
    bench = Bench({"Chain": chain})
    bench.call(StartInstance("Chain", "c1"))
    bench.wait("c1")
    bench.store._fate = lambda call: Fate(error="out of order", applied=False) if call == "commit" else None
    answer = bench.call(PurgeInstance("c1"))
    assert isinstance(answer, Refused) and answer.code is RefusalCode.UNAVAILABLE
    bench.store._fate = None
    assert bench.call(PurgeInstance("c1")) == Purged(1)


def test_a_listing_that_the_store_did_not_answer_is_an_outage_and_a_wrong_continuation_a_mistake():
    bench = Bench({"Chain": chain})
    listing = ListInstances(InstanceFilter(), 5, "nowhere")
    assert bench.call(listing).code is RefusalCode.BAD_REQUEST
    bench.store._fate = lambda call: Fate(error="out of order", applied=False) if call == "query" else None
    assert bench.call(listing).code is RefusalCode.UNAVAILABLE
    purge = PurgeInstances(InstanceFilter())
    assert bench.call(purge).code is RefusalCode.UNAVAILABLE


def test_a_parent_learns_at_once_that_its_child_was_purged_wherever_it_runs():
    def parent(step, events):
        if step == 0:
            return [CreateSubOrchestration(0, "Wait", "child")]
        return [CompleteOrchestration('"told"')]

    bench = Bench({"Parent": parent, "Wait": lambda step, events: []})
    other = Bench({"Parent": parent, "Wait": lambda step, events: []}, bench.database)
    for asked in (bench, other):
        bench.call(StartInstance("Parent", "p1"))
        bench.time.advance(2)
        assert asked.call(PurgeInstance("child")) == Purged(1)
        woken = asked.hub.wakes.woken
        bench.time.advance(0.02)
        if asked is other:
            n = bench.call(GetInstance("p1")).record.n
            assert (0, n) in woken, "whoever owns the parent is told"
            bench.hub.woken(n)
            bench.time.advance(0.02)
        assert bench.call(GetInstance("p1")).record.output == '"told"'


def test_entities_learn_at_once_that_the_holder_of_their_lock_was_purged():
    def holder(step, events):
        return [LockEntities(0, ("@counter@a",))] if step == 0 else []

    bench = Bench({"Holder": holder})
    bench.call(StartInstance("Holder", "h1"))
    bench.time.advance(2)
    assert bench.call(SignalEntityOperation("@counter@a", "add", "5")) == Done()
    bench.time.advance(2)
    assert not bench.call(ReadEntity("@counter@a")).exists
    assert bench.call(PurgeInstance("h1")) == Purged(1)
    bench.time.advance(0.02)
    assert bench.call(ReadEntity("@counter@a")) == EntityFound(True, "5")
