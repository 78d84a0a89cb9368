"""What decorators and creators make of a user's orchestrator or entity: a handle that carries its code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any

from perdure.sdk.shapes import Shape, check_entity, check_orchestrator, location_of, shape_of
from perdure.sdk.typed import hints_of


class OrchestratorCode:
    """A user's orchestrator. `name` is the Python name; hosts know it under its durable name.

    `input_type` is what the decorator declares, else None.
    """

    def __init__(self, function: Callable[..., Any], input_type: Any = None, name: str = "") -> None:
        self.function = function
        self.declared_type = input_type
        self.name = name or getattr(function, "__name__", "orchestrator")
        self.shape: Shape = check_orchestrator(function)

    @property
    def is_async(self) -> bool:
        """Whether this is an `async def` orchestrator."""
        return self.shape.is_async

    @property
    def location(self) -> str:
        """``file:line`` of the function."""
        return location_of(self.function)

    @cached_property
    def input_type(self) -> Any:
        """The declared type of the input, or the annotation of the second parameter; None without either."""
        if self.declared_type is not None:
            return self.declared_type
        return _second_annotation(self.function, self.shape)

    def is_native(self, dialect: int) -> bool:
        """Whether the function takes (context, input) and gets the 2.0 context."""
        return self.shape.is_native(dialect)


class EntityCode:
    """A user's entity: a function of the context, one of context and input, or a class of operations."""

    def __init__(self, function: Any, name: str = "") -> None:
        self.function = function
        self.name = name or getattr(function, "__name__", "entity")
        self.is_class = inspect.isclass(function)
        self.shape: Shape = Shape() if self.is_class else check_entity(function)

    @property
    def is_async(self) -> bool:
        """Whether operations may be coroutines: the batch then runs on an event loop."""
        if self.is_class:
            return any(inspect.iscoroutinefunction(member) for _, member in inspect.getmembers(self.function))
        return self.shape.is_async

    @property
    def location(self) -> str:
        """``file:line`` of the function or class."""
        return location_of(self.function)

    @cached_property
    def input_type(self) -> Any:
        """The annotation of a function entity's second parameter, None without one."""
        return None if self.is_class else _second_annotation(self.function, self.shape)

    def is_native(self, dialect: int) -> bool:
        """Whether this is a class or a function of (context, input)."""
        return self.is_class or self.shape.is_native(dialect)


def _second_annotation(function: Any, shape: Shape) -> Any:
    return hints_of(function).get(shape.positional[1]) if len(shape.positional) > 1 else None


class Orchestrator:
    """Runs a user's orchestrator against histories in the published JSON form; see `create`."""

    def __init__(self, activity_func: Callable[..., Any]) -> None:
        self.fn = activity_func
        self.code = OrchestratorCode(activity_func)

    def handle(self, context: Any) -> str:
        """Advance the orchestration that `context` describes and give the published JSON answer."""
        from perdure.sdk.wire import TaskOrchestrationExecutor

        self.durable_context = context
        return TaskOrchestrationExecutor().execute(context, context.histories, self.fn)

    @classmethod
    def create(cls, fn: Callable[..., Any]) -> Callable[[Any], str]:
        """The `main` of an orchestrator in the function.json model, from a function of the orchestration context.

        The result takes the trigger payload as JSON text, or an object with such a `body`, and gives the answer as
        JSON text. Raises `FunctionShapeError` for a function that cannot be an orchestrator.
        """

        def handle(context: Any) -> str:
            from perdure.sdk.wire import run_orchestrator

            return run_orchestrator(carrier.perdure_code, _body_of(context))

        carrier: Any = handle
        carrier.orchestrator_function = fn
        carrier.perdure_code = OrchestratorCode(fn)
        return handle


class Entity:
    """Runs a user's entity on batches in the published JSON form; see `create`."""

    def __init__(self, entity_func: Callable[..., Any]) -> None:
        self.fn = entity_func
        self.code = EntityCode(entity_func)

    def handle(self, context: Any, batch: list[dict[str, Any]]) -> str:
        """Run a batch of operations on `context` and give the published JSON answer."""
        from perdure.sdk.wire_entity import run_entity_batch

        return run_entity_batch(self.code, context, batch)

    @classmethod
    def create(cls, fn: Callable[..., Any]) -> Callable[[Any], str]:
        """The `main` of an entity in the function.json model, from a function of the entity context.

        Raises `FunctionShapeError` for a function that cannot be an entity.
        """
        code = EntityCode(fn)

        def handle(context: Any) -> str:
            from perdure.sdk.wire_entity import run_entity

            return run_entity(code, _body_of(context))

        carrier: Any = handle
        carrier.entity_function = fn
        carrier.perdure_code = code
        return handle


def _body_of(context: Any) -> str:
    body = getattr(context, "body", None)
    text: str = context if body is None else body
    return text


def code_of(user_function: Any) -> OrchestratorCode | EntityCode | None:
    """The code behind an indexed function (`main`, or the user function of a builder); None for other functions."""
    code = getattr(user_function, "perdure_code", None)
    if code is None:
        # `main = df.Orchestrator(fn).handle`
        owner = getattr(user_function, "__self__", None)
        code = owner.code if isinstance(owner, (Orchestrator, Entity)) else None
    return code if isinstance(code, (OrchestratorCode, EntityCode)) else None


__all__ = ["Entity", "EntityCode", "Orchestrator", "OrchestratorCode", "code_of", "shape_of"]
