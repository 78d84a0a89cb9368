"""`execute_entity`: run one operation of an entity in a unit test."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from perdure.model.execution import EntitySignal, EntityStart
from perdure.sdk.client_types import decoded, time_of
from perdure.sdk.codes import EntityCode, code_of
from perdure.sdk.entity import _Batch
from perdure.sdk.options import SdkOptions
from perdure.sdk.serialization import dumps, net_input
from perdure.sdk.types import EntityInstanceId


class EntitySignalAction:
    """A signal that the operation sent."""

    def __init__(self, signal: EntitySignal) -> None:
        self._input = signal.input
        self.entity_id = EntityInstanceId.parse(signal.entity)
        self.operation = signal.operation
        self.scheduled_time: datetime | None = time_of(signal.due) if signal.due else None

    def get_input(self, expected_type: Any = None) -> Any:
        """The decoded input."""
        return decoded(self._input, expected_type)


class OrchestrationStartAction:
    """An orchestration that the operation started."""

    def __init__(self, start: EntityStart) -> None:
        self._input = start.input
        self.name = start.name
        self.instance_id = start.instance_id

    def get_input(self, expected_type: Any = None) -> Any:
        """The decoded input."""
        return decoded(net_input(self._input), expected_type)


class EntityTestResult:
    """What an operation gave and left behind."""

    def __init__(self, result: str | None, state: str | None, actions: tuple[Any, ...]) -> None:
        self._result = result
        self._state = state
        self.actions = actions

    def get_result(self, expected_type: Any = None) -> Any:
        """The decoded result."""
        return decoded(self._result, expected_type)

    def get_state(self, expected_type: Any = None) -> Any:
        """The decoded state, None when the entity is gone."""
        return decoded(self._state, expected_type)


def execute_entity(
    entity: Any,
    operation: str,
    input: Any = None,
    state: Any = None,
    *,
    entity_name: str | None = None,
    entity_key: str = "test",
) -> EntityTestResult:
    """Run one operation of a decorated or plain entity. Exceptions of the operation are raised."""
    from perdure.model.execution import EntityRequest
    from perdure.model.history import EntityOperationRequested

    function = entity._function._func if hasattr(entity, "_function") else entity
    code = code_of(function) or EntityCode(function)
    if not isinstance(code, EntityCode):
        raise TypeError(f"{code.name} is an orchestrator, not an entity")
    requested = EntityOperationRequested(operation, None if input is None else dumps(input, "input"))
    name = (entity_name or code.name).lower()
    stored = None if state is None else dumps(state, "state")
    batch = _Batch(code, EntityRequest(0, 0, f"@{name}@{entity_key}", name, 0, stored, [requested]), SdkOptions())
    batch.begin(requested)
    value = batch.call(requested)
    if asyncio.iscoroutine(value):
        value = asyncio.run(value)
    batch.succeeded(value)
    decided = batch.decided()
    if decided is None:
        batch.context._state_text()  # raises and says what cannot be written
        raise AssertionError
    actions = (*map(EntitySignalAction, decided.signals), *map(OrchestrationStartAction, decided.starts))
    return EntityTestResult(decided.results[0].result, decided.state, actions)
