"""`orchestrator_generator_wrapper`: orchestrators in unit tests, with mocked tasks."""

from __future__ import annotations

from typing import Any

from perdure.sdk.generator_testing import orchestrator_generator_wrapper
from perdure.sdk.tasks import SUCCEEDED, AtomicTask, settle


class Mocked:
    """A task as user tests mock it."""

    def __init__(self, result: Any) -> None:
        self._result = result

    @property
    def result(self) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


def test_results_are_fed_back_and_failures_thrown() -> None:
    first, second = Mocked(1), Mocked(ValueError("no"))

    def orchestrator(context: Any) -> Any:
        a = yield first
        try:
            yield second
        except ValueError as error:
            return [a, str(error)]

    assert list(orchestrator_generator_wrapper(orchestrator(None))) == [first, second, [1, "no"]]


def test_an_orchestrator_that_returns_before_its_first_yield() -> None:
    def orchestrator(context: Any) -> Any:
        return 5
        yield

    assert list(orchestrator_generator_wrapper(orchestrator(None))) == [5]


def test_an_async_orchestrator_with_tasks_of_the_sdk() -> None:
    task: AtomicTask[int] = AtomicTask()
    settle(task, SUCCEEDED, 3)

    async def orchestrator(context: Any) -> int:
        return 2 * await task

    assert list(orchestrator_generator_wrapper(orchestrator(None))) == [task, 6]
