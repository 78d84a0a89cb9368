"""The user's orchestrator function, looked at once: its shape, its dialect, how it is called."""

from __future__ import annotations

import inspect
from typing import Any, Protocol

from perdure.sdk import mistakes
from perdure.sdk.context import DurableOrchestrationContext
from perdure.sdk.dialect import NATIVE, Dialect, dialect_of
from perdure.sdk.execution import Execution
from perdure.sdk.expectation import Expectation, decode
from perdure.sdk.native_context import OrchestrationContext
from perdure.sdk.options import SdkOptions
from perdure.sdk.typed import hints_of


class OrchestratorCode(Protocol):
    """What the app knows of an orchestrator (`perdure.sdk.app`)."""

    @property
    def function(self) -> Any: ...
    @property
    def name(self) -> str: ...
    @property
    def input_type(self) -> Any: ...


class Prepared:
    """An orchestrator function ready to be called, under `options`. `dialect` is what its context and tasks follow."""

    __slots__ = (
        "_input_type",
        "_mistake",
        "converts",
        "dialect",
        "function",
        "is_coroutine",
        "is_native",
        "name",
        "options",
        "place",
        "warned",
    )

    def __init__(self, code: OrchestratorCode, options: SdkOptions) -> None:
        self.function = code.function
        self.options = options
        #: warnings given already: once per orchestrator, not per instance
        self.warned: set[str] = set()
        self.name = code.name
        plain = inspect.unwrap(self.function)
        self.is_coroutine = inspect.iscoroutinefunction(plain)
        file_code = getattr(plain, "__code__", None)
        self.place = f"{file_code.co_filename}:{file_code.co_firstlineno}" if file_code else repr(self.function)
        required, parameters = _positional(self.function)
        # a second parameter with a default is ordinary 1.x code; 2.0 takes any second parameter as the input
        self.is_native = required == 2 or (options.dialect == 2 and len(parameters) >= 2 and required < 2)
        self._mistake = required > 2 or not parameters
        if self._mistake and options.dialect == 2 and required <= 2:
            self._mistake = not _takes_varargs(self.function)
            self.is_native = not self._mistake
        elif self._mistake and not required:
            self._mistake = not _takes_varargs(self.function)
        self.dialect: Dialect = NATIVE if self.is_native else dialect_of(options.dialect)
        self.converts = self.dialect.converts_to_annotations or self.is_coroutine or options.typed_payloads
        self._input_type = code.input_type
        if self._input_type is None and self.is_native and len(parameters) >= 2:
            self._input_type = hints_of(plain).get(parameters[1])

    def call(self, execution: Execution, context: DurableOrchestrationContext | None = None) -> tuple[Any, Any]:
        """The context (`context` if given) and what the function returned: generator, coroutine or plain value."""
        if self._mistake:
            raise mistakes.wrong_arity(self.name, self.place, _positional(self.function)[0])
        if not self.is_native:
            if context is None:
                context = DurableOrchestrationContext._of(execution, self._input_type, converts=self.converts)
            return context, self.function(context)
        native = OrchestrationContext(execution)
        value = None
        if execution.input is not None:
            expected = Expectation(self._input_type, True) if self._input_type is not None else None
            value = decode(execution.input, expected, "input")
        return native, self.function(native, value)


def _positional(function: Any) -> tuple[int, list[str]]:
    """How many positional parameters must be given, and the names of all."""
    parameters = [
        p
        for p in _parameters(function)
        if p.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    required = sum(1 for p in parameters if p.default is inspect.Parameter.empty)
    return required, [p.name for p in parameters]


def _takes_varargs(function: Any) -> bool:
    return any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in _parameters(function))


def _parameters(function: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # a callable that does not tell its signature is taken as one with one argument
        return [inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
