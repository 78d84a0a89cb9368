"""Small names of SDK 1.x that nothing here needs and that apps may import: messages of entities, JSON functions."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from enum import Enum
from typing import Any

from perdure.sdk.management_urls import utc_text
from perdure.sdk.references import output_type
from perdure.sdk.serialization import dumps, loads
from perdure.sdk.types import EntityId


def df_dumps(value: Any) -> str:
    """The JSON text of a value. Raises `TypeError` for a value that has none."""
    return dumps(value)


def df_loads(s: str, expected_type: type | None = None) -> Any:
    """The value of a JSON text."""
    return loads(s, expected_type)


def activity_output_type(name_or_callable: Any) -> type | None:
    """The class that a decorated activity's return annotation names, else None."""
    return output_type(name_or_callable)


def sub_orchestrator_output_type(name_or_callable: Any) -> type | None:
    """The class that a decorated orchestrator's return annotation names, else None."""
    return output_type(name_or_callable)


def add_attrib(json_dict: dict[str, Any], object_: Any, attribute_name: str, alt_name: str | None = None) -> None:
    """Copy an attribute, if there is one, into a dict."""
    if hasattr(object_, attribute_name):
        json_dict[alt_name or attribute_name] = getattr(object_, attribute_name)


def add_datetime_attrib(
    json_dict: dict[str, Any], object_: Any, attribute_name: str, alt_name: str | None = None
) -> None:
    """Copy a time, if there is one, as text into a dict."""
    if hasattr(object_, attribute_name):
        json_dict[alt_name or attribute_name] = utc_text(getattr(object_, attribute_name))


def add_json_attrib(json_dict: dict[str, Any], object_: Any, attribute_name: str, alt_name: str | None = None) -> None:
    """Copy what an attribute's `to_json` gives, if it has a value, into a dict."""
    value = getattr(object_, attribute_name, None)
    if value:
        json_dict[alt_name or attribute_name] = value.to_json()


_TIMESPAN = re.compile(r"(-)?(?:(\d*)\.)?(\d{2}):(\d{2}):(\d{2})(?:\.(\d{7}))?")


def parse_timespan_attrib(from_str: str) -> timedelta:
    """A timespan ``[-][d.]hh:mm:ss[.fffffff]``. Raises `Exception` for any other text."""
    match = _TIMESPAN.fullmatch(from_str)
    if match is None:
        raise Exception(f"Format of TimeSpan failed attempted conversion to timedelta: {from_str}")
    negative, *numbers = match.groups()
    days, hours, minutes, seconds, ticks = (int(number or 0) for number in numbers)
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=ticks // 10)
    return -span if negative else span


class RequestMessage:
    """A request to an entity in the published protocol."""

    def __init__(
        self,
        id_: str,
        name: str | None = None,
        signal: bool | None = None,
        input_: str | None = None,
        arg: Any = None,
        parent: str | None = None,
        lockset: list[EntityId] | None = None,
        pos: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.id = id_
        self.name = name
        self.signal = signal
        self.input = input_
        self.arg = arg
        self.parent = parent
        self.lockset = lockset
        self.pos = pos

    @classmethod
    def from_json(cls, json_str: str) -> RequestMessage:
        """The request from its JSON text."""
        fields = json.loads(json_str)
        fields["id_"] = fields.pop("id")
        return cls(**fields)


class ResponseMessage:
    """An entity's response in the published protocol."""

    def __init__(self, result: str, is_exception: bool = False) -> None:
        timed_out = result.strip().startswith("Timeout value of")
        self.result = json.dumps(result) if timed_out else result
        self.is_exception = is_exception or timed_out

    @classmethod
    def from_dict(cls, d: dict[str, Any]) -> ResponseMessage:
        """The response from its JSON object."""
        return cls(d["result"], "exceptionType" in d)


class Signal:
    """A signal that an entity sends in the published protocol."""

    def __init__(self, target: EntityId, name: str, input_: str) -> None:
        self._target = target
        self._name = name
        self._input = input_

    @property
    def target(self) -> EntityId:
        """The entity to signal."""
        return self._target

    @property
    def name(self) -> str:
        """The operation."""
        return self._name

    @property
    def input(self) -> str:
        """The input."""
        return self._input


class OperationResult:
    """The result of one operation in the published protocol; times in milliseconds."""

    def __init__(self, is_error: bool, duration: int, execution_start_time_ms: int, result: Any = None) -> None:
        self._is_error = is_error
        self._duration = duration
        self._execution_start_time_ms = execution_start_time_ms
        self._result = result

    @property
    def is_error(self) -> bool:
        """Whether the operation raised."""
        return self._is_error

    @property
    def duration(self) -> int:
        """How long it took."""
        return self._duration

    @property
    def execution_start_time_ms(self) -> int:
        """When it began, since 1970."""
        return self._execution_start_time_ms

    @property
    def result(self) -> Any:
        """What it gave."""
        return self._result

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "isError": self._is_error,
            "duration": self._duration,
            "startTime": self._execution_start_time_ms,
            "result": dumps(self._result, "result"),
        }


class EntityState:
    """What a batch leaves behind in the published protocol. `state_is_raw`: the state is JSON text already."""

    def __init__(
        self,
        results: list[OperationResult],
        signals: list[Signal],
        entity_exists: bool = False,
        state: Any = None,
        state_is_raw: bool = False,
    ) -> None:
        self.entity_exists = entity_exists
        self.state = state
        self.state_is_raw = state_is_raw
        self._results = results
        self._signals = signals

    @property
    def results(self) -> list[OperationResult]:
        """One result per operation."""
        return self._results

    @property
    def signals(self) -> list[Signal]:
        """What the entity sends."""
        return self._signals

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object."""
        return {
            "entityExists": self.entity_exists,
            "entityState": self.state if self.state_is_raw else dumps(self.state, "state"),
            "results": [result.to_json() for result in self._results],
            "signals": self._signals,
        }

    def to_json_string(self) -> str:
        """The answer as JSON text."""
        return json.dumps(self.to_json())


class ReplaySchema(Enum):
    """Versions of the answer to an orchestration trigger."""

    V1 = 0
    V2 = 1
    V3 = 2


class OrchestratorState:
    """The answer to an orchestration trigger."""

    def __init__(
        self,
        is_done: bool,
        actions: list[list[Any]],
        output: Any,
        replay_schema: ReplaySchema,
        error: str | None = None,
        custom_status: Any = None,
    ) -> None:
        self._is_done = is_done
        self._actions = actions
        self._output = output
        self._error = error
        self._custom_status = custom_status
        self._replay_schema = replay_schema

    @property
    def actions(self) -> list[list[Any]]:
        """All actions since the start of the execution."""
        return self._actions

    @property
    def is_done(self) -> bool:
        """Whether the function returned or continued as new."""
        return self._is_done

    @property
    def output(self) -> Any:
        """What the function returned."""
        return self._output

    @property
    def error(self) -> str | None:
        """The text of what it raised."""
        return self._error

    @property
    def custom_status(self) -> Any:
        """The custom status."""
        return self._custom_status

    @property
    def schema_version(self) -> int:
        """The number of the version."""
        return self._replay_schema.value

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object; empty parts are left out."""
        answer: dict[str, Any] = {"isDone": self._is_done}
        if self._replay_schema is not ReplaySchema.V1:
            answer["schemaVersion"] = self.schema_version
        answer["actions"] = [[action.to_json() for action in actions] for actions in self._actions]
        if self._output is not None:
            answer["output"] = self._output
        if self._error:
            answer["error"] = self._error
        if self._custom_status:
            answer["customStatus"] = self._custom_status
        return answer

    def to_json_string(self) -> str:
        """The answer as JSON text."""
        return dumps(self.to_json(), "answer")
