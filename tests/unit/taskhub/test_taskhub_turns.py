"""One hub, driven by hand: chains, fan-out, timers, events, children, controls."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from perdure.engine.catalog import Catalog
from perdure.engine.decide import LOGIC
from perdure.engine.rules import entity_message
from perdure.model.actions import (
    CallEntity,
    CancelTimer,
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateSubOrchestration,
    CreateTimer,
    ScheduleTask,
)
from perdure.model.commit_plan import NewInstance
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    EntityOperationFailed,
    EntityOperationRequested,
    EventRaised,
    ExecutionStarted,
    TaskCompleted,
    TaskFailed,
    TimerFired,
)
from perdure.model.instance import InstanceKind
from perdure.model.operations import (
    Done,
    GetInstance,
    Purged,
    PurgeInstance,
    RaiseEvent,
    ReadEntity,
    RefusalCode,
    Refused,
    ResumeInstance,
    RewindInstance,
    SignalEntityOperation,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)
from tests.unit.taskhub.scripted import Bench


def chain(step, events):
    if step < 3:
        return [ScheduleTask(step, "A", f'"{step}"')]
    return [CompleteOrchestration('"done"')]


def fan(step, events):
    if step == 0:
        fan.left = 40
        return [ScheduleTask(i, "A", str(i)) for i in range(40)]
    fan.left -= sum(isinstance(e, TaskCompleted) for e in events)
    return [CompleteOrchestration("40")] if fan.left == 0 else []


def waiting(step, events):
    if any(isinstance(e, EventRaised) for e in events):
        return [CompleteOrchestration(next(e.input for e in events if isinstance(e, EventRaised)))]
    return []


@pytest.mark.parametrize("hot", [True, False])
def test_chain_completes_with_its_history(hot):
    bench = Bench({"Chain": chain}, hot=hot)
    started = bench.call(StartInstance("Chain", "c1", "null"))
    assert started == Started("c1")
    found = bench.wait("c1")
    assert found.record.output == '"done"'
    assert [type(e).__name__ for e in found.history or []].count("TaskCompleted") == 3
    assert found.record.turn == 4
    tables = bench.database.tables
    assert not tables.work and not tables.inbox


@pytest.mark.parametrize("slots", [1, 3, 100])
def test_fan_out_runs_within_its_slots(slots):
    bench = Bench({"Fan": fan}, slots=slots, max_activities=slots)
    bench.call(StartInstance("Fan", "f1"))
    assert bench.wait("f1").record.output == "40"
    assert len(bench.executor.ran) == 40


@pytest.mark.parametrize(
    "operations",
    [
        [RaiseEvent("w1", "go", '"early"')],
        [SuspendInstance("w1"), ResumeInstance("w1"), RaiseEvent("w1", "go", '"early"')],
        [SuspendInstance("w1"), RaiseEvent("w1", "go", '"early"'), ResumeInstance("w1")],
    ],
)
def test_nothing_makes_a_scheduled_start_come_early(operations):
    bench = Bench({"Wait": waiting})
    start_at = bench.time.now + 600_000_000
    bench.call(StartInstance("Wait", "w1", start_at=start_at))
    for operation in operations:
        assert bench.call(operation) == Done()
        bench.time.advance(1)
    bench.time.advance(300)
    assert bench.status("w1") == "Pending"
    assert bench.executor.turns == []
    assert bench.hub.registry.warm.get(bench.call(GetInstance("w1")).record.n) is None, "it waits in the store"
    bench.time.advance(305)
    found = bench.wait("w1")
    assert found.record.output == '"early"'
    assert found.record.started >= start_at


def test_a_scheduled_start_can_be_terminated_early():
    bench = Bench({"Wait": waiting})
    bench.call(StartInstance("Wait", "w1", start_at=bench.time.now + 600_000_000))
    assert bench.call(TerminateInstance("w1", "no")) == Done()
    bench.time.advance(1)
    assert bench.status("w1") == "Terminated"


def test_events_wait_and_are_refused_when_it_is_too_late():
    bench = Bench({"Waiting": waiting})
    bench.call(StartInstance("Waiting", "w1"))
    assert bench.call(RaiseEvent("w1", "go", "1")) == Done()
    assert bench.wait("w1").record.output == "1"
    gone = bench.call(RaiseEvent("w1", "go", "2"))
    assert isinstance(gone, Refused) and gone.code is RefusalCode.GONE
    missing = bench.call(RaiseEvent("nobody", "go", "2"))
    assert isinstance(missing, Refused) and missing.code is RefusalCode.NOT_FOUND


def test_timer_fires_once_due_and_a_cancelled_one_leaves_no_row():
    bench = Bench({})
    now = bench.time.now

    def script(step, events):
        if step == 0:
            return [CreateTimer(0, now + 3_600_000_000), CreateTimer(1, now + 7_200_000_000)]
        if step == 1:
            assert any(isinstance(e, TimerFired) and e.timer_id == 0 for e in events)
        return [CancelTimer(1), ScheduleTask(2, "A")] if step == 1 else [CompleteOrchestration(None)]

    bench = Bench({"T": script})
    bench.call(StartInstance("T", "t1"))
    bench.time.advance(3000)
    assert bench.status("t1") == "Running"
    bench.time.advance(700)
    assert bench.status("t1") == "Completed"
    assert not bench.database.tables.inbox


def test_continue_as_new_starts_the_next_generation_with_what_was_carried():
    seen = []

    def script(step, events):
        seen.append([e.input for e in events if isinstance(e, EventRaised)])
        if len(seen) == 1:
            return []
        if len(seen) == 2:
            from perdure.model.actions import CarriedEvent

            return [ContinueAsNewWith('"next"', (CarriedEvent("e", "1"), CarriedEvent("e", "2")))]
        return [CompleteOrchestration("3")]

    bench = Bench({"Eternal": script})
    bench.call(StartInstance("Eternal", "e1"))
    bench.time.advance(0.1)
    bench.call(RaiseEvent("e1", "e", "1"))
    found = bench.wait("e1")
    assert seen[2] == ["1", "2"]
    assert found.record.generation == 1 and found.record.input == '"next"'


def test_child_answers_its_parent():
    def parent(step, events):
        return [CreateSubOrchestration(0, "Chain")] if step == 0 else [CompleteOrchestration(events[0].result)]

    bench = Bench({"Parent": parent, "Chain": chain})
    bench.call(StartInstance("Parent", "p1"))
    assert bench.wait("p1").record.output == '"done"'


def test_unknown_activity_fails_its_task_with_the_known_names():
    def script(step, events):
        if step == 0:
            return [ScheduleTask(0, "Faill")]
        failed = events[0]
        assert isinstance(failed, TaskFailed)
        return [CompleteOrchestration(failed.reason, FailureDetails("X", ""))]

    bench = Bench({"S": script})
    bench.call(StartInstance("S", "s1"))
    output = bench.wait("s1").record.output or ""
    assert "The function 'Faill' doesn't exist, is disabled, or is not an activity function." in output
    assert "'A', 'B', 'Fail'" in output and "Did you mean 'Fail'?" in output


def test_terminate_does_not_wait_for_user_code():
    bench = Bench({"Waiting": waiting})
    bench.executor.turn_seconds = 3600
    bench.call(StartInstance("Waiting", "w1"))
    assert bench.call(TerminateInstance("w1", "enough")) == Done()
    bench.time.advance(1)
    assert bench.status("w1") == "Terminated"
    assert bench.wait("w1").record.output == '"enough"'


@pytest.mark.parametrize("running", [True, False])
def test_terminate_drops_what_has_not_begun_and_abandons_the_rest(running):
    def script(step, events):
        return [ScheduleTask(number, "A") for number in range(5)]

    bench = Bench({"Fan": script}, slots=2, max_activities=2, cancel_activities_on_terminate=running)
    bench.executor.hold.add("A")
    bench.call(StartInstance("Fan", "f1"))
    bench.time.advance(0.1)
    begun = {request.task for request, _ in bench.executor.held}
    assert bench.call(TerminateInstance("f1", "enough")) == Done()
    bench.time.advance(1)
    assert {(task, flag) for _, _, task, flag in bench.executor.cancelled} == {(task, running) for task in begun}
    bench.executor.slots = 5
    bench.time.advance(5)
    assert {request.task for request, _ in bench.executor.held} == begun
    assert len(begun) < 5


def test_suspended_instances_keep_their_messages_until_resume():
    bench = Bench({"Waiting": waiting})
    bench.call(StartInstance("Waiting", "w1"))
    assert bench.call(SuspendInstance("w1", "pause")) == Done()
    bench.time.advance(0.1)
    assert bench.status("w1") == "Suspended"
    bench.call(RaiseEvent("w1", "go", "7"))
    bench.time.advance(10)
    assert bench.status("w1") == "Suspended"
    again = bench.call(SuspendInstance("w1", "pause"))
    assert isinstance(again, Refused) and again.code is RefusalCode.WRONG_STATE
    bench.call(ResumeInstance("w1", "go on"))
    assert bench.wait("w1").record.output == "7"


def test_rewind_runs_the_failed_activity_again():
    failing = [True]

    def script(step, events):
        if step == 0:
            return [ScheduleTask(0, "Fail")]
        if any(isinstance(e, TaskFailed) for e in events):
            return [CompleteOrchestration("boom", FailureDetails("E", "boom"))]
        return [CompleteOrchestration('"ok"')] if any(isinstance(e, TaskCompleted) for e in events) else []

    def fail(text):
        if failing[0]:
            raise ValueError("boom")
        return '"fine"'

    bench = Bench({"S": script})
    bench.executor.activities["Fail"] = fail
    bench.call(StartInstance("S", "s1"))
    assert bench.wait("s1").record.status.label == "Failed"
    failing[0] = False
    assert bench.call(RewindInstance("s1", "again")) == Done()
    bench.time.advance(1)
    assert bench.status("s1") == "Completed"


def test_an_activity_that_no_host_has_fails_after_a_rewind_as_it_did_before():
    def script(step, events):
        failed = next((e for e in events if isinstance(e, TaskFailed)), None)
        if failed is not None:
            return [CompleteOrchestration(None, failure=FailureDetails("ValueError", failed.reason))]
        return [] if step else [ScheduleTask(0, "Nope")]

    bench = Bench({"S": script})
    bench.call(StartInstance("S", "s1"))
    assert bench.wait("s1").record.status.label == "Failed"
    assert bench.call(RewindInstance("s1", "again")) == Done()
    bench.time.advance(1)
    found = bench.wait("s1", within=5)
    assert found.record.status.label == "Failed"
    assert len([e for e in found.history if isinstance(e, TaskFailed)]) == 2


def test_results_that_wait_behind_a_turn_become_rows():
    def script(step, events):
        if step == 0:
            return [ScheduleTask(0, "A"), ScheduleTask(1, "A")]
        return [] if step == 1 else [CompleteOrchestration("2")]

    bench = Bench({"S": script})
    bench.executor.hold.add("A")
    bench.call(StartInstance("S", "s1"))
    bench.time.advance(0.1)
    bench.executor.turn_seconds = 5
    first, second = bench.executor.held
    bench.clock.soon(lambda: first[1](bench.executor.outcome(first[0])))
    bench.time.advance(0.1)
    bench.clock.soon(lambda: second[1](bench.executor.outcome(second[0])))
    bench.time.advance(0.1)
    assert len(bench.database.tables.inbox) == 1 and len(bench.database.tables.work) == 1
    bench.executor.turn_seconds = 0
    assert bench.wait("s1").record.output == "2"
    assert not bench.database.tables.inbox and not bench.database.tables.work


def test_large_fan_out_is_written_in_chunks():
    total = 1800

    def script(step, events):
        if step == 0:
            script.left = total
            return [ScheduleTask(i, "A") for i in range(total)]
        script.left -= sum(isinstance(e, TaskCompleted) for e in events)
        return [CompleteOrchestration(str(total))] if script.left == 0 else []

    bench = Bench({"S": script})
    bench.call(StartInstance("S", "s1"))
    assert bench.wait("s1").record.output == str(total)
    assert len(bench.executor.ran) == total and not bench.database.tables.work


def test_purge_of_a_running_instance_and_reuse_of_the_id():
    bench = Bench({"Waiting": waiting})
    bench.call(StartInstance("Waiting", "w1"))
    refused = bench.call(StartInstance("Waiting", "w1"))
    assert isinstance(refused, Refused) and refused.code is RefusalCode.EXISTS
    assert bench.call(PurgeInstance("w1")) == Purged(1)
    assert bench.status("w1") == ""
    assert bench.call(StartInstance("Waiting", "w1")) == Started("w1")
    bench.call(RaiseEvent("w1", "go", "1"))
    assert bench.wait("w1").record.output == "1"
    assert bench.call(StartInstance("Waiting", "w1")) == Started("w1")
    assert bench.status("w1") in ("Pending", "Running")


def test_entity_counts_signals():
    bench = Bench({})
    for _ in range(10):
        assert bench.call(SignalEntityOperation("@counter@k", "add", "2")) == Done()
    bench.time.advance(1)
    found = bench.call(ReadEntity("@counter@k"))
    assert found.state == "20"
    unknown = bench.call(SignalEntityOperation("@other@k", "add"))
    assert isinstance(unknown, Refused) and unknown.code is RefusalCode.UNKNOWN_FUNCTION


def test_each_generation_records_the_code_that_runs_it():
    def goes_on(step, events):
        if any(isinstance(e, EventRaised) for e in events):
            return [ContinueAsNewWith(None)]
        return []

    bench = Bench({"Chain": goes_on}, fingerprint="one", dialect=1)
    bench.call(StartInstance("Chain", "c1", version="1.1"))
    bench.time.advance(1)

    def recorded():
        history = bench.call(GetInstance("c1", with_history=True)).history
        (first,) = [event for event in history if isinstance(event, ExecutionStarted)]
        return first.logic, first.dialect, first.app, first.version

    assert recorded() == (LOGIC, 1, "one", "1.1")
    bench.hub.app_changed(replace(bench.hub.options, fingerprint="two", dialect=2))
    bench.time.advance(1)
    assert recorded() == (LOGIC, 1, "one", "1.1"), "history is never changed"
    bench.call(RaiseEvent("c1", "go"))
    bench.time.advance(1)
    assert recorded() == (LOGIC, 2, "two", "1.1")


def test_a_mismatch_parks_until_other_code_comes():
    from perdure.model.execution import TurnMismatch

    bench = Bench({"Chain": chain}, fingerprint="one")
    run_turn = bench.executor.run_turn

    def mismatch(request, done):
        if request.base_turn == 0:
            run_turn(request, done)
        else:
            outcome = TurnMismatch(request.n, request.generation, request.base_turn, "history holds A, the code did B")
            bench.clock.soon(lambda: done(outcome))

    bench.executor.run_turn = mismatch
    bench.call(StartInstance("Chain", "c1"))
    bench.time.advance(1)
    record = bench.call(GetInstance("c1")).record
    assert record.parked == "history holds A, the code did B" and record.status.label == "Running"
    assert record.turn == 1
    bench.hub.stop(lambda: None)
    bench.time.advance(1)
    same = Bench({"Chain": chain}, bench.database, fingerprint="one")
    same.time.advance(10)
    assert same.status("c1") == "Running" and not same.executor.turns
    same.hub.stop(lambda: None)
    same.time.advance(1)
    other = Bench({"Chain": chain}, bench.database, fingerprint="two")
    assert other.wait("c1").record.output == '"done"'
    assert other.call(GetInstance("c1")).record.parked is None
    assert not bench.database.tables.settings


def test_a_mismatch_parks_until_the_app_is_loaded_anew():
    from perdure.model.execution import TurnMismatch

    bench = Bench({"Chain": chain}, fingerprint="one")
    run_turn = bench.executor.run_turn

    def mismatch(request, done):
        if request.base_turn == 0:
            run_turn(request, done)
        else:
            bench.clock.soon(lambda: done(TurnMismatch(request.n, request.generation, request.base_turn, "not so")))

    bench.executor.run_turn = mismatch
    bench.call(StartInstance("Chain", "c1"))
    bench.time.advance(1)
    names = bench.hub.options.names
    bench.hub.app_changed(replace(bench.hub.options, names=names, fingerprint="two"))
    bench.time.advance(1)
    assert bench.call(GetInstance("c1")).record.parked == "not so", "it was tried again, and did not fit"
    bench.executor.run_turn = run_turn
    bench.time.advance(60)
    assert bench.call(GetInstance("c1")).record.parked == "not so", "the same code is not tried again and again"
    bench.hub.app_changed(replace(bench.hub.options, names=names, fingerprint="three"))
    assert bench.wait("c1").record.output == '"done"'
    assert not bench.database.tables.settings


def test_a_mismatch_fails_the_instance_when_the_app_says_so():
    from perdure.model.execution import TurnMismatch

    bench = Bench({"Chain": chain}, fail_on_mismatch=True)
    run_turn = bench.executor.run_turn

    def mismatch(request, done):
        if request.base_turn == 0:
            run_turn(request, done)
        else:
            outcome = TurnMismatch(request.n, request.generation, request.base_turn, "not the same")
            bench.clock.soon(lambda: done(outcome))

    bench.executor.run_turn = mismatch
    bench.call(StartInstance("Chain", "c1"))
    assert "Orchestrator function 'Chain' failed: not the same" in (bench.wait("c1").record.output or "")


def test_rewind_keeps_what_came_after_the_failure():
    def script(step, events):
        script.seen = {*script.seen, *(e.task_scheduled_id for e in events if isinstance(e, TaskCompleted))}
        if step == 0:
            return [ScheduleTask(0, "Fail"), ScheduleTask(1, "A"), ScheduleTask(2, "B")]
        if any(isinstance(e, TaskFailed) for e in events):
            return [CompleteOrchestration("boom", FailureDetails("E", "boom"))]
        return [CompleteOrchestration('"ok"')] if script.seen >= {0, 1, 2} else []

    script.seen = set()
    failing = [True]

    def fail(text):
        if failing:
            failing.clear()
            raise ValueError("boom")
        return

    bench = Bench({"S": script})
    bench.executor.activities["Fail"] = fail
    bench.executor.hold |= {"A", "B"}
    bench.call(StartInstance("S", "s1"))
    assert bench.wait("s1").record.status.label == "Failed"
    held = {request.name: (request, done) for request, done in bench.executor.held}
    request, done = held["A"]
    bench.clock.soon(lambda: done(bench.executor.outcome(request)))
    bench.time.advance(0.5)
    assert bench.call(RewindInstance("s1", "again")) == Done()
    bench.time.advance(0.5)
    assert bench.status("s1") == "Running"
    request, done = held["B"]
    bench.clock.soon(lambda: done(bench.executor.outcome(request)))
    assert bench.wait("s1").record.output == '"ok"'
    assert sorted(request.name for request in bench.executor.ran) == ["A", "B", "Fail", "Fail"]
    assert not bench.database.tables.work


def test_a_turn_that_decides_too_much_fails_with_the_documented_text():
    bench = Bench({"S": lambda step, events: [ScheduleTask(i, "A") for i in range(11)]}, max_actions=10)
    bench.call(StartInstance("S", "s1"))
    assert "Maximum amount of orchestration actions (10) has been reached." in (bench.wait("s1").record.output or "")
    assert not bench.executor.ran


@pytest.mark.parametrize(("keep", "left"), [(0, 1), (2, 3)])
def test_generations_that_are_over_keep_their_history_as_configured(keep, left):
    def script(step, events):
        script.count += 1
        return [ContinueAsNewWith(str(script.count))] if script.count < 6 else []

    script.count = 0
    bench = Bench({"S": script}, keep_generations=keep)
    bench.call(StartInstance("S", "s1"))
    bench.time.advance(1)
    (n,) = bench.database.tables.history
    assert len({generation for generation, _ in bench.database.tables.history[n]}) == left


def test_an_instance_of_a_newer_version_is_left_to_others():
    from perdure.engine.versions import VersionRule

    bench = Bench({"Chain": chain}, versions=VersionRule("1.0"))
    bench.call(StartInstance("Chain", "c1", version="2.0"))
    bench.time.advance(5)
    assert bench.status("c1") == "Pending" and not bench.executor.turns
    other = Bench({"Chain": chain}, bench.database, versions=VersionRule("2.0"))
    assert other.wait("c1").record.output == '"done"'


def test_an_instance_of_a_newer_version_fails_when_the_app_says_so():
    from perdure.engine.versions import VersionRule

    bench = Bench({"Chain": chain}, versions=VersionRule("1.0", "Strict", True))
    bench.call(StartInstance("Chain", "c1", version="0.9"))
    assert "versionMatchStrategy is Strict" in (bench.wait("c1").record.output or "")


def test_activities_of_a_large_turn_run_even_when_the_instance_ends_early():
    total = 1300

    def script(step, events):
        if step == 0:
            return [ScheduleTask(i, "A") for i in range(total)]
        return [CompleteOrchestration('"first"')]

    bench = Bench({"S": script})
    bench.call(StartInstance("S", "s1"))
    assert bench.wait("s1").record.output == '"first"'
    bench.time.advance(5)
    assert len({request.task for request in bench.executor.ran}) == total
    assert not bench.database.tables.work and not bench.database.tables.inbox


@pytest.mark.parametrize("hot", [True, False])
def test_no_more_turns_run_at_one_moment_than_the_limit(hot):
    """Neither those whose history has to be read first; instances that wait for something do not count."""
    bench = Bench({"Chain": chain, "Waiting": waiting}, hot=hot, max_turns=3)
    for i in range(10):
        bench.call(StartInstance("Waiting", f"w{i}"))
    bench.executor.turn_seconds = 1.0
    running = []
    run_turn = bench.executor.run_turn

    def counted(request, done):
        def ended(outcome):
            running.remove(request.n)
            done(outcome)

        running.append(request.n)
        most.append(len(running))
        run_turn(request, ended)

    most: list[int] = []
    bench.executor.run_turn = counted
    for i in range(10):
        bench.call(RaiseEvent(f"w{i}", "go", "1"))
        bench.call(StartInstance("Chain", f"c{i}"))
    bench.time.advance(100)
    assert {bench.status(f"w{i}") for i in range(10)} | {bench.status(f"c{i}") for i in range(10)} == {"Completed"}
    assert max(most) == 3


def test_a_new_instance_without_a_function_fails_and_says_so():
    bench = Bench({"Waiting": waiting})
    created = bench.hub.shift.new_number()
    new = NewInstance(created, "typo", InstanceKind.ORCHESTRATION, "Wating", bench.time.now)
    bench.hub.committer.create(new, lambda verdict: None)
    found = bench.wait("typo")
    assert found.record.status.label == "Failed"
    assert found.record.output == (
        "\"Orchestrator function 'Wating' failed: The function 'Wating' doesn't exist, is disabled, or is not an "
        "orchestrator function. Additional info: The following are the known orchestrator functions: 'Waiting'. "
        "Did you mean 'Waiting'?\""
    )
    assert bench.executor.turns == []


def test_an_instance_whose_function_is_gone_waits_for_an_app_that_has_it():
    bench = Bench({"Waiting": waiting})
    bench.call(StartInstance("Waiting", "w1"))
    bench.time.advance(1)
    options = bench.hub.options
    names = {**options.names, "orchestration": ("Other",)}
    bench.hub.app_changed(replace(options, names=names, fingerprint="without"))
    assert bench.call(RaiseEvent("w1", "go", "1")) == Done()
    bench.time.advance(1)
    parked = bench.call(GetInstance("w1")).record
    assert parked.status.label == "Running"
    assert parked.parked.startswith("The function 'Waiting' doesn't exist, is disabled, or is not an orchestrator")
    bench.hub.app_changed(options)
    assert bench.wait("w1").record.output == "1"


def test_hosts_with_other_functions_leave_instances_to_who_has_them():
    one = Bench({"Waiting": waiting})
    other = Bench({"Chain": chain}, one.database)
    one.time.advance(10)
    for at in range(10):
        other.call(StartInstance("Waiting", f"w{at}"))
        one.call(StartInstance("Chain", f"c{at}"))
    one.time.advance(1.6)
    assert {other.status(f"c{at}") for at in range(10)} == {"Completed"}, "nobody else takes them"
    for at in range(10):
        other.call(RaiseEvent(f"w{at}", "go", str(at)))
    assert [one.wait(f"w{at}").record.output for at in range(10)] == [str(at) for at in range(10)]
    assert [one.wait(f"c{at}").record.status.label for at in range(10)] == ["Completed"] * 10
    assert {turn.name for turn in one.executor.turns} == {"Waiting"}
    assert {turn.name for turn in other.executor.turns} == {"Chain"}


def test_operations_of_an_entity_without_a_function_fail_once():
    def caller(step, events):
        if step == 0:
            return [CallEntity(0, "@nobody@a", "get", None)]
        (failed,) = [event for event in events if isinstance(event, EntityOperationFailed)]
        return [CompleteOrchestration(f'"{failed.reason}"')]

    bench = Bench({"Caller": caller})
    # as a client sends them that knows no host
    time = bench.time.now
    for _ in range(3):
        sent = entity_message(bench.hub.shift.new_number(), "@nobody@a", EntityOperationRequested("add"), time)
        bench.hub.committer.send(sent, lambda verdict, sent=sent: bench.hub.registry.message_committed(sent, verdict))
    bench.time.advance(1)
    record = bench.call(GetInstance("@nobody@a")).record
    turns = record.turn
    assert 0 < turns <= 3
    bench.time.advance(60)
    assert bench.call(GetInstance("@nobody@a")).record.turn == turns, "nothing is tried over and over"
    assert (record.state, bench.executor.batches) == (None, [])
    bench.hub.shift.catalog = Catalog({**bench.hub.options.names, "entity": ("counter", "nobody")})
    bench.call(StartInstance("Caller", "c1"))
    bench.hub.shift.catalog = Catalog(bench.hub.options.names)
    bench.time.advance(1)
    text = "The function 'nobody' doesn't exist, is disabled, or is not an entity function."
    assert bench.wait("c1").record.output.startswith(f'"{text}')
