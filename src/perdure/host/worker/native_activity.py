"""Two-argument activities of SDK 2.0, `def act(ctx, input)`, as functions of their input alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, NoReturn

from perdure.host.worker.indexing import is_coroutine_function

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ActivityContext:
    """What stands for the context in a two-argument activity: it knows nothing, as in SDK 2.0."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotImplementedError(
            f"The first argument of a two-argument activity has no {name!r}: "
            "take a parameter `context: func.Context` beside the input instead"
        )


def input_parameter(call: Callable[..., Any], input_name: str, bound: Collection[str]) -> inspect.Parameter | None:
    """The second parameter of a two-argument activity; None for an activity whose parameters its bindings name.

    `bound`: the names of all bindings. A first parameter `context` beside the input is the invocation's context.
    """
    parameters = [p for p in inspect.signature(call).parameters.values() if p.default is p.empty]
    if len(parameters) != 2 or any(p.kind not in _POSITIONAL for p in parameters):
        return None
    first, second = parameters
    if first.name in bound or (second.name in bound and second.name != input_name):
        return None
    return None if first.name == "context" and second.name == input_name else second


def of_input(call: Callable[..., Any], input_name: str, parameter: inspect.Parameter) -> Callable[..., Any]:
    """`call` as a function of one argument named `input_name`."""
    context = ActivityContext()
    one: Any
    if is_coroutine_function(call):

        async def run_async(**named: Any) -> Any:
            return await call(context, named[input_name])

        one = run_async
    else:

        def run(**named: Any) -> Any:
            return call(context, named[input_name])

        one = run
    kept = parameter.replace(name=input_name, kind=inspect.Parameter.POSITIONAL_OR_KEYWORD)
    one.__signature__ = inspect.Signature([kept])
    return one  # type: ignore[no-any-return]
