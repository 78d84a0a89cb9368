"""Which arguments a user function gets, worked out once per function from its bindings and its signature."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import azure.functions as func

from perdure.host.protocol.messages import Retry
from perdure.host.settings.app_settings import expand_binding, find_setting
from perdure.host.worker.logs import THREAD_STORAGE
from perdure.model.failure import FailureDetails
from perdure.model.trace_context import headers

_CLIENT_TYPES = frozenset({"durableclient", "orchestrationclient"})
_NO_VALUE = object()


class Out(func.Out[Any]):
    """What user code gets for an output binding."""

    def __init__(self) -> None:
        self._value: Any = _NO_VALUE

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return None if self._value is _NO_VALUE else self._value

    @property
    def is_set(self) -> bool:
        return self._value is not _NO_VALUE


class Bindings:
    """The plan for the arguments of one function, and where its results go."""

    __slots__ = (
        "clients",
        "directory",
        "function",
        "http_output",
        "other_outputs",
        "outputs",
        "trigger",
        "trigger_annotation",
        "unfed",
        "wants_context",
    )

    def __init__(
        self,
        function: str,
        call: Callable[..., Any],
        bindings: list[dict[str, Any]],
        directory: str,
        durable_client: str,
    ) -> None:
        parameters = inspect.signature(call).parameters
        takes_all = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
        self.function = function
        self.directory = directory
        self.trigger = ""
        self.clients: dict[str, str] = {}
        #: names of func.Out arguments
        self.outputs: list[str] = []
        #: input bindings that nothing feeds here
        self.unfed: list[str] = []
        #: name of the http output, "$return" for the return value, None for none
        self.http_output: str | None = None
        #: names and types of outputs that are delivered nowhere
        self.other_outputs: dict[str, str] = {}
        named: set[str] = set()
        for raw in bindings:
            binding = {name.lower(): value for name, value in raw.items()}
            name, kind = str(binding.get("name", "")), str(binding.get("type", "")).lower()
            direction = str(binding.get("direction", "in")).lower()
            named.add(name)
            taken = name in parameters or takes_all
            if kind.endswith("trigger"):
                self.trigger = name if taken else ""
            elif direction in ("out", "inout"):
                if kind == "http":
                    self.http_output = name
                else:
                    self.other_outputs[name] = str(binding.get("type"))
                if name != "$return" and taken:
                    self.outputs.append(name)
            elif kind in _CLIENT_TYPES and taken:
                self.clients[name] = client_binding(durable_client, binding)
            elif taken:
                self.unfed.append(name)
        self.wants_context = "context" in parameters and "context" not in named
        annotation = parameters[self.trigger].annotation if self.trigger in parameters else inspect.Parameter.empty
        self.trigger_annotation = None if annotation is inspect.Parameter.empty else annotation
        missing = [
            p.name
            for p in parameters.values()
            if p.default is p.empty
            and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
            and p.name not in named
            and p.name != "context"
        ]
        if missing:
            raise ValueError(
                f"Function {function} takes {', '.join(missing)}, which no binding of it is called. "
                f"Its bindings are {', '.join(sorted(named - {'$return'})) or 'none'}."
            )

    @property
    def is_plain(self) -> bool:
        """Whether the trigger's value is the only argument."""
        return bool(self.trigger) and not (self.clients or self.outputs or self.unfed or self.wants_context)

    def arguments(
        self, value: Any, invocation: str, trace: str | None, retry: Retry | None = None
    ) -> tuple[dict[str, Any], dict[str, Out]]:
        """The keyword arguments of one call, and the outputs among them."""
        arguments: dict[str, Any] = {self.trigger: value} if self.trigger else {}
        if self.clients:
            arguments.update(self.clients)
        for name in self.unfed:
            arguments[name] = None
        outputs = {name: Out() for name in self.outputs}
        arguments.update(outputs)
        if self.wants_context:
            arguments["context"] = InvocationContext(self.function, self.directory, invocation, trace, retry)
        return arguments, outputs


def client_binding(text: str, binding: dict[str, Any]) -> str:
    """The durable client's JSON text with the hub and connection that the binding (keys in lower case) names.

    A hub may be written as the app setting `%NAME%`. Raises `SettingMissing` when there is none of that name.
    """
    hub, connection = binding.get("taskhub"), binding.get("connectionname")
    if not hub and not connection:
        return text
    if hub:
        # app settings are this process's environment
        hub = expand_binding(str(hub), lambda name: find_setting(os.environ, name))
    written = json.loads(text)
    swaps = [(name, value) for name, value in (("taskHub", hub), ("connection", connection)) if value]

    def swap(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: swap(item) for name, item in value.items()}
        if isinstance(value, str):
            for name, new in swaps:
                value = re.sub(rf"([?&]{name}=)[^&]*", rf"\g<1>{quote(str(new))}", value)
        return value

    written = swap(written)
    if hub:
        written["taskHubName"] = hub
    return json.dumps(written)


class _TraceContext(func._abc.TraceContext):
    def __init__(self, trace: str | None) -> None:
        self._parent, self._state = headers(trace)

    @property
    def trace_parent(self) -> str:
        return self._parent

    @property
    def trace_state(self) -> str:
        return self._state

    @property
    def attributes(self) -> dict[str, str]:
        return {}

    # spellings of the published worker, which apps use as well
    Traceparent = trace_parent
    Tracestate = trace_state
    Attributes = attributes


class _Failure:
    """What made a retry necessary, in the shape of `azure.functions`' RpcException."""

    def __init__(self, failure: FailureDetails) -> None:
        self.source = ""
        self.message = f"{failure.error_type}: {failure.message}"
        self.stack_trace = failure.stack_trace


class _RetryContext(func._abc.RetryContext):
    def __init__(self, retry: Retry | None) -> None:
        self._retry = retry

    @property
    def retry_count(self) -> int:
        return self._retry.count if self._retry is not None else 0

    @property
    def max_retry_count(self) -> int:
        return self._retry.most if self._retry is not None else 0

    @property
    def exception(self) -> Any:
        failure = self._retry.failure if self._retry is not None else None
        return None if failure is None else _Failure(failure)


class InvocationContext(func.Context):
    """What a parameter called `context` gets."""

    def __init__(
        self, function: str, directory: str, invocation: str, trace: str | None, retry: Retry | None = None
    ) -> None:
        self._function = function
        self._directory = directory
        self._invocation = invocation
        self._trace = trace
        self._retry = retry

    @property
    def invocation_id(self) -> str:
        return self._invocation

    @property
    def thread_local_storage(self) -> Any:
        return THREAD_STORAGE

    @property
    def function_name(self) -> str:
        return self._function

    @property
    def function_directory(self) -> str:
        return self._directory

    @property
    def trace_context(self) -> Any:
        return _TraceContext(self._trace)

    @property
    def retry_context(self) -> Any:
        return _RetryContext(self._retry)
