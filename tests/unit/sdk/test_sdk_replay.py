"""Turns: the same decisions from a live session, from a replay, and after evictions; mismatches are reported."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.model.actions import CancelTimer, CreateTimer, ScheduleTask
from perdure.model.execution import SessionMissing, TurnDecided
from perdure.model.history import EventRaised, ExecutionStarted, TaskFailed, TimerFired
from perdure.sdk.options import SdkOptions
from tests.unit.sdk.turns import Instance, completed, failure, output


def chain(context: Any) -> Any:
    total = []
    for city in ("Tokyo", "Seattle", "London"):
        total.append((yield context.call_activity("Hello", city)))
    return total


def test_a_chain_decides_one_activity_per_turn_and_returns_the_results() -> None:
    one = Instance(chain)
    assert one.start() == [ScheduleTask(0, "Hello", '"Tokyo"')]
    assert one.step(completed(0, '"a"')) == [ScheduleTask(1, "Hello", '"Seattle"')]
    assert one.step(completed(1, '"b"')) == [ScheduleTask(2, "Hello", '"London"')]
    assert output(one.step(completed(2, '"c"'))) == '["a", "b", "c"]'


@pytest.mark.parametrize("options", [SdkOptions(), SdkOptions(max_sessions=0)])
def test_the_code_is_the_same_in_both_session_modes(options: SdkOptions) -> None:
    one = Instance(chain, options=options)
    one.start()
    for task in (0, 1):
        one.step(completed(task, "1"))
        assert one.last is not None
        assert one.last.replayed is (options.max_sessions == 0)
    assert output(one.step(completed(2, "1"))) == "[1, 1, 1]"


def test_a_turn_without_session_asks_for_the_history() -> None:
    one = Instance(chain)
    one.start()
    one.evict()
    assert one.sessions.run(one.request(completed(0))) == SessionMissing(1, 0, 1)


def test_a_session_is_used_only_at_exactly_its_turn() -> None:
    one = Instance(chain)
    one.start()
    one.turn = 7
    assert one.sessions.run(one.request(completed(0))) == SessionMissing(1, 0, 7)


def test_replay_after_eviction_goes_on_where_the_session_was() -> None:
    one = Instance(chain)
    one.start()
    one.step(completed(0, "1"))
    one.evict()
    assert one.step(completed(1, "2")) == [ScheduleTask(2, "Hello", '"London"')]
    assert one.last is not None and one.last.replayed
    assert output(one.step(completed(2, "3"))) == "[1, 2, 3]"


@pytest.mark.parametrize(("began", "now"), [(1, 2), (2, 1)])
def test_a_generation_goes_on_in_the_dialect_that_it_began_in(began: int, now: int) -> None:
    def orch(context: Any) -> Any:
        first, second = context.call_activity("First"), context.call_activity("Second")
        yield second
        yield first
        return [context.version]

    def run(dialect: int, then: int) -> tuple[list[Any], str | None]:
        one = Instance(orch, options=SdkOptions(dialect=dialect))
        actions = one.step(ExecutionStarted("orch", dialect=dialect))
        one.options = SdkOptions(dialect=then)
        one.sessions = one.new_sessions()
        actions += one.step(completed(0))
        actions += one.step(completed(1))
        return actions, output(actions)

    assert run(began, now) == run(began, began)
    assert run(began, now) != run(now, now), "the dialects differ in what this code does"


def test_the_dialect_of_now_counts_where_none_is_recorded() -> None:
    def orch(context: Any) -> Any:
        return [context.version]
        yield

    for dialect, value in ((1, '[""]'), (2, "[null]")):
        one = Instance(orch, options=SdkOptions(dialect=dialect))
        assert output(one.step(ExecutionStarted("orch"))) == value


def test_duplicate_and_unknown_results_are_ignored() -> None:
    one = Instance(chain)
    one.start()
    one.step(completed(0, "1"), completed(0, "2"), completed(77, "3"))
    one.step(completed(1, "1"))
    assert output(one.step(completed(2, "1"))) == "[1, 1, 1]"


def test_the_place_where_the_code_waits_is_told() -> None:
    def helper(context: Any) -> Any:
        return (yield context.call_activity("X"))

    def orch(context: Any) -> Any:
        return (yield from helper(context))

    one = Instance(orch)
    one.start()
    assert one.last is not None
    line = helper.__code__.co_firstlineno + 1
    assert one.last.location == f"{__file__}:{line} in helper"


def test_a_renamed_call_is_reported_with_both_sides_and_the_line() -> None:
    def before(context: Any) -> Any:
        yield context.call_activity("SendMail")
        yield context.call_activity("Book")

    def after(context: Any) -> Any:
        yield context.call_activity("SendSms")
        yield context.call_activity("Book")

    one = Instance(before)
    one.start()
    one.code.function = after
    text = one.mismatch(completed(0))
    assert "Position: turn 1 of this generation, decision 1 of that turn." in text
    assert "History holds: TaskScheduled #0 'SendMail'" in text
    line = after.__code__.co_firstlineno + 1
    assert f"The code did now: TaskScheduled #0 'SendSms' at {__file__}:{line} in after" in text
    assert "'SendMail' was renamed to 'SendSms'" in text
    assert "How to go on:" in text


def test_code_that_ends_early_is_reported() -> None:
    def after(context: Any) -> Any:
        return (yield context.call_activity("Hello", "Tokyo"))

    one = Instance(chain)
    one.start()
    one.step(completed(0))
    one.code.function = after
    text = one.mismatch(completed(1))
    assert "History holds: TaskScheduled #1 'Hello'" in text
    assert "The code did now: it returned" in text


def test_code_that_waits_for_something_else_is_reported_with_its_place() -> None:
    def after(context: Any) -> Any:
        yield context.wait_for_external_event("go")

    one = Instance(chain)
    one.start()
    one.code.function = after
    text = one.mismatch(completed(0))
    assert f"nothing more in that turn; it waits at {__file__}:{after.__code__.co_firstlineno + 1} in after" in text


def test_closing_a_session_ignores_what_the_code_does_then() -> None:
    seen = []

    def orch(context: Any) -> Any:
        try:
            yield context.call_activity("X")
        finally:
            seen.append(context.is_replaying)
            context.call_activity("Cleanup")
            context.set_custom_status("gone")
            context.continue_as_new(1)
            yield context.call_activity("Cleanup")

    one = Instance(orch)
    one.start()
    one.evict()
    assert seen == [False]
    actions = one.step(TaskFailed(0, "no"))
    assert [a for a in actions if isinstance(a, ScheduleTask)] == []


def test_least_recently_used_sessions_leave_first_and_are_told() -> None:
    gone: list[int] = []
    one = Instance(chain, options=SdkOptions(max_sessions=2))
    one.sessions = type(one.sessions)(lambda name: one.code, one.options, gone.append)
    for n in (1, 2, 3):
        one.n = n
        one.turn = 0
        one.start()
    assert gone == [1]
    assert len(one.sessions) == 2


def test_idle_sessions_are_swept() -> None:
    gone: list[int] = []
    one = Instance(chain, options=SdkOptions(session_idle=10))
    one.sessions = type(one.sessions)(lambda name: one.code, one.options, gone.append)
    one.start()
    assert one.sessions.sweep(100.0) == 0
    assert one.sessions.sweep(109.0) == 0
    assert one.sessions.sweep(110.0) == 1
    assert gone == [1]


def test_a_lost_timer_is_cancelled_without_a_number() -> None:
    def orch(context: Any) -> Any:
        timer = context.create_timer(context.current_utc_datetime.replace(year=2050))
        approval = context.wait_for_external_event("Approval")
        winner = yield context.task_any([timer, approval])
        if winner is approval:
            timer.cancel()
        return (yield context.call_activity("Next"))

    one = Instance(orch)
    (timer,) = one.start()
    assert isinstance(timer, CreateTimer)
    assert one.step(EventRaised("approval", "true")) == [CancelTimer(0), ScheduleTask(1, "Next", "null")]
    one.evict()
    assert output(one.step(TimerFired(0, timer.fire_at), completed(1, '"done"'))) == '"done"'


def test_5000_tasks_that_are_complete_in_one_turn_need_no_recursion() -> None:
    def orch(context: Any) -> Any:
        tasks = [context.call_activity("X") for _ in range(5000)]
        yield context.task_all(tasks)
        total = 0
        for task in tasks:
            total += yield task
        for _ in range(5000):
            total += yield context.wait_for_external_event("more")
        return total

    one = Instance(orch)
    one.start(*[EventRaised("more", "2") for _ in range(5000)])
    assert output(one.step(*[completed(i, "1") for i in range(5000)])) == "15000"


def test_the_failure_of_an_activity_arrives_as_published_text_with_everything_behind_it() -> None:
    def orch(context: Any) -> Any:
        try:
            yield context.call_activity("X")
        except Exception as error:
            return str(error)

    one = Instance(orch)
    one.start()
    text = output(one.step(TaskFailed(0, "Activity function 'X' failed:  ValueError: boom", None)))
    assert text == "\"Activity function 'X' failed:  ValueError: boom \\n None\""


def test_an_exception_ends_the_orchestration_with_the_published_text() -> None:
    def orch(context: Any) -> Any:
        yield context.call_activity("X")
        raise ValueError("boom")

    one = Instance(orch, name="Order")
    # what the function is called in the code is not what the orchestrator is called: v1 folders, `function_name`
    one.code.name = "orchestrator_function"
    one.start()
    assert failure(one.step(completed(0))) == "Orchestrator function 'Order' failed: boom"


def test_an_unknown_orchestrator_fails_with_a_text_that_says_so() -> None:
    one = Instance(chain)
    one.sessions = type(one.sessions)(lambda name: None, one.options)
    decided = one.sessions.run(one.request())
    assert isinstance(decided, TurnDecided)
    assert "The function 'orch' doesn't exist, is disabled, or is not an orchestrator function" in failure(
        decided.actions
    )
