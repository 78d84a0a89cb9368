"""Class entities: a subclass of `DurableEntity` with one public method per operation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from perdure.sdk.entity_context import AnyEntity, EntityContext
from perdure.sdk.shapes import shape_of
from perdure.sdk.typed import convert, hints_of


class DurableEntity:
    """Base of class entities. A fresh instance serves each operation; what lasts is the state.

    An operation is a public method, called with the input; the method's annotation converts it. `delete` is built in.
    """

    entity_context: EntityContext

    def get_state(self, intended_type: Any = None, default: Any = None) -> Any:
        """The state, converted to `intended_type` when given; `default` while there is none."""
        return self.entity_context.get_state(intended_type, default)

    def set_state(self, state: Any) -> None:
        """Replace the state; None deletes the entity."""
        self.entity_context.set_state(state)

    def signal_entity(
        self,
        entity_instance_id: AnyEntity,
        operation: str,
        input: Any = None,
        signal_time: datetime | None = None,
    ) -> None:
        """Send an operation to another entity, now or at `signal_time`."""
        self.entity_context.signal_entity(entity_instance_id, operation, input, signal_time)

    def schedule_new_orchestration(
        self, orchestration_name: Any, input: Any = None, instance_id: str | None = None
    ) -> str:
        """Start an orchestration, by name or decorated function, and give its id."""
        return self.entity_context.schedule_new_orchestration(orchestration_name, input, instance_id)

    def delete(self, input: Any = None) -> None:
        """Built-in operation: delete the entity."""
        self.set_state(None)


_NO_OPERATIONS = frozenset({"get_state", "set_state", "signal_entity", "schedule_new_orchestration", "entity_context"})


def operation_of(entity: DurableEntity, name: str, value: Any) -> Callable[[], Any]:
    """The call that an operation means. Raises `AttributeError` that names what the entity can do."""
    method = _method(entity, name)
    if method is None:
        known = ", ".join(sorted(_operations(type(entity))))
        raise AttributeError(f"Entity '{type(entity).__name__}' does not have operation '{name}'. It has: {known}")
    shape = shape_of(method)
    if value is None and not shape.required:
        call: Callable[[], Any] = method
        return call
    annotation = hints_of(method.__func__).get(shape.positional[0], Any) if shape.positional else Any
    converted = convert(value, annotation, "input")
    return lambda: method(converted)


def _method(entity: DurableEntity, name: str) -> Any:
    operations = _operations(type(entity))
    found = operations.get(name) or next((own for own in operations if own.lower() == name.lower()), None)
    return getattr(entity, found) if found else None


def _operations(cls: type) -> dict[str, str]:
    return {
        name: name
        for name in dir(cls)
        if not name.startswith("_") and name not in _NO_OPERATIONS and callable(getattr(cls, name))
    }
