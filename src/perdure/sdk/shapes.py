"""Shapes of user functions: how many arguments, coroutine or generator, and the mistakes that show at load time."""

from __future__ import annotations

import inspect
from typing import Any

from msgspec import Struct

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class FunctionShapeError(TypeError):
    """A function that cannot be what its decorator says; the text begins with file and line."""


class Shape(Struct, frozen=True):
    """What a signature says. `known` false: the callable has none (a mock, a C function) and everything is accepted."""

    known: bool = False
    positional: tuple[str, ...] = ()
    required: int = 0
    star: bool = False
    required_keywords: tuple[str, ...] = ()
    is_async: bool = False
    is_generator: bool = False
    is_async_generator: bool = False

    def is_native(self, dialect: int) -> bool:
        """Whether the function takes context *and* input. Dialect 2 also counts optional and starred parameters."""
        if self.required >= 2:
            return True
        return dialect == 2 and (len(self.positional) >= 2 or self.star)


def shape_of(function: Any) -> Shape:
    """The shape of a callable, as its caller sees it."""
    inner = inspect.unwrap(function) if callable(function) else function
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return Shape()
    parameters = signature.parameters.values()
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    return Shape(
        known=True,
        positional=tuple(p.name for p in positional),
        required=sum(p.default is p.empty for p in positional),
        star=any(p.kind is p.VAR_POSITIONAL for p in parameters),
        required_keywords=tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty),
        is_async=inspect.iscoroutinefunction(inner),
        is_generator=inspect.isgeneratorfunction(inner),
        is_async_generator=inspect.isasyncgenfunction(inner),
    )


def location_of(function: Any) -> str:
    """``file:line`` of a function or class, empty when it has none."""
    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(inner, "__code__", None)
    if code is not None:
        return f"{code.co_filename}:{code.co_firstlineno}"
    if inspect.isclass(inner):
        try:
            return f"{inspect.getsourcefile(inner)}:{inspect.getsourcelines(inner)[1]}"
        except (OSError, TypeError):
            return ""
    return ""


def _mistake(function: Any, kind: str, what: str) -> FunctionShapeError:
    location = location_of(function)
    name = getattr(function, "__name__", repr(function))
    return FunctionShapeError(f"{location}: {kind} '{name}' {what}" if location else f"{kind} '{name}' {what}")


def check_orchestrator(function: Any) -> Shape:
    """The shape of an orchestrator. Raises `FunctionShapeError` for what can never run."""
    if not callable(function):
        raise FunctionShapeError(f"an orchestrator must be a function, got {type(function).__name__}")
    shape = shape_of(function)
    if shape.is_async_generator:
        raise _mistake(
            function,
            "orchestrator",
            "is an async generator: it has both `async def` and `yield`. Write `def` with `yield`, or `async def` "
            "with `await`.",
        )
    _check_arity(function, shape, "orchestrator", "(context), or (context, input)")
    return shape


def check_entity(function: Any) -> Shape:
    """The shape of a function entity. Raises `FunctionShapeError` for what can never run."""
    if not callable(function):
        raise FunctionShapeError(f"an entity must be a function or a class, got {type(function).__name__}")
    shape = shape_of(function)
    if shape.is_generator or shape.is_async_generator:
        raise _mistake(
            function,
            "entity",
            "is a generator: it has a `yield`. Entities do not wait; remove the `yield`, or call the entity from an "
            "orchestrator that does the waiting.",
        )
    _check_arity(function, shape, "entity", "(context), or (context, input)")
    return shape


def check_activity(function: Any, input_name: str) -> Shape:
    """The shape of an activity. Raises `FunctionShapeError` for what can never run."""
    shape = shape_of(function)
    if shape.is_generator or shape.is_async_generator:
        raise _mistake(
            function,
            "activity",
            "is a generator: it has a `yield`, so calling it runs nothing. Return the result instead; waiting for "
            "tasks belongs into an orchestrator.",
        )
    if shape.known and not shape.positional and not shape.star and not _accepts(function, input_name):
        raise _mistake(
            function, "activity", f"has no parameter named {input_name!r}, which activity_trigger(input_name=...) says."
        )
    return shape


def _accepts(function: Any, name: str) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.kind is p.VAR_KEYWORD or (p.kind is p.KEYWORD_ONLY and p.name == name) for p in parameters)


def _check_arity(function: Any, shape: Shape, kind: str, expected: str) -> None:
    if not shape.known:
        return
    if not shape.positional and not shape.star:
        raise _mistake(function, kind, f"takes no positional parameter; it must take {expected}.")
    if shape.required > 2:
        takes = ", ".join(shape.positional[: shape.required])
        raise _mistake(function, kind, f"takes {shape.required} parameters ({takes}); it must take {expected}.")
    if shape.required_keywords:
        names = ", ".join(shape.required_keywords)
        raise _mistake(function, kind, f"needs the keyword arguments {names}; it must take {expected}.")
