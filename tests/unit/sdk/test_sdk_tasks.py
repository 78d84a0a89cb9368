"""Tasks and compounds: sdk-api.md 4.4 to 4.7, in both dialects."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from typing import Any

import pytest

from perdure.model.actions import CancelTimer, CreateTimer, ScheduleTask
from perdure.model.history import EventRaised, TaskFailed, TimerFired
from perdure.sdk.compound_tasks import WhenAllTask
from perdure.sdk.failures import TaskCancelledError, TaskFailedError
from perdure.sdk.options import SdkOptions
from perdure.sdk.tasks import AtomicTask, TaskBase
from perdure.sdk.types import TaskState
from tests.unit.sdk.turns import Instance, completed, failure, output

TWO = SdkOptions(dialect=2)


def names(actions: list[Any]) -> list[str]:
    return [action.name for action in actions if isinstance(action, ScheduleTask)]


def test_dialect_1_schedules_at_the_yield_in_list_order_depth_first() -> None:
    def orch(context: Any) -> Any:
        a, b, c, d = (context.call_activity(name) for name in "abcd")
        context.call_activity("never")
        yield context.task_all([c, context.task_any([b, d]), a])

    one = Instance(orch)
    assert [(a.id, a.name) for a in one.start()] == [(0, "c"), (1, "b"), (2, "d"), (3, "a")]  # type: ignore[union-attr]


def test_dialect_2_schedules_at_the_call_yielded_or_not() -> None:
    def orch(context: Any) -> Any:
        a, b = context.call_activity("a"), context.call_activity("b")
        yield b
        yield a

    assert names(Instance(orch, options=TWO).start()) == ["a", "b"]
    assert names(Instance(orch).start()) == ["b"]


def test_the_same_task_yielded_twice_gives_the_same_and_schedules_nothing() -> None:
    def orch(context: Any) -> Any:
        task = context.call_activity("a")
        first = yield task
        second = yield task
        return [first, second, task.is_completed, task.result]

    one = Instance(orch)
    one.start()
    assert output(one.step(completed(0, "5"))) == "[5, 5, true, 5]"


def test_task_all_fails_at_the_first_failure_and_stays_failed() -> None:
    def orch(context: Any) -> Any:
        tasks = [context.call_activity(name) for name in "abc"]
        together = context.task_all(tasks)
        try:
            yield together
        except Exception as error:
            caught = str(error)
        yield tasks[0]
        yield tasks[2]
        return [caught, together.state is TaskState.FAILED, isinstance(together.result, Exception)]

    one = Instance(orch)
    one.start()
    assert one.step(TaskFailed(1, "no", "why")) == []
    one.step(completed(2))
    assert output(one.step(completed(0))) == '["no \\n why", true, true]'


def test_task_all_of_dialect_2_waits_for_all_and_then_throws_the_first_failure() -> None:
    def orch(context: Any) -> Any:
        try:
            yield context.task_all([context.call_activity(name) for name in "abc"])
        except TaskFailedError as error:
            return str(error)

    one = Instance(orch, options=TWO)
    one.start()
    assert one.step(TaskFailed(1, "first"), completed(0)) == []
    assert output(one.step(TaskFailed(2, "second"))) == '"inst: Activity task #2 failed: first"'


def test_empty_compounds_complete_with_none_in_dialect_1_and_never_in_dialect_2() -> None:
    def orch(context: Any) -> Any:
        return [(yield context.task_all([])), (yield context.task_any([]))]

    assert output(Instance(orch).start()) == "[null, null]"
    assert Instance(orch, options=TWO).start() == []


def test_task_any_is_won_by_a_failed_child_whose_failure_is_thrown_when_yielded() -> None:
    def orch(context: Any) -> Any:
        tasks = [context.call_activity(name) for name in "ab"]
        winner = yield context.task_any(tasks)
        seen = [winner is tasks[1], str(winner.result)]
        try:
            yield winner
        except Exception as error:
            return [*seen, error is winner.result]

    one = Instance(orch)
    one.start()
    assert output(one.step(TaskFailed(1, "no"))) == '[true, "no \\n None", true]'


def test_a_loser_can_be_waited_for_later_and_is_not_scheduled_again() -> None:
    def orch(context: Any) -> Any:
        a, b = context.call_activity("a"), context.call_activity("b")
        yield context.task_any([a, b])
        return (yield context.task_all([a, b, context.call_activity("c")]))

    one = Instance(orch)
    one.start()
    assert names(one.step(completed(1, "1"))) == ["c"]
    one.step(completed(0, "0"))
    assert output(one.step(completed(2, "2"))) == "[0, 1, 2]"


def test_a_task_in_two_waiting_compounds_completes_both() -> None:
    def orch(context: Any) -> Any:
        a, b, c = (context.call_activity(name) for name in "abc")
        first, second = context.task_all([a, b]), context.task_all([a, c])
        yield context.task_any([first, second])
        return [(yield first), (yield second)]

    one = Instance(orch)
    one.start()
    one.step(completed(0, "0"))
    one.step(completed(1, "1"))
    assert output(one.step(completed(2, "2"))) == "[[0, 1], [0, 2]]"


def test_a_task_listed_twice_is_one_task() -> None:
    def orch(context: Any) -> Any:
        a = context.call_activity("a")
        both = yield context.task_all([a, a])
        return [both, (yield context.task_all([a, a]))]

    one = Instance(orch)
    assert len(one.start()) == 1
    assert output(one.step(completed(0, "7"))) == "[[7, 7], [7, 7]]"


def test_any_iterable_is_accepted_and_what_is_no_task_is_named() -> None:
    def orch(context: Any) -> Any:
        yield context.task_all(context.call_activity(name) for name in "ab")

    assert names(Instance(orch).start()) == ["a", "b"]

    def wrong(context: Any) -> Any:
        yield context.task_all([context.call_activity("a"), 5])

    text = failure(Instance(wrong).start())
    assert "context.task_all expects tasks, but item 1 of the list is a int" in text

    def single(context: Any) -> Any:
        yield context.task_all(5)

    assert "context.task_all expects a list of tasks, not int" in failure(Instance(single).start())


def test_results_before_completion_and_of_failures_by_dialect() -> None:
    def orch(context: Any) -> Any:
        task = context.call_activity("a")
        context.call_activity("b")
        try:
            seen = [task.result]
        except ValueError as error:
            seen = [str(error)]
        with contextlib.suppress(Exception):
            yield task
        try:
            seen.append(type(task.result).__name__)
        except TaskFailedError:
            seen.append("raised")
        return seen

    one = Instance(orch)
    one.start()
    assert output(one.step(TaskFailed(0, "x"))) == '[null, "TaskFailedError"]'
    two = Instance(orch, options=TWO)
    two.start()
    seen = output(two.step(TaskFailed(0, "x")))
    assert seen == '["The task has not completed: context.call_activity(\'a\')", "raised"]'


def test_timers_naive_times_are_utc_and_other_zones_are_converted() -> None:
    from datetime import datetime, timezone

    def orch(context: Any) -> Any:
        yield context.task_all(
            [
                context.create_timer(datetime(2030, 1, 1)),
                context.create_timer(datetime(2030, 1, 1, tzinfo=timezone.utc)),
                context.create_timer(datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))),
                context.create_timer(datetime(9999, 12, 31)),
            ]
        )

    first, second, third, last = Instance(orch).start()
    assert isinstance(first, CreateTimer) and isinstance(last, CreateTimer)
    assert first.fire_at == second.fire_at == third.fire_at == 1893456000 * 10**6  # type: ignore[union-attr]
    assert last.fire_at == 253402214400 * 10**6


def test_what_is_no_datetime_is_refused_as_published() -> None:
    def orch(context: Any) -> Any:
        try:
            yield context.create_timer(timedelta(seconds=1))
        except ValueError as error:
            return error.args[0]

    assert output(Instance(orch).start()) == '"fireAt: Expected valid datetime object but got "'


def test_cancelling_a_fired_timer_raises_in_dialect_1_and_a_cancelled_one_never_completes() -> None:
    def orch(context: Any) -> Any:
        timer = context.create_timer(context.current_utc_datetime)
        other = context.create_timer(context.current_utc_datetime + timedelta(days=1))
        yield context.task_any([timer, other])
        other.cancel()
        other.cancel()
        try:
            timer.cancel()
        except ValueError as error:
            return [str(error), other.is_cancelled, other.is_canceled(), other.is_completed]

    one = Instance(orch)
    one.start()
    actions = one.step(TimerFired(0, 0))
    assert actions[0] == CancelTimer(1)
    assert output(actions) == '["Cannot cancel a completed task.", true, true, false]'


def test_a_cancelled_timer_of_dialect_2_completes_and_its_result_raises() -> None:
    def orch(context: Any) -> Any:
        timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
        seen = [timer.cancel(), timer.cancel(), timer.is_completed]
        try:
            yield timer
        except TaskCancelledError:
            return seen

    actions = Instance(orch, options=TWO).start()
    assert output(actions) == "[true, false, true]"
    assert CancelTimer(0) in actions


def test_a_timer_cancelled_before_it_was_yielded_is_never_created() -> None:
    def orch(context: Any) -> Any:
        timer = context.create_timer(context.current_utc_datetime + timedelta(days=1))
        timer.cancel()
        yield context.task_any([timer, context.call_activity("a")])

    assert names(Instance(orch).start()) == ["a"]


def test_tasks_of_a_wide_fan_out_cost_the_new_results_only() -> None:
    def orch(context: Any) -> Any:
        results = yield context.task_all([context.call_activity("X", i) for i in range(20_000)])
        return sum(results)

    one = Instance(orch)
    assert len(one.start()) == 20_000
    began = time.perf_counter()
    for i in range(2_000):
        one.sessions.run(one.request(completed(i, "1")))
        one.turn += 1
    few = time.perf_counter() - began
    # 2,000 turns over 20,000 waiting children: 40,000,000 visits if a turn looked at all of them
    assert few < 2.0


def test_100_000_children_complete_in_one_turn() -> None:
    def orch(context: Any) -> Any:
        return sum((yield context.task_all([context.call_activity("X") for _ in range(100_000)])))

    one = Instance(orch)
    one.sessions.run(one.request(*start_events()))
    one.turn = 1
    decided = one.sessions.run(one.request(*[completed(i, "1") for i in range(100_000)]))
    assert output(decided.actions) == "100000"  # type: ignore[union-attr]


def start_events() -> list[Any]:
    from perdure.model.history import ExecutionStarted

    return [ExecutionStarted("orch")]


def test_deeply_nested_compounds_need_no_recursion() -> None:
    def orch(context: Any) -> Any:
        task = context.call_activity("a")
        for _ in range(5000):
            task = context.task_all([task])
        value = yield task
        depth = 0
        while isinstance(value, list):
            value, depth = value[0], depth + 1
        return [value, depth]

    one = Instance(orch)
    one.start()
    assert output(one.step(completed(0, "1"))) == "[1, 5000]"


def test_tasks_compare_and_hash_by_identity_and_take_attributes() -> None:
    def orch(context: Any) -> Any:
        tasks = {context.call_activity("X", city): city for city in ("a", "b")}
        for task, city in tasks.items():
            task.city = city
        pending = list(tasks)
        seen = []
        while pending:
            winner = yield context.task_any(pending)
            pending.remove(winner)
            seen.append([tasks[winner], winner.city, winner.result])
        return seen

    one = Instance(orch)
    one.start()
    one.step(completed(1, "1"))
    assert output(one.step(completed(0, "0"))) == '[["b", "b", 1], ["a", "a", 0]]'


def test_user_tests_can_make_and_settle_tasks_by_hand() -> None:
    task, other = AtomicTask(1, []), TaskBase(2, [])
    together = WhenAllTask([task, other])
    task.set_value(is_error=False, value="x")
    assert not together.is_completed and together.pending_tasks == {other}
    other.set_value(is_error=False, value="y")
    assert together.result == ["x", "y"] and together.completed_tasks == [task, other]
    with pytest.raises(Exception, match="failed but it's value was not an Exception"):
        AtomicTask(3).set_value(is_error=True, value="x")
    with pytest.raises(Exception, match="Cannot change Task to the RUNNING state"):
        AtomicTask(3).change_state(TaskState.RUNNING)


def test_events_several_waits_last_first_in_dialect_1_and_first_first_in_dialect_2() -> None:
    def orch(context: Any) -> Any:
        return (yield context.task_all([context.wait_for_external_event("E"), context.wait_for_external_event("e")]))

    for options, expected in ((SdkOptions(), "[2, 1]"), (TWO, "[1, 2]")):
        one = Instance(orch, options=options)
        one.start()
        one.step(EventRaised("E", "1"))
        assert output(one.step(EventRaised("e", "2"))) == expected
