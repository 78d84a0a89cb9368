"""References to functions of the app: what `call_activity(fn)` and the like mean by a decorated function."""

from __future__ import annotations

import typing
from functools import lru_cache
from typing import Any

from perdure.sdk.typed import hints_of
from perdure.sdk.types import ACTIVITY_TRIGGER, ORCHESTRATION_TRIGGER

_NAME_ATTRIBUTE = {ORCHESTRATION_TRIGGER: "orchestration", ACTIVITY_TRIGGER: "activity", "entityTrigger": "entity_name"}


def is_builder(reference: Any) -> bool:
    """Whether this is what a decorator of `azure.functions` returns."""
    return hasattr(reference, "_function") and hasattr(reference._function, "_func")


def durable_name(reference: Any, trigger: str, parameter: str = "function_name") -> str:
    """The durable name that a text or a decorated function stands for.

    `trigger` is the binding type that it must have, such as ``activityTrigger``. Raises `ValueError` for an empty
    name, a function without trigger and a function with another trigger.
    """
    if isinstance(reference, str) and reference:
        return reference
    if reference is None or reference == "":
        raise ValueError(f"{parameter} cannot be empty")
    if is_builder(reference):
        return _name_of_builder(reference, trigger)
    marked = getattr(reference, "perdure_name", None)
    if isinstance(marked, str):
        return marked
    if callable(reference):
        # the published text, which names `call_activity` for sub-orchestrations too
        raise ValueError(
            "The `call_activity` API received a `Callable` without an associated Azure Functions trigger-type. "
            "Please ensure you're using the Python programming model V2 and that your activity function is annotated "
            "with the `activity_trigger` decorator. Otherwise, provide in the name of the activity as a string."
        )
    raise ValueError(
        f"{parameter} must be the name of a function or a decorated function, not {type(reference).__name__}"
    )


def _name_of_builder(builder: Any, trigger: str) -> str:
    function = builder._function
    found = function.get_trigger()
    found_type = getattr(found, "type", None)
    if found_type != trigger:
        expected = _capitalised(trigger)
        raise ValueError(
            f"Received function with Trigger-type `{found_type}` but expected `{expected}`. Ensure your function is "
            f"annotated with the `{expected}` decorator or directly pass in the name of the function as a string."
        )
    explicit = getattr(found, _NAME_ATTRIBUTE[trigger], None)
    return str(explicit or function.get_function_name())


def _capitalised(trigger: str) -> str:
    return trigger[0].upper() + trigger[1:]


def user_function(reference: Any) -> Any:
    """The function that the user wrote, below what decorators made of it; None for a name."""
    function = reference._function._func if is_builder(reference) else reference
    for attribute in ("orchestrator_function", "entity_function", "client_function"):
        function = getattr(function, attribute, function)
    return function if callable(function) else None


def output_type(reference: Any) -> type | None:
    """The class that a decorated function's return annotation names; None for names, generics and no annotation."""
    return _return_class(user_function(reference)) if is_builder(reference) else None


@lru_cache(maxsize=4096)
def _return_class(function: Any) -> type | None:
    hint = hints_of(function).get("return")
    # on Python 3.10 `list[int]` passes for a type
    is_class = isinstance(hint, type) and typing.get_origin(hint) is None and hint is not type(None)
    return hint if is_class else None
