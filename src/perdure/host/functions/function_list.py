"""The functions of an app: which are there, where they are reached, what is printed about them at start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct, structs

from perdure.host.functions.routing import RouteError, RouteTable
from perdure.host.protocol.messages import IndexedFunction
from perdure.host.settings.config import HostConfig

HTTP = "httptrigger"
#: the spelling of trigger types in lists
_TRIGGER_NAMES = {
    name.lower(): name
    for name in (
        "httpTrigger",
        "timerTrigger",
        "orchestrationTrigger",
        "activityTrigger",
        "entityTrigger",
        "queueTrigger",
        "blobTrigger",
        "eventGridTrigger",
        "eventHubTrigger",
        "serviceBusTrigger",
        "cosmosDBTrigger",
        "kafkaTrigger",
        "rabbitMQTrigger",
        "warmupTrigger",
        "generic",
    )
}
_DURABLE_KINDS = {
    "orchestrationtrigger": "orchestration",
    "activitytrigger": "activity",
    "entitytrigger": "entity",
}
FIRED = frozenset({HTTP, "timertrigger", "warmuptrigger", *_DURABLE_KINDS})


class FunctionList(Struct, frozen=True):
    """What an app contains once settings are applied. `mistakes` say why a function is not among `functions`."""

    functions: tuple[IndexedFunction, ...]
    routes: RouteTable
    mistakes: dict[str, str]
    prefix: str = "api"

    def enabled(self) -> Iterator[IndexedFunction]:
        """The functions that run, in the order of the app."""
        return (function for function in self.functions if not function.disabled)

    def find(self, name: str) -> IndexedFunction | None:
        """A function by name in any case."""
        lower = name.lower()
        return next((function for function in self.functions if function.name.lower() == lower), None)

    def durable_names(self) -> dict[str, tuple[str, ...]]:
        """Lower-case durable names by kind, as a host registers them."""
        names: dict[str, list[str]] = {kind: [] for kind in _DURABLE_KINDS.values()}
        for function, name in self._durable():
            names[_DURABLE_KINDS[function.trigger]].append(name.lower())
        return {kind: tuple(found) for kind, found in names.items()}

    def spelled_names(self) -> list[str]:
        """Durable names of all kinds as the app writes them."""
        return [name for _, name in self._durable()]

    def _durable(self) -> Iterator[tuple[IndexedFunction, str]]:
        """Each function that has a durable name, and that name."""
        for function in self.enabled():
            if function.trigger in _DURABLE_KINDS:
                yield function, function.durable_name or function.name

    def coroutine_activities(self) -> frozenset[str]:
        """Lower-case durable names of the activities that are `async def`."""
        return frozenset(
            name.lower()
            for function, name in self._durable()
            if function.trigger == "activitytrigger" and function.is_async
        )

    def not_fired(self) -> list[IndexedFunction]:
        """Functions whose trigger nothing fires here."""
        return [function for function in self.enabled() if function.trigger not in FIRED]

    def without(self, mistakes: dict[str, str]) -> FunctionList:
        """The list without these functions, which are in error."""
        kept = tuple(function for function in self.functions if function.name not in mistakes)
        return structs.replace(self, functions=kept, mistakes={**self.mistakes, **mistakes})


def list_functions(indexed: Iterable[IndexedFunction], config: HostConfig) -> FunctionList:
    """Apply the settings that disable functions, and register the routes of HTTP functions."""
    functions: list[IndexedFunction] = []
    routes = RouteTable(config.route_prefix)
    mistakes: dict[str, str] = {}
    for function in indexed:
        if not function.disabled and config.is_disabled(function.name):
            function = structs.replace(function, disabled=True)
        if function.trigger == HTTP and not function.disabled:
            try:
                routes.add(function.name, route_of(function), methods_of(function))
            except RouteError as error:
                mistakes[function.name] = str(error)
                continue
        functions.append(function)
    return FunctionList(tuple(functions), routes, mistakes, config.route_prefix)


def in_error(function: str, text: str) -> str:
    """How the log and the admin API name a function that cannot be used."""
    return f"The '{function}' function is in error: {text}"


def trigger_binding(function: IndexedFunction) -> dict[str, Any]:
    """The trigger's binding with lower-case keys."""
    for binding in function.bindings:
        lower = {name.lower(): value for name, value in binding.items()}
        if str(lower.get("type", "")).lower() == function.trigger:
            return lower
    return {}


def route_of(function: IndexedFunction) -> str | None:
    """The route of an HTTP function as written, None when there is none."""
    route = trigger_binding(function).get("route")
    return None if route is None else str(route)


def methods_of(function: IndexedFunction) -> list[str]:
    """The methods of an HTTP function in upper case; none means all."""
    methods = trigger_binding(function).get("methods") or ()
    if isinstance(methods, str):
        methods = (methods,)
    return [str(getattr(method, "value", method)).upper() for method in methods]


def trigger_name(function: IndexedFunction) -> str:
    """The trigger's type in its published spelling."""
    written = next(
        (
            str(value)
            for binding in function.bindings
            for name, value in binding.items()
            if name.lower() == "type" and str(value).lower() == function.trigger
        ),
        function.trigger,
    )
    return _TRIGGER_NAMES.get(function.trigger, written)


def invoke_url(function: IndexedFunction, base: str, prefix: str) -> str:
    """The URL template of an HTTP function."""
    route = route_of(function)
    parts = [base.rstrip("/"), prefix.strip("/"), (function.name if route is None else route).lstrip("/")]
    return "/".join(part for part in parts[:2] if part) + "/" + parts[2]


def printed_list(listed: FunctionList, base: str) -> Iterator[tuple[str, str]]:
    """The lines of the list, each with its colour."""
    enabled = list(listed.enabled())
    if enabled:
        yield "", ""
        yield "Functions:", "yellow"
        yield "", ""
    for function in sorted(enabled, key=lambda function: function.trigger != HTTP):
        if function.trigger == HTTP:
            methods = ",".join(methods_of(function))
            bracket = f"[{methods}]" if methods else ""
            yield f"\t{function.name}: {bracket} {invoke_url(function, base, listed.prefix)}", ""
        else:
            yield f"\t{function.name}: {trigger_name(function)}", ""
        yield "", ""
    for function in listed.functions:
        if function.disabled:
            yield f"Function {function.name} is disabled.", "yellow"
