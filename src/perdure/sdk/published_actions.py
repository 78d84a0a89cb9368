"""The action classes of SDK 1.x: what an orchestrator's answer lists in the published protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import date, datetime
from enum import IntEnum
from typing import Any

from perdure.sdk.management_urls import utc_text
from perdure.sdk.serialization import dumps
from perdure.sdk.types import DurableHttpRequest, EntityId, RetryOptions, scheduler_id


class ActionType(IntEnum):
    """Numbers of actions in the published protocol."""

    CALL_ACTIVITY = 0
    CALL_ACTIVITY_WITH_RETRY = 1
    CALL_SUB_ORCHESTRATOR = 2
    CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
    CONTINUE_AS_NEW = 4
    CREATE_TIMER = 5
    WAIT_FOR_EXTERNAL_EVENT = 6
    CALL_ENTITY = 7
    CALL_HTTP = 8
    SIGNAL_ENTITY = 9
    WHEN_ANY = 11
    WHEN_ALL = 12


class Action(ABC):
    """Base of all actions."""

    @property
    @abstractmethod
    def action_type(self) -> int:
        """The number of the action."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""

    def _shaped(self, **fields: Any) -> dict[str, Any]:
        return {"actionType": self.action_type, **fields}


def _named(function_name: str) -> str:
    if not function_name:
        raise ValueError("function_name cannot be empty")
    return function_name


class CallActivityAction(Action):
    """Call an activity."""

    action_type = ActionType.CALL_ACTIVITY

    def __init__(self, function_name: str, input_: Any = None) -> None:
        self.function_name = _named(function_name)
        self.input_ = dumps(input_)

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(functionName=self.function_name, input=self.input_)


class CallActivityWithRetryAction(Action):
    """Call an activity with retries."""

    action_type = ActionType.CALL_ACTIVITY_WITH_RETRY

    def __init__(self, function_name: str, retry_options: RetryOptions, input_: Any = None) -> None:
        self.function_name = _named(function_name)
        self.retry_options = retry_options
        self.input_ = dumps(input_)

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        options = self.retry_options.to_json()
        return self._shaped(functionName=self.function_name, input=self.input_, retryOptions=options)


class CallSubOrchestratorAction(Action):
    """Call a sub-orchestrator."""

    action_type = ActionType.CALL_SUB_ORCHESTRATOR

    def __init__(
        self, function_name: str, _input: Any = None, instance_id: str | None = None, version: str | None = None
    ) -> None:
        self.function_name = _named(function_name)
        self._input = dumps(_input)
        self.instance_id = instance_id
        self.version = version

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(
            functionName=self.function_name, input=self._input, instanceId=self.instance_id, version=self.version
        )


class CallSubOrchestratorWithRetryAction(Action):
    """Call a sub-orchestrator with retries."""

    action_type = ActionType.CALL_SUB_ORCHESTRATOR_WITH_RETRY

    def __init__(
        self,
        function_name: str,
        retry_options: RetryOptions,
        _input: Any = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> None:
        self.function_name = _named(function_name)
        self.retry_options = retry_options
        self._input = dumps(_input)
        self.instance_id = instance_id
        self.version = version

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(
            functionName=self.function_name,
            input=self._input,
            retryOptions=self.retry_options.to_json(),
            instanceId=self.instance_id,
            version=self.version,
        )


class ContinueAsNewAction(Action):
    """Continue as new."""

    action_type = ActionType.CONTINUE_AS_NEW

    def __init__(self, input_: Any = None) -> None:
        self.input_ = dumps(input_)

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(input=self.input_)


class CreateTimerAction(Action):
    """Create a timer."""

    action_type = ActionType.CREATE_TIMER

    def __init__(self, fire_at: datetime, is_cancelled: bool = False) -> None:
        if not isinstance(fire_at, date):
            raise ValueError("fireAt: Expected valid datetime object but got ", fire_at)
        self.fire_at = fire_at
        self.is_cancelled = is_cancelled

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(fireAt=utc_text(self.fire_at), isCanceled=self.is_cancelled)


class WaitForExternalEventAction(Action):
    """Wait for an external event."""

    action_type = ActionType.WAIT_FOR_EXTERNAL_EVENT

    def __init__(self, external_event_name: str) -> None:
        if not external_event_name:
            raise ValueError("external_event_name cannot be empty")
        self.external_event_name = external_event_name
        self.reason = "ExternalEvent"

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(externalEventName=self.external_event_name, reason=self.reason)


class _EntityAction(Action):
    def __init__(self, entity_id: EntityId, operation: str, input_: Any = None) -> None:
        if not entity_id:
            raise ValueError("entity_id cannot be empty")
        self.entity_id = entity_id
        self.instance_id = scheduler_id(entity_id)
        self.operation = operation
        self.input_ = dumps(input_)

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(instanceId=self.instance_id, operation=self.operation, input=self.input_)


class CallEntityAction(_EntityAction):
    """Call an entity."""

    action_type = ActionType.CALL_ENTITY


class SignalEntityAction(_EntityAction):
    """Signal an entity."""

    action_type = ActionType.SIGNAL_ENTITY


class CallHttpAction(Action):
    """Call an HTTP address."""

    action_type = ActionType.CALL_HTTP

    def __init__(self, http_request: DurableHttpRequest) -> None:
        self.http_request = http_request

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(httpRequest=self.http_request.to_json())


class CompoundAction(Action):
    """Base of actions that hold others."""

    def __init__(self, compound_tasks: Sequence[Action]) -> None:
        self.compound_tasks = compound_tasks

    def to_json(self) -> dict[str, Any]:
        """The action as a JSON object."""
        return self._shaped(compoundActions=[action.to_json() for action in self.compound_tasks])


class WhenAllAction(CompoundAction):
    """All of several actions."""

    action_type = ActionType.WHEN_ALL


class WhenAnyAction(CompoundAction):
    """Any of several actions."""

    action_type = ActionType.WHEN_ANY


class NoOpAction(Action):
    """The action of an anonymous task; it never travels."""

    def __init__(self, metadata: str | None = None) -> None:
        self.metadata = metadata

    def action_type(self) -> int:  # type: ignore[override]  # published as a method
        """Raises `Exception`: there is none."""
        raise Exception("Attempted to get action type of an anonymous Action")

    def to_json(self) -> dict[str, Any]:
        """Raises `Exception`: there is none."""
        raise Exception("Attempted to convert an anonymous Action to JSON")
