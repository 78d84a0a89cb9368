"""`orchestrator_generator_wrapper`: run an orchestrator's generator in a unit test, with mocked tasks."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any


def orchestrator_generator_wrapper(
    generator: Generator[Any, Any, Any] | Coroutine[Any, Any, Any],
) -> Generator[Any, Any, None]:
    """Yield what the orchestrator yields and feed back each task's `.result`; the last value is the return value.

    When reading `.result` raises, that exception is thrown into the orchestrator. An `async def` orchestrator is run in
    the same way; what it awaits must be tasks of the SDK.
    """
    try:
        task = generator.send(None)
        while True:
            yield task
            try:
                result = task.result
            except Exception as error:  # noqa: BLE001  a mock's failure is the orchestrator's
                task = generator.throw(error)
            else:
                task = generator.send(result)
    except StopIteration as stop:
        yield stop.value
