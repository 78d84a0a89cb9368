"""What entity code sees: the context of SDK 1.x, the native one of 2.0, and the state and outbox behind both."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from perdure.model.execution import EntitySignal, EntityStart
from perdure.model.instance import bad_instance_id, too_long_id
from perdure.sdk.references import durable_name
from perdure.sdk.serialization import dumps, loads, stored_input
from perdure.sdk.typed import convert
from perdure.sdk.types import ORCHESTRATION_TRIGGER, EntityId, EntityInstanceId, scheduler_id

AnyEntity = EntityId | EntityInstanceId | str
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)


def from_json_util(json_str: str, expected_type: Any = None) -> Any:
    """The value of a payload."""
    return loads(json_str, expected_type)


class Outbox:
    """What an entity sends during a batch, by the `operation` under way. `dialect` decides how inputs of started
    orchestrations are stored."""

    __slots__ = ("dialect", "operation", "signals", "starts")

    def __init__(self, dialect: int = 1) -> None:
        self.dialect = dialect
        self.operation = 0
        self.signals: list[EntitySignal] = []
        self.starts: list[EntityStart] = []

    def signal(self, entity: AnyEntity, operation: str, value: Any, at: datetime | None) -> None:
        """Send an operation to another entity, now or at a time."""
        text = None if value is None else dumps(value, "input")
        identifier = scheduler_id(entity)
        wrong = too_long_id(identifier)
        if wrong is not None:
            raise ValueError(wrong)
        self.signals.append(EntitySignal(identifier, operation, text, _microseconds(at), self.operation))

    def start(self, orchestrator: Any, value: Any, instance_id: str | None, version: str | None) -> str:
        """Start an orchestration and give its id."""
        name = durable_name(orchestrator, ORCHESTRATION_TRIGGER, "orchestration_name")
        identifier = instance_id or uuid.uuid4().hex
        wrong = bad_instance_id(identifier)
        if wrong is not None:
            raise ValueError(wrong)
        text = None if value is None else stored_input(dumps(value, "input"), self.dialect)
        self.starts.append(EntityStart(name, identifier, text, version, self.operation))
        return identifier

    def mark(self) -> tuple[int, int]:
        """A position to come back to with `cut`."""
        return len(self.signals), len(self.starts)

    def cut(self, mark: tuple[int, int]) -> None:
        """Forget what was sent after a mark."""
        del self.signals[mark[0] :]
        del self.starts[mark[1] :]


def _microseconds(time: datetime | None) -> int:
    if time is None:
        return 0
    aware = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
    return (aware - _EPOCH) // _MICROSECOND


class DurableEntityContext:
    """The entity as its function sees it (one-argument functions).

    The state is the live object between operations of a batch in dialect 1, a fresh copy on every call in dialect 2.
    """

    def __init__(self, name: str, key: str, exists: bool, state: Any) -> None:
        self._entity_name = name
        self._entity_key = key
        self._exists = exists
        self._is_newly_constructed = False
        #: a live value, or JSON text while `_state_is_raw`
        self._state: Any = state
        self._state_is_raw = False
        #: the input as the published protocol has it: encoded twice
        self._input: Any = None
        self._operation: str | None = None
        self._result: Any = None
        self._result_set = False
        self._copies = False
        self._outbox = Outbox()

    # -- the batch's side

    @classmethod
    def _of(cls, name: str, key: str, state: str | None, outbox: Outbox, *, copies: bool) -> DurableEntityContext:
        self = cls(name, key, state is not None, state)
        self._state_is_raw = state is not None
        self._copies = copies
        self._outbox = outbox
        return self

    def _begin(self, operation: str, text: str | None) -> None:
        self._operation = operation
        self._input = None if text is None else json.dumps(text)
        self._result = None
        self._result_set = False

    def _state_text(self) -> str | None:
        """The state as JSON text, None when the entity does not exist."""
        if not self._exists:
            return None
        if self._state_is_raw and self._state is not None:
            text: str = self._state
            return text
        return dumps(self._state, "state")

    def _restore(self, text: str | None) -> None:
        self._exists, self._state, self._state_is_raw = text is not None, text, text is not None

    # -- the user's side

    @classmethod
    def from_json(cls, json_str: str) -> tuple[DurableEntityContext, list[dict[str, Any]]]:
        """The context and the batch of operations from the published trigger payload."""
        payload = json.loads(json_str)
        context = cls(payload["self"]["name"], payload["self"]["key"], payload["exists"], payload["state"])
        context._state_is_raw = payload["state"] is not None
        return context, payload["batch"]

    @property
    def entity_name(self) -> str:
        """The entity's name, in lower case."""
        return self._entity_name

    @property
    def entity_key(self) -> str:
        """The entity's key."""
        return self._entity_key

    @property
    def entity_id(self) -> EntityId:
        """The entity's id."""
        return EntityId(self._entity_name, self._entity_key)

    @property
    def operation_name(self) -> str:
        """The operation under way. Raises `Exception` outside one."""
        if self._operation is None:
            raise Exception("Entity operation is unassigned")
        return self._operation

    @property
    def is_newly_constructed(self) -> bool:
        """Always false, as published."""
        return self._is_newly_constructed

    def get_input(self, expected_type: Any = None) -> Any:
        """The operation's input, None without one."""
        text = self._input
        if text is None:
            return None
        try:
            inner = json.loads(text) if isinstance(text, str) else text
        except json.JSONDecodeError:
            return text
        if not isinstance(inner, str):
            return inner  # encoded once, as an HTTP client may send it
        try:
            return loads(inner, expected_type)
        except json.JSONDecodeError:
            return inner

    def get_state(self, initializer: Callable[[], Any] | None = None, expected_type: Any = None) -> Any:
        """The state, or what `initializer` gives while there is none; that is not stored until `set_state`."""
        state = self._state
        if state is not None and self._state_is_raw:
            state = from_json_util(state, expected_type)
            if not self._copies:
                self._state, self._state_is_raw = state, False
        if state is not None:
            return state
        if initializer:
            if not callable(initializer):
                raise Exception("initializer argument needs to be a callable function")
            return initializer()
        return None

    def set_state(self, state: Any) -> None:
        """Replace the state. The entity exists from now on."""
        if self._copies:
            self._restore(dumps(state, "state"))
            return
        self._exists = True
        self._state = state
        self._state_is_raw = False

    def set_result(self, result: Any) -> None:
        """The result for the caller. In dialect 1 the entity exists from now on."""
        self._exists = self._exists or not self._copies
        self._result = result
        self._result_set = True

    def destruct_on_exit(self) -> None:
        """Delete the entity; setting state or result later in the batch revives it."""
        self._exists = False
        self._state = None
        self._state_is_raw = False

    def signal_entity(
        self, entity_id: AnyEntity, operation_name: str, input: Any = None, signal_time: datetime | None = None
    ) -> None:
        """Send an operation to another entity, now or at `signal_time`."""
        self._outbox.signal(entity_id, operation_name, input, signal_time)

    def schedule_new_orchestration(
        self, orchestration_name: Any, input: Any = None, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """Start an orchestration, by name or decorated function, and give its id."""
        return self._outbox.start(orchestration_name, input, instance_id, version)


class EntityContext:
    """The entity as a two-argument function or a class sees it (2.0). State is decoded anew on every call."""

    def __init__(self, entity_id: EntityInstanceId, state: str | None, outbox: Outbox) -> None:
        self._id = entity_id
        self._state = state
        self._outbox = outbox
        self._operation = ""
        self._caller = ""

    def _begin(self, operation: str, caller: str) -> None:
        self._operation = operation
        self._caller = caller

    def _state_text(self) -> str | None:
        return self._state

    def _restore(self, text: str | None) -> None:
        self._state = text

    @property
    def orchestration_id(self) -> str:
        """The instance that sent the operation, empty for a client."""
        return self._caller

    @property
    def operation(self) -> str:
        """The operation under way."""
        return self._operation

    @property
    def entity_id(self) -> EntityInstanceId:
        """The entity's id."""
        return self._id

    def get_state(self, intended_type: Any = None, default: Any = None) -> Any:
        """The state, converted to `intended_type` when given; `default` while there is none.

        Raises `ConversionError` when the stored state does not fit.
        """
        if self._state is None or self._state == "null":
            return default
        state = loads(self._state)
        return state if intended_type is None else convert(state, intended_type, "state")

    def set_state(self, new_state: Any) -> None:
        """Replace the state; None deletes the entity."""
        self._state = None if new_state is None else dumps(new_state, "state")

    def signal_entity(
        self,
        entity_instance_id: AnyEntity,
        operation: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Send an operation to another entity, now or at `signal_time`."""
        self._outbox.signal(entity_instance_id, operation, input, signal_time)

    def schedule_new_orchestration(
        self, orchestration_name: Any, input: Any = None, instance_id: str | None = None, version: str | None = None
    ) -> str:
        """Start an orchestration, by name or decorated function, and give its id."""
        return self._outbox.start(orchestration_name, input, instance_id, version)
