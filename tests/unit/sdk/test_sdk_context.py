"""The contexts: what code sees and asks for, by dialect (sdk-api.md 4, 9 and 10)."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

from perdure.model.actions import (
    CallEntity,
    CarriedEvent,
    CompleteOrchestration,
    ContinueAsNewWith,
    CreateSubOrchestration,
    CreateTimer,
    LockEntities,
    ScheduleTask,
    SendEvent,
    SignalEntity,
    UnlockEntities,
)
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    EntityLockGranted,
    EntityOperationCompleted,
    EntityOperationFailed,
    EventRaised,
    ExecutionRewound,
    ExecutionStarted,
    SubOrchestrationInstanceFailed,
    TaskFailed,
    TimerFired,
)
from perdure.sdk import determinism
from perdure.sdk.failures import TaskFailedError
from perdure.sdk.options import SdkOptions
from perdure.sdk.types import DurableHttpResponse, EntityId, RetryOptions, RetryPolicy
from tests.unit.sdk.turns import SECOND, START, Instance, completed, failure, output

TWO = SdkOptions(dialect=2)


# -- what the code sees


def test_ids_follow_the_published_formulas() -> None:
    def orch(context: Any) -> Any:
        return [context.new_uuid(), str(context.new_guid())]

    assert json.loads(output(Instance(orch).start()) or "") == [
        "bf7a8933-772d-5d39-898d-1c7db0cc627d",
        "bc234d55-a2ab-57ee-b608-c61ce2064ceb",
    ]


def test_clock_and_replay_flag_by_turn() -> None:
    seen: list[Any] = []

    def orch(context: Any) -> Any:
        seen.append((str(context.current_utc_datetime), context.is_replaying))
        yield context.call_activity("a")
        seen.append((str(context.current_utc_datetime), context.is_replaying))
        yield context.call_activity("b")
        seen.append((str(context.current_utc_datetime), context.is_replaying))

    one = Instance(orch)
    one.start()
    one.step(completed(0))
    first = ("2019-12-08 23:18:41.324092+00:00", False)
    assert seen == [first, ("2019-12-08 23:18:42.324092+00:00", False)]
    seen.clear()
    one.evict()
    one.step(completed(1))
    assert seen == [
        ("2019-12-08 23:18:41.324092+00:00", True),
        ("2019-12-08 23:18:42.324092+00:00", True),
        ("2019-12-08 23:18:43.324092+00:00", False),
    ]


def test_logs_are_silent_during_replay_only() -> None:
    seen: list[Any] = []

    def orch(context: Any) -> Any:
        seen.append((determinism.replaying(), determinism.current_instance()))
        yield context.call_activity("a")
        seen.append((determinism.replaying(), determinism.current_instance()))

    one = Instance(orch)
    one.start()
    one.evict()
    one.step(completed(0))
    assert seen == [(False, "inst"), (True, "inst"), (False, "inst")]
    assert (determinism.replaying(), determinism.current_instance()) == (False, "")


def test_input_parent_and_version() -> None:
    def orch(context: Any) -> Any:
        first, second = context.get_input(), context.get_input()
        return [first, first is second, context.parent_instance_id, context.version, context.instance_id]

    one = Instance(orch, '{"a": [1]}')
    assert output(one.start(parent_id="p")) == '[{"a": [1]}, false, "p", "", "inst"]'
    assert output(Instance(orch, options=TWO).start()) == '[null, true, null, null, "inst"]'
    assert output(Instance(orch).start(version="1.2")) == '[null, true, null, "1.2", "inst"]'


def test_histories_are_published_events_kept_from_the_first_look_on() -> None:
    looks: list[Any] = []

    def orch(context: Any) -> Any:
        yield context.call_activity("a")
        yield context.call_activity("b")
        looks.append([(event.event_type.name, event.event_id, event.Name) for event in context.histories])
        done = [event for event in context.histories if event.event_type == 5]
        return [[event.Result for event in done], [event.TaskScheduledId for event in done], done[0].is_played]

    expected = [
        ("ORCHESTRATOR_STARTED", -1, None),
        ("EXECUTION_STARTED", -1, "orch"),
        ("TASK_SCHEDULED", 0, "a"),
        ("ORCHESTRATOR_COMPLETED", -1, None),
        ("ORCHESTRATOR_STARTED", -1, None),
        ("TASK_COMPLETED", -1, None),
        ("TASK_SCHEDULED", 1, "b"),
        ("ORCHESTRATOR_COMPLETED", -1, None),
        ("ORCHESTRATOR_STARTED", -1, None),
        ("TASK_COMPLETED", -1, None),
    ]
    for options in (SdkOptions(), SdkOptions(max_sessions=0)):
        one = Instance(orch, options=options)
        one.start()
        one.step(completed(0, "1"))
        assert output(one.step(completed(1, "2"))) == '[["1", "2"], [0, 1], true]'
        assert looks.pop() == expected


def test_histories_do_not_exist_in_dialect_2() -> None:
    def orch(context: Any) -> Any:
        try:
            return context.histories
        except NotImplementedError as error:
            return str(error)

    assert output(Instance(orch, options=TWO).start()) == '"histories is not available in SDK 2.0"'


# -- custom status


def test_the_last_status_of_a_turn_is_given_and_falsy_ones_depend_on_the_dialect() -> None:
    def orch(context: Any) -> Any:
        context.set_custom_status({"step": 1})
        context.set_custom_status("two")
        yield context.call_activity("a")
        yield context.call_activity("b")
        context.set_custom_status(0)
        yield context.call_activity("c")

    for options, last in ((SdkOptions(), None), (TWO, "0")):
        one = Instance(orch, options=options)
        one.start()
        assert one.last is not None and (one.last.sets_status, one.last.custom_status) == (True, '"two"')
        one.step(completed(0))
        assert (one.last.sets_status, one.last.custom_status) == (False, None)
        one.evict()
        one.step(completed(1))
        assert (one.last.sets_status, one.last.custom_status) == (True, last)


def test_a_status_over_the_limit_fails_the_orchestration() -> None:
    def orch(context: Any) -> Any:
        context.set_custom_status("x" * 8192)
        yield context.call_activity("a")

    text = failure(Instance(orch).start())
    assert "The UTF-16 size of the JSON-serialized payload must not exceed 16 KB." in text

    def fits(context: Any) -> Any:
        context.set_custom_status("x" * 8190)
        yield context.call_activity("a")

    assert len(Instance(fits).start()) == 1


def test_a_status_over_the_limit_ends_an_orchestration_that_continues_as_new() -> None:
    def orch(context: Any) -> Any:
        context.set_custom_status("x" * 9000)
        context.continue_as_new(1)

    actions = Instance(orch).start()
    assert [type(action) for action in actions] == [CompleteOrchestration]
    assert "must not exceed 16 KB" in failure(actions)


def test_a_status_that_is_no_json_fails_the_orchestration_with_its_path() -> None:
    def orch(context: Any) -> Any:
        context.set_custom_status({"a": [object()]})
        yield context.call_activity("a")

    assert "custom status.a[0]: object" in failure(Instance(orch).start())


# -- external events


def test_events_of_the_client_are_json_text_in_dialect_1_unless_decoded() -> None:
    def orch(context: Any) -> Any:
        seen = []
        for _ in range(5):
            seen.append((yield context.wait_for_external_event("E")))
        return seen

    def outcome(options: SdkOptions, *, client: bool) -> Any:
        one = Instance(orch, options=options)
        one.start()
        texts = ('{"a": 1}', "true", '"x"', "null", None)
        return json.loads(output(one.step(*[EventRaised("E", text, client=client) for text in texts])) or "")

    assert outcome(SdkOptions(), client=True) == ['{"a": 1}', "true", '"x"', "null", "null"]
    decoded = [{"a": 1}, True, "x", None, None]
    assert outcome(SdkOptions(), client=False) == decoded
    assert outcome(SdkOptions(decode_events=True), client=True) == decoded
    assert outcome(TWO, client=True) == decoded


def test_early_events_are_a_queue_each_consumed_once_whatever_the_case() -> None:
    def orch(context: Any) -> Any:
        yield context.call_activity("a")
        seen = []
        for _ in range(3):
            seen.append((yield context.wait_for_external_event("Go")))
        return seen

    one = Instance(orch)
    one.start(EventRaised("go", "1"))
    one.step(EventRaised("GO", "2"))
    one.evict()
    assert one.step(completed(0)) == []
    assert output(one.step(EventRaised("go", "3"))) == "[1, 2, 3]"


def test_unconsumed_events_are_carried_over_continue_as_new_in_order() -> None:
    def orch(context: Any) -> Any:
        yield context.wait_for_external_event("go")
        context.continue_as_new(1)
        yield context.wait_for_external_event("b")

    events = [EventRaised("b", "1"), EventRaised("a", "2"), EventRaised("go"), EventRaised("B", "3", client=True)]
    carried = (CarriedEvent("b", "1"), CarriedEvent("a", "2"), CarriedEvent("B", "3", True))
    for options, carry in ((SdkOptions(), carried), (SdkOptions(carry_over_events=False), ())):
        one = Instance(orch, options=options)
        one.start()
        (end,) = one.step(*events)
        assert isinstance(end, ContinueAsNewWith)
        assert end.carry == carry


# -- continue as new


def test_the_first_continue_as_new_wins_code_goes_on_to_the_next_yield_and_actions_are_dropped() -> None:
    went: list[str] = []

    def orch(context: Any) -> Any:
        context.continue_as_new({"n": 2})
        context.continue_as_new("second")
        went.append("on")
        context.signal_entity(EntityId("c", "k"), "op")
        yield context.create_timer(context.current_utc_datetime)
        went.append("never")

    (end,) = Instance(orch).start()
    assert isinstance(end, ContinueAsNewWith)
    assert json.loads(json.loads(end.input or "")) == {"n": 2}
    assert went == ["on"]


def test_continue_as_new_without_yield_and_with_a_return_value() -> None:
    def plain(context: Any) -> Any:
        context.continue_as_new(None)
        return 5

    (end,) = Instance(plain).start()
    assert isinstance(end, ContinueAsNewWith)

    def failing(context: Any) -> Any:
        context.continue_as_new(1)
        raise ValueError("after")

    assert failure(Instance(failing).start()) == "Orchestrator function 'orch' failed: after"


def test_a_new_generation_starts_without_status_and_counters() -> None:
    def orch(context: Any) -> Any:
        yield context.call_activity(context.new_uuid()[:4])

    one = Instance(orch)
    one.generation, one.turn = 3, 12
    (task,) = one.start()
    assert isinstance(task, ScheduleTask) and (task.id, task.name) == (0, "bf7a")
    assert one.last is not None and (one.last.sets_status, one.last.custom_status) == (True, None)


# -- calls


def test_sub_orchestrations_entities_and_signals() -> None:
    def orch(context: Any) -> Any:
        entity = EntityId("Counter", "Key")
        context.signal_entity(entity, "add", 1)
        child = context.call_sub_orchestrator("Child", {"a": 1}, "child-id", "2.0")
        call = context.call_entity(entity, "get")
        yield context.signal_entity(entity, "set", 0)
        try:
            yield context.task_all([child, call])
        except Exception as error:
            return [str(error), (yield call)]

    one = Instance(orch)
    signal, second, child, call = one.start()
    assert signal == SignalEntity(0, "@counter@Key", "add", "1")
    assert second == SignalEntity(1, "@counter@Key", "set", "0")
    assert isinstance(child, CreateSubOrchestration)
    assert (child.id, child.name, child.instance_id, child.version) == (2, "Child", "child-id", "2.0")
    assert call == CallEntity(3, "@counter@Key", "get", "null")
    reason = "Orchestrator function 'Child' failed: boom"
    one.step(SubOrchestrationInstanceFailed(2, reason, "d"))
    assert json.loads(output(one.step(EntityOperationCompleted(3, "[1]"))) or "") == [f"{reason} \n d", [1]]


def test_a_failed_entity_call_throws_its_text() -> None:
    def orch(context: Any) -> Any:
        try:
            yield context.call_entity(EntityId("Counter", "k"), "add")
        except Exception as error:
            return str(error)

    one = Instance(orch)
    one.start()
    assert output(one.step(EntityOperationFailed(0, "boom!"))) == '"boom!"'
    two = Instance(orch, options=TWO)
    two.start()
    assert (
        output(two.step(EntityOperationFailed(0, "boom!")))
        == "\"Operation 'add' on entity '@counter@k' failed with error: boom!\""
    )


def test_wrong_arguments_are_refused_as_published() -> None:
    def orch(context: Any) -> Any:
        seen = []
        for call in (
            lambda: context.call_activity(""),
            lambda: context.call_activity(print),
            lambda: context.wait_for_external_event(""),
            lambda: context.call_entity(None, "op"),
            lambda: context.call_http("GET", "http://x", {"a": 1}, is_raw_str=True),
            lambda: context.call_activity_with_retry("a", 5),
        ):
            try:
                call()
            except (ValueError, TypeError) as error:
                seen.append(str(error))
        return seen

    texts = json.loads(output(Instance(orch).start()) or "")
    assert texts[0] == "function_name cannot be empty"
    assert texts[1].startswith("The `call_activity` API received a `Callable` without an associated Azure Functions")
    assert texts[2] == "external_event_name cannot be empty"
    assert texts[3] == "entity_id cannot be empty"
    assert "is_raw_str" in texts[4]
    assert texts[5].startswith("retry options must be a RetryOptions or a RetryPolicy, not int")


# -- failures


def test_a_failure_keeps_type_traceback_cause_and_class() -> None:
    seen: list[TaskFailedError] = []

    def orch(context: Any) -> Any:
        try:
            yield context.call_activity("X")
        except Exception as error:
            seen.append(error)  # type: ignore[arg-type]

    cause = FailureDetails("KeyError", "'k'", "builtins")
    details = FailureDetails("ValueError", "boom", "builtins", "  File a, line 1\n", cause)
    one = Instance(orch)
    one.start()
    one.step(TaskFailed(0, "Activity function 'X' failed:  ValueError: boom", None, details))
    (error,) = seen
    assert error.args == ("Activity function 'X' failed:  ValueError: boom \n None",)
    assert (error.error_type, error.message, error.original_class) == ("ValueError", "boom", ValueError)
    assert error.stack_trace == "  File a, line 1\n"
    assert error.cause is not None and error.cause.error_type == "builtins.KeyError"
    assert error.is_caused_by(ValueError) and error.is_caused_by(LookupError) and error.is_caused_by("KeyError")
    assert not error.is_caused_by(OSError)
    assert error.details.error_type == "builtins.ValueError"


def test_an_uncaught_failure_of_an_activity_is_the_cause_of_the_orchestration_s() -> None:
    def orch(context: Any) -> Any:
        yield context.call_activity("X")

    one = Instance(orch)
    one.start()
    details = FailureDetails("ValueError", "boom", "builtins")
    (end,) = one.step(TaskFailed(0, "Activity function 'X' failed:  ValueError: boom", None, details))
    assert end.failure.cause == details  # type: ignore[union-attr]
    assert end.result == (  # type: ignore[union-attr]
        "Orchestrator function 'orch' failed: Activity function 'X' failed:  ValueError: boom \n None"
    )
    assert __file__ in end.failure.stack_trace  # type: ignore[union-attr]
    assert "perdure/sdk" not in end.failure.stack_trace  # type: ignore[union-attr]


def test_an_error_without_text_is_told_by_its_class() -> None:
    def orch(context: Any) -> Any:
        raise ValueError

    assert failure(Instance(orch).start()) == "Orchestrator function 'orch' failed: <class 'ValueError'>"


# -- retries


def test_attempts_and_timers_take_numbers_and_the_last_error_is_thrown_without_a_further_pause() -> None:
    def orch(context: Any) -> Any:
        try:
            yield context.call_activity_with_retry("X", RetryOptions(5000, 2), "in")
        except Exception as error:
            return str(error)

    one = Instance(orch)
    assert one.start() == [ScheduleTask(0, "X", '"in"', 1)]
    assert one.step(TaskFailed(0, "one")) == [CreateTimer(1, START + SECOND + 5 * SECOND)]
    one.evict()
    assert one.step(TimerFired(1, 0)) == [ScheduleTask(2, "X", '"in"', 2)]
    assert output(one.step(TaskFailed(2, "two"))) == '"two \\n None"'


def test_the_full_policy_backs_off_up_to_its_limits() -> None:
    policy = RetryPolicy(
        first_retry_interval=timedelta(seconds=1),
        max_number_of_attempts=10,
        backoff_coefficient=3,
        max_retry_interval=timedelta(seconds=5),
        retry_timeout=timedelta(seconds=8),
    )

    def orch(context: Any) -> Any:
        yield context.call_activity_with_retry("X", policy)

    one = Instance(orch)
    one.start()
    pauses = []
    number = 0
    while True:
        (action,) = one.step(TaskFailed(number, "no"))
        if not isinstance(action, CreateTimer):
            break
        pauses.append((action.fire_at - one.time + SECOND) // SECOND)
        one.step(TimerFired(number + 1, 0))
        number += 2
    # turns are a second apart: nothing is tried again from the eighth second on
    assert pauses == [1, 3, 5, 5]
    assert "no \n None" in failure([action])


def test_a_retried_task_in_task_any_followed_by_a_new_fan_out_completes() -> None:
    """The published SDK can hang for ever here: its host gives the next attempt and the fan-out the same number."""

    def orch(context: Any) -> Any:
        handles = [context.call_activity_with_retry("Sum", RetryOptions(1000, 3), i) for i in range(3)]
        flush = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        pending, results = list(handles), []
        while len(results) < 2:
            winner = yield context.task_any([*pending, flush])
            pending.remove(winner)
            results.append(winner.result)
        flush.cancel()
        rest = yield context.task_all([context.call_activity("New", i) for i in range(3)])
        return [results, rest, (yield pending[0])]

    for evicts in (False, True):
        one = Instance(orch)

        def step(*events: Any, one: Instance = one, evicts: bool = evicts) -> list[Any]:
            if evicts:
                one.evict()
            return one.step(*events)

        one.start()
        (timer,) = step(TaskFailed(0, "timeout"))
        assert isinstance(timer, CreateTimer) and timer.id == 4
        step(completed(1, "1"))
        # the next attempt and the new fan-out are decided in one turn
        actions = step(TimerFired(4, 0), completed(2, "2"))
        assert [a.id for a in actions if isinstance(a, ScheduleTask)] == [5, 6, 7, 8]
        step(completed(6, "6"), completed(8, "8"))
        step(completed(7, "7"))
        assert output(step(completed(5, "0"))) == "[[1, 2], [6, 7, 8], 0]"


# -- durable HTTP


def answer(status: int, **headers: str) -> str:
    return json.dumps({"statusCode": status, "headers": headers, "content": "body"})


def test_a_202_is_polled_by_timers_until_another_status() -> None:
    def orch(context: Any) -> Any:
        reply = yield context.call_http(
            "POST", "http://a/start", {"k": 1}, {"Authorization": "secret", "x-functions-key": "key", "X-Own": "1"}
        )
        return [reply["statusCode"], reply.status_code, reply.content, isinstance(reply, DurableHttpResponse)]

    one = Instance(orch)
    (first,) = one.start()
    assert isinstance(first, ScheduleTask) and first.name == "BuiltIn::HttpActivity"
    assert json.loads(first.input or "")["content"] == '{"k": 1}'
    (timer,) = one.step(completed(0, answer(202, Location="/wait", **{"Retry-After": "7"})))
    assert timer == CreateTimer(1, START + SECOND + 7 * SECOND)
    (poll,) = one.step(TimerFired(1, 0))
    assert isinstance(poll, ScheduleTask)
    request = json.loads(poll.input or "")
    assert request == {
        "method": "GET",
        "uri": "http://a/wait",
        "headers": {"Authorization": "secret", "X-Own": "1"},
    }
    (timer,) = one.step(completed(2, answer(202, Location="http://other/wait")))
    assert timer == CreateTimer(3, START + 3 * SECOND + 30 * SECOND)
    (poll,) = one.step(TimerFired(3, 0))
    assert json.loads(poll.input or "")["headers"] == {"X-Own": "1"}  # type: ignore[union-attr]
    assert output(one.step(completed(4, answer(500)))) == '[500, 500, "body", true]'


def test_a_202_without_location_is_the_answer() -> None:
    def orch(context: Any) -> Any:
        return (yield context.call_http("GET", "http://a"))

    one = Instance(orch)
    one.start()
    assert json.loads(output(one.step(completed(0, answer(202)))) or "")["statusCode"] == 202


# -- async def


def test_async_orchestrators_await_the_same_tasks() -> None:
    async def helper(context: Any) -> Any:
        return await context.call_activity("inner")

    async def orch(context: Any) -> Any:
        try:
            await context.call_activity("fails")
        except Exception as error:
            caught = str(error)
        inner = await helper(context)
        return [caught, inner, await context.task_all([context.call_activity("x"), context.call_activity("y")])]

    one = Instance(orch)
    one.start()
    one.step(TaskFailed(0, "no"))
    assert one.last is not None
    assert one.last.location.endswith(" in helper")
    one.evict()
    one.step(completed(1, '"in"'))
    assert output(one.step(completed(3, "3"), completed(2, "2"))) == '["no \\n None", "in", [2, 3]]'


def test_asyncio_in_an_orchestrator_is_refused_with_what_to_write() -> None:
    import asyncio

    async def sleeps(context: Any) -> Any:
        await asyncio.sleep(1)

    text = failure(Instance(sleeps).start())
    assert "asyncio primitives do not work in an orchestrator" in text
    assert "await context.create_timer(...)" in text

    async def yields_control(context: Any) -> Any:
        await asyncio.sleep(0)

    assert "asyncio.sleep(0) and the like do not work in an orchestrator" in failure(Instance(yields_control).start())


def test_annotations_convert_plain_json_in_async_orchestrators_and_not_in_generators_of_dialect_1() -> None:
    def plain(context: Any) -> Any:
        return type((yield context.call_activity("X", None, int))).__name__

    async def typed(context: Any) -> Any:
        return type(await context.call_activity("X", None, float)).__name__

    one = Instance(plain)
    one.start()
    assert output(one.step(completed(0, '"5"'))) == '"str"'
    two = Instance(typed)
    two.start()
    assert output(two.step(completed(0, "5"))) == '"float"'


def test_typed_payloads_and_dialect_2_convert_in_generators_too() -> None:
    def plain(context: Any) -> Any:
        return type((yield context.call_activity("X", None, float))).__name__

    for options, name in (
        (SdkOptions(), '"int"'),
        (SdkOptions(typed_payloads=True), '"float"'),
        (TWO, '"float"'),
    ):
        one = Instance(plain, options=options)
        one.start()
        assert output(one.step(completed(0, "5"))) == name


# -- the native context


def test_two_argument_orchestrators_get_the_native_context_and_the_decoded_input_in_any_app() -> None:
    def orch(ctx: Any, value: float) -> Any:
        a, _ = ctx.call_activity("a", input=value), ctx.call_activity("b")
        ctx.send_event("other", "go", data={"x": 1})
        ctx.create_timer(timedelta(seconds=5))
        result = yield a
        return [value, result, ctx.current_utc_datetime.tzinfo, ctx.version]

    one = Instance(orch, "4")
    assert one.start() == [
        ScheduleTask(0, "a", "4.0"),
        ScheduleTask(1, "b", "null"),
        SendEvent(2, "other", "go", '{"x": 1}'),
        CreateTimer(3, START + 5 * SECOND),
    ]
    assert output(one.step(completed(0, "1"))) == "[4.0, 1, null, null]"


def test_critical_sections_lock_sorted_entities_and_unlock_on_leaving() -> None:
    def orch(ctx: Any, _: Any) -> Any:
        a, b = EntityId("Acc", "a"), EntityId("Acc", "b")
        with (yield ctx.lock_entities([b, a, b])):
            yield ctx.call_entity(a, "take", 5)
            refused = []
            for call in (
                lambda: ctx.call_entity(EntityId("Acc", "c"), "take"),
                lambda: ctx.signal_entity(b, "take"),
                lambda: ctx.lock_entities([a]),
                lambda: ctx.call_sub_orchestrator("Child"),
            ):
                try:
                    call()
                except RuntimeError as error:
                    refused.append(str(error))
        return refused

    one = Instance(orch)
    assert one.start() == [LockEntities(0, ("@acc@a", "@acc@b"))]
    assert one.step(EntityLockGranted(0)) == [CallEntity(1, "@acc@a", "take", "5")]
    one.evict()
    actions = one.step(EntityOperationCompleted(1))
    assert actions[0] == UnlockEntities(2, 0, ("@acc@a", "@acc@b"))
    assert len(json.loads(output(actions) or "")) == 4


def test_locks_are_released_when_the_code_fails_or_returns_inside() -> None:
    def orch(ctx: Any, fails: Any) -> Any:
        lock = yield ctx.lock_entities([EntityId("Acc", "a")])
        if fails:
            raise ValueError("boom")
        return lock is not None

    for value in ("true", "false"):
        one = Instance(orch, value)
        one.start()
        actions = one.step(EntityLockGranted(0))
        assert UnlockEntities(1, 0, ("@acc@a",)) in actions


# -- mistakes


def line_of(function: Any, offset: int) -> str:
    return f"{__file__}:{function.__code__.co_firstlineno + offset} in {function.__name__}"


def test_a_yielded_value_is_explained_with_its_line() -> None:
    def value(context: Any) -> Any:
        yield 5

    text = failure(Instance(value).start())
    assert f"The orchestrator yielded a non-task at {line_of(value, 1)}: int 5." in text
    assert "Yield only tasks" in text

    def nothing(context: Any) -> Any:
        yield None

    assert f"yielded a non-task at {line_of(nothing, 1)}: None." in failure(Instance(nothing).start())

    def tasks(context: Any) -> Any:
        yield [context.call_activity("a")]

    assert failure(Instance(tasks).start()).endswith("yield context.task_all([...]) or context.task_any([...])")

    def helper(context: Any) -> Any:
        yield context.call_activity("a")

    def generator(context: Any) -> Any:
        yield helper(context)

    assert "write `yield from helper(context)`" in failure(Instance(generator).start())


def test_a_forgotten_yield_is_explained_where_it_shows() -> None:
    def indexes(context: Any) -> Any:
        result = context.call_activity("Get")
        yield context.call_activity("Use", result["key"])

    assert "write `yield context.call_activity('Get')`" in failure(Instance(indexes).start())

    def returns(context: Any) -> Any:
        return context.call_activity("Get")

    assert "returned the task of context.call_activity('Get'), not its result" in failure(Instance(returns).start())

    def passes(context: Any) -> Any:
        result = context.call_activity("Get")
        yield context.call_activity("Use", result)

    text = failure(Instance(passes).start())
    assert "call_activity('Use') got the task of context.call_activity('Get') as input, made at " in text
    assert line_of(passes, 1) in text


def test_a_task_used_as_its_result_is_explained_with_its_line() -> None:
    def adds(context: Any) -> Any:
        result = context.call_activity("Get")
        yield context.call_activity("Use", 1)
        return "text " + result

    def compares(context: Any) -> Any:
        return context.task_all([context.call_activity("Get")]) > 3

    def reads(context: Any) -> Any:
        return context.call_activity("Get").upper()

    def nests(context: Any) -> Any:
        yield context.call_activity("Use", {"a": [context.call_activity("Get")]})

    def indexes(context: Any) -> Any:
        return context.call_activity("Get")["key"]

    one = Instance(adds)
    one.start()
    text = failure(one.step(completed(0)))
    assert f"at {line_of(adds, 3)}: a task is not its result: write `yield` before the call" in text
    for code in (compares, reads, nests, indexes):
        text = failure(Instance(code).start())
        assert f"at {line_of(code, 1)}" in text, text
        assert "not its result" in text or "not the result" in text


def test_asyncio_is_explained_with_the_users_line() -> None:
    async def sleeps(context: Any) -> Any:
        await asyncio.sleep(1)

    async def waits(context: Any) -> Any:
        await asyncio.Queue().get()

    async def gives_way(context: Any) -> Any:
        await asyncio.sleep(0)

    async def gathers(context: Any) -> Any:
        await asyncio.gather(context.call_activity("a"))

    for code in (sleeps, waits, gives_way, gathers):
        text = failure(Instance(code).start())
        assert f"at {line_of(code, 1)}" in text, text
        assert "not work in an orchestrator" in text


def test_calls_that_were_never_yielded_are_named_in_a_warning(caplog: Any) -> None:
    def orch(context: Any) -> Any:
        context.call_activity("Lost")
        yield context.call_activity("Kept")

    one = Instance(orch)
    one.start()
    with caplog.at_level(logging.WARNING):
        one.step(completed(0))
        one.turn = 0
        one.start()
        one.step(completed(0))
    (record,) = [r for r in caplog.records if "never yielded" in r.getMessage()]
    assert f"context.call_activity('Lost') at {line_of(orch, 1)}" in record.getMessage()


def test_a_context_used_outside_its_turn_says_so() -> None:
    kept: list[Any] = []

    def orch(context: Any) -> Any:
        kept.append(context)
        yield context.call_activity("a")

    one = Instance(orch)
    one.start()
    try:
        kept[0].call_activity("b")
    except RuntimeError as error:
        text = str(error)
    assert "was used outside the orchestrator 'orch' of instance 'inst': its context is between turns" in text


def test_base_exceptions_shapes_and_foreign_tasks_fail_the_orchestration_with_reasons() -> None:
    def exits(context: Any) -> Any:
        raise SystemExit(3)

    text = failure(Instance(exits).start())
    assert f"SystemExit raised at {line_of(exits, 1)}: an orchestrator ends by returning or by raising" in text

    async def both(context: Any) -> Any:
        yield context.call_activity("a")

    assert "is an async generator" in failure(Instance(both).start())

    def none() -> Any:
        return 1

    assert "takes 0 required arguments" in failure(Instance(none).start())

    shared: list[Any] = []

    def foreign(context: Any) -> Any:
        if not shared:
            shared.append(context.call_activity("a"))
        yield shared[0]

    Instance(foreign).start()
    assert "a task that another context made" in failure(Instance(foreign).start())


def test_an_output_that_is_no_json_names_its_path() -> None:
    def orch(context: Any) -> Any:
        return {"a": [1, object()]}

    assert "output.a[1]: object" in failure(Instance(orch).start())


# -- rewind


def test_a_rewound_failure_is_void_and_its_task_completes_later() -> None:
    def orch(context: Any) -> Any:
        first = yield context.call_activity("a")
        second = yield context.call_activity("b")
        return [first, second]

    one = Instance(orch)
    one.start()
    one.step(completed(0, "1"))
    failure(one.step(TaskFailed(1, "no")))
    one.rows.append(b'[{"EventType":"OrchestratorStarted","Timestamp":1},{"EventType":"ExecutionRewound","Tasks":[1]}]')
    one.turn += 1
    assert ExecutionRewound  # its row is one that user code never sees
    assert output(one.step(completed(1, "2"))) == "[1, 2]"


def test_starting_events_come_before_the_start_too() -> None:
    def orch(context: Any) -> Any:
        return (yield context.wait_for_external_event("go"))

    one = Instance(orch)
    assert output(one.step(EventRaised("go", "1"), ExecutionStarted("orch"))) == "1"


def test_a_result_that_cannot_be_rebuilt_is_thrown_at_the_yield() -> None:
    def orch(context: Any) -> Any:
        try:
            yield context.call_activity("X")
        except ValueError as error:
            return str(error)

    one = Instance(orch)
    one.start()
    text = output(one.step(completed(0, '{"__class__": "C", "__module__": "no.such", "__data__": 1}')))
    assert "module 'no.such' is not loaded" in (text or "")
