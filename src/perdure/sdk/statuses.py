"""What the client's methods of SDK 1.x return."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

from perdure.sdk.types import DATETIME_STRING_FORMAT, OrchestrationRuntimeStatus


def parse_time(text: str | None) -> datetime | None:
    """An aware time from ISO text with any number of fractional digits, None from None."""
    if text is None:
        return None
    whole = text[:-1] + "+00:00" if text.endswith(("Z", "z")) else text
    head, dot, tail = whole.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        whole = f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"
    parsed = datetime.fromisoformat(whole)
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=timezone.utc)


def _text_of_time(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(timezone.utc).strftime(DATETIME_STRING_FORMAT)


class DurableOrchestrationStatus:
    """The status of an instance. False in a condition when there is no such instance: all members are then None.

    Takes the keys of the HTTP API's status payload; unknown keys become attributes.
    """

    def __init__(
        self,
        name: str | None = None,
        instanceId: str | None = None,
        createdTime: str | None = None,
        lastUpdatedTime: str | None = None,
        input: Any = None,
        output: Any = None,
        runtimeStatus: OrchestrationRuntimeStatus | str | None = None,
        customStatus: Any = None,
        history: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._name = name
        self._instance_id = instanceId
        self._created_time = parse_time(createdTime)
        self._last_updated_time = parse_time(lastUpdatedTime)
        self._input = input
        self._output = output
        self._runtime_status = None if runtimeStatus is None else OrchestrationRuntimeStatus(runtimeStatus)
        self._custom_status = customStatus
        self._history: list[Any] | None = history if history is not None else kwargs.get("historyEvents")
        for key, value in kwargs.items():
            setattr(self, key, value)

    def __bool__(self) -> bool:
        return self._created_time is not None

    @classmethod
    def from_json(cls, json_obj: Any) -> DurableOrchestrationStatus:
        """The status from a payload: a dict, or a text, which becomes `.message`."""
        return cls(message=json_obj) if isinstance(json_obj, str) else cls(**json_obj)

    def to_json(self) -> dict[str, Any]:
        """The status as a JSON object with the published keys."""
        result: dict[str, Any] = {
            "name": self._name,
            "instanceId": self._instance_id,
            "createdTime": _text_of_time(self._created_time),
            "lastUpdatedTime": _text_of_time(self._last_updated_time),
            "output": self._output,
            "input": self._input,
        }
        if self._runtime_status is not None:
            result["runtimeStatus"] = self._runtime_status.name
        result["customStatus"] = self._custom_status
        result["history"] = self._history
        return result

    def __repr__(self) -> str:
        return f"<DurableOrchestrationStatus {json.dumps(self.to_json(), default=str)}>"

    @property
    def name(self) -> str | None:
        """The orchestrator's name."""
        return self._name

    @property
    def instance_id(self) -> str | None:
        """The instance's id."""
        return self._instance_id

    @property
    def created_time(self) -> datetime | None:
        """When the instance was created, in UTC."""
        return self._created_time

    @property
    def last_updated_time(self) -> datetime | None:
        """When the instance last did something, in UTC."""
        return self._last_updated_time

    @property
    def input_(self) -> Any:
        """The input; JSON text for what the client of SDK 1.x started."""
        return self._input

    @property
    def output(self) -> Any:
        """The output, or the text of the failure or the termination."""
        return self._output

    @property
    def runtime_status(self) -> OrchestrationRuntimeStatus | None:
        """The runtime status."""
        return self._runtime_status

    @property
    def custom_status(self) -> Any:
        """What the orchestrator set last with `set_custom_status`."""
        return self._custom_status

    @property
    def history(self) -> list[Any] | None:
        """The history events, when asked for."""
        return self._history


class PurgeHistoryResult:
    """How many instances a purge deleted."""

    def __init__(self, instancesDeleted: int, **kwargs: Any) -> None:
        self._instances_deleted = instancesDeleted
        for key, value in kwargs.items():
            setattr(self, key, value)

    @classmethod
    def from_json(cls, json_obj: dict[Any, Any]) -> PurgeHistoryResult:
        """The result from a payload."""
        return cls(**json_obj)

    @property
    def instances_deleted(self) -> int:
        """The number of deleted instances."""
        return self._instances_deleted


class EntityStateResponse:
    """The state of an entity, if it exists."""

    def __init__(self, entity_exists: bool, entity_state: Any = None) -> None:
        self._entity_exists = entity_exists
        self._entity_state = entity_state

    @property
    def entity_exists(self) -> bool:
        """Whether the entity has a state."""
        return self._entity_exists

    @property
    def entity_state(self) -> Any:
        """The state as plain JSON; None when it does not exist."""
        return self._entity_state
