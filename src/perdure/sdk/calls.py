"""What both context classes do when code asks for something: check, serialise, make the task."""

from __future__ import annotations

import sys
from typing import Any

from perdure.sdk import mistakes
from perdure.sdk.atomic_tasks import ActivityTask, SubOrchestrationTask
from perdure.sdk.execution import Execution
from perdure.sdk.expectation import Expectation
from perdure.sdk.references import durable_name, output_type
from perdure.sdk.retriable import RetryAbleTask
from perdure.sdk.retry import check_policy
from perdure.sdk.serialization import dumps, stored_input
from perdure.sdk.tasks import TaskBase
from perdure.sdk.types import ACTIVITY_TRIGGER, ORCHESTRATION_TRIGGER

_getframe = sys._getframe


def input_text(value: Any, call: str) -> str | None:
    """The JSON text of an input. A task in its place is a forgotten `yield`; raises `TypeError` that says so."""
    if isinstance(value, TaskBase):
        raise mistakes.task_as_input(value, call)
    return dumps(value, "input")


def expected_of(reference: Any, explicit: Any, *, converts: bool) -> Expectation | None:
    """What to expect of a call's result: the explicit type, else a function's return annotation."""
    if explicit is None:
        if type(reference) is str:
            return None
        explicit = output_type(reference)
        if explicit is None:
            return None
    return Expectation(explicit, converts)


def call_activity(
    execution: Execution, reference: Any, value: Any, expected_type: Any, *, converts: bool, depth: int = 2
) -> ActivityTask[Any]:
    name = durable_name(reference, ACTIVITY_TRIGGER)
    text = input_text(value, f"call_activity({name!r})")
    task: ActivityTask[Any] = ActivityTask(
        execution, name, text, expected_of(reference, expected_type, converts=converts)
    )
    frame = _getframe(depth)
    task._origin = (frame.f_code, frame.f_lasti)
    execution.begin(task)
    return task


def call_activity_with_retry(
    execution: Execution, reference: Any, policy: Any, value: Any, expected_type: Any, *, converts: bool, depth: int = 2
) -> RetryAbleTask:
    name = durable_name(reference, ACTIVITY_TRIGGER)
    policy = check_policy(policy)
    text = input_text(value, f"call_activity_with_retry({name!r})")
    expected = expected_of(reference, expected_type, converts=converts)
    frame = _getframe(depth)
    origin = (frame.f_code, frame.f_lasti)

    def attempt(number: int) -> ActivityTask[Any]:
        task: ActivityTask[Any] = ActivityTask(execution, name, text, expected, number)
        task._origin = origin
        return task

    retriable = RetryAbleTask(execution, policy, attempt(1), attempt)
    retriable._origin = origin
    execution.begin(retriable)
    return retriable


def call_sub_orchestrator(
    execution: Execution,
    reference: Any,
    value: Any,
    instance_id: str | None,
    version: str | None,
    expected_type: Any,
    policy: Any = None,
    *,
    converts: bool,
    depth: int = 2,
) -> TaskBase[Any]:
    name = durable_name(reference, ORCHESTRATION_TRIGGER)
    text = stored_input(input_text(value, f"call_sub_orchestrator({name!r})"), execution.options.dialect)
    expected = expected_of(reference, expected_type, converts=converts)
    frame = _getframe(depth)
    origin = (frame.f_code, frame.f_lasti)

    def attempt(number: int) -> SubOrchestrationTask[Any]:
        child: SubOrchestrationTask[Any] = SubOrchestrationTask(
            execution, name, text, instance_id or None, version, expected, number
        )
        child._origin = origin
        return child

    task: TaskBase[Any] = attempt(1)
    if policy is not None:
        task = RetryAbleTask(execution, check_policy(policy), task, attempt)
        task._origin = origin
    execution.begin(task)
    return task
