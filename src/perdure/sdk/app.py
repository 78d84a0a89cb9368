"""The decorator model: `DFApp`, `Blueprint` and the durable decorators."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar

from azure.functions import AuthLevel, BindingApi, FunctionRegister, TriggerApi
from azure.functions.decorators.function_app import FunctionBuilder

from perdure.sdk import determinism, mistakes
from perdure.sdk.bindings import ActivityTrigger, DurableClient, EntityTrigger, OrchestrationTrigger
from perdure.sdk.blocking_client import SyncDurableFunctionsClient
from perdure.sdk.codes import Entity, EntityCode, Orchestrator, OrchestratorCode, code_of
from perdure.sdk.orchestration_client import DurableOrchestrationClient
from perdure.sdk.shapes import check_activity
from perdure.sdk.types import RetryOptions

try:
    from azure.functions import SettingsApi
except ImportError:  # azure-functions before settings had an interface of their own

    class SettingsApi:  # type: ignore[no-redef]
        """Stands in where `azure.functions` has none."""


Decorator = Callable[[Any], Any]
P = ParamSpec("P")
R = TypeVar("R", covariant=True)
logger = logging.getLogger("azure.functions.DurableFunctions")
#: each place in the app's code is warned of once
_warned: set[str] = set()


class ActivityFunction(Protocol[P, R]):
    """A decorated activity as a type checker sees it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def build(self, auth_level: Any = None) -> Any:
        """The function with its bindings, for tests: `build().get_user_function()`."""


class ActivityDecorator(Protocol):
    """What `activity_trigger` returns."""

    def __call__(self, function: Callable[P, R], /) -> ActivityFunction[P, R]: ...


class ActivityBuilder(FunctionBuilder):
    """What an activity's name stands for in the app: callable as everywhere, with a warning inside an orchestrator."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if determinism.current_instance():
            function = self._function._func
            warning = mistakes.called_directly(getattr(function, "__name__", str(function)), sys._getframe(1))
            if warning not in _warned:
                _warned.add(warning)
                logger.warning(warning)
        return super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]


class Blueprint(TriggerApi, BindingApi, SettingsApi):
    """Declares functions by decorators; an app registers them with `register_functions`."""

    def __init__(self, http_auth_level: AuthLevel | str = AuthLevel.FUNCTION) -> None:
        super().__init__(auth_level=http_auth_level)  # type: ignore[no-untyped-call]

    def orchestration_trigger(
        self, context_name: str, orchestration: str | None = None, input_type: type | None = None
    ) -> Decorator:
        """Register an orchestrator.

        `context_name` names the context parameter, `orchestration` the durable name (default: the function's name),
        `input_type` the expected type of the input. Must sit directly on the function.
        """
        add_trigger = self._builder(
            lambda builder: builder.add_trigger(OrchestrationTrigger(name=context_name, orchestration=orchestration))
        )

        def decorator(function: Any) -> Any:
            handle: Any = Orchestrator.create(function)
            handle.__name__ = function.__name__
            handle._df_input_type = input_type
            handle.perdure_code = OrchestratorCode(function, input_type)
            return add_trigger(handle)

        return decorator

    def activity_trigger(self, input_name: str, activity: str | None = None) -> ActivityDecorator:
        """Register an activity: `input_name` names the input parameter, `activity` the durable name.

        To a type checker the function keeps its parameters and its result, which `call_activity` then knows.
        """

        def add_trigger(builder: Any) -> Any:
            check_activity(builder._function._func, input_name)
            builder.__class__ = ActivityBuilder
            return builder.add_trigger(ActivityTrigger(name=input_name, activity=activity))

        decorator: ActivityDecorator = self._builder(add_trigger)
        return decorator

    def entity_trigger(self, context_name: str, entity_name: str | None = None) -> Decorator:
        """Register an entity, a function or a class: `entity_name` is the durable name (default: the Python name)."""
        add_trigger = self._builder(
            lambda builder: builder.add_trigger(EntityTrigger(name=context_name, entity_name=entity_name))
        )

        def decorator(entity: Any) -> Any:
            handle: Any = Entity.create(entity)
            handle.__name__ = entity.__name__
            return add_trigger(handle)

        return decorator

    def durable_client_input(
        self, client_name: str, task_hub: str | None = None, connection_name: str | None = None
    ) -> Decorator:
        """Give the function a durable client in parameter `client_name`.

        A coroutine function gets a `DurableOrchestrationClient`, a plain one a `SyncDurableFunctionsClient`.
        """

        def add_binding(builder: Any) -> Any:
            function = builder._function
            function._func = _with_client(function._func, client_name)
            return builder.add_binding(
                DurableClient(name=client_name, task_hub=task_hub, connection_name=connection_name)
            )

        return self._builder(add_binding)

    def durable_openai_agent_orchestrator(
        self, _func: Any = None, *, model_provider: Any = None, model_retry_options: RetryOptions | None = None
    ) -> Any:
        """Published for the optional package `openai-agents`; raises `ImportError`."""
        raise ImportError("durable_openai_agent_orchestrator is not part of perdure")

    def _builder(self, apply: Callable[[Any], Any]) -> Decorator:
        decorator: Decorator = self._configure_function_builder(apply)
        return decorator


class DFApp(Blueprint, FunctionRegister):
    """A durable function app: what a host looks for in ``function_app.py``."""

    def __init__(self, http_auth_level: AuthLevel | str = AuthLevel.FUNCTION) -> None:
        super().__init__(http_auth_level=http_auth_level)


def _with_client(function: Any, client_name: str) -> Any:
    """`function` under a wrapper that replaces the binding's JSON text by a client."""

    def insert_client(kwargs: dict[str, Any], make: Callable[[str, str | None], Any]) -> None:
        invocation_id = getattr(kwargs.get("context"), "invocation_id", None)
        kwargs[client_name] = make(kwargs[client_name], invocation_id)

    wrapper: Any
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(inspect.unwrap(function)):

        @wraps(function)
        async def with_client(*args: Any, **kwargs: Any) -> Any:
            insert_client(kwargs, DurableOrchestrationClient)
            return await function(*args, **kwargs)

        wrapper = with_client
    else:

        @wraps(function)
        def with_sync_client(*args: Any, **kwargs: Any) -> Any:
            insert_client(kwargs, SyncDurableFunctionsClient)
            return function(*args, **kwargs)

        wrapper = with_sync_client
    for annotated in (function, wrapper):
        _annotate_as_text(annotated, client_name)
    wrapper.client_function = function
    return wrapper


def _annotate_as_text(function: Any, parameter: str) -> None:
    """The binding is text to whoever checks bindings by annotation. Other annotations stay as they are."""
    try:
        annotations = dict(function.__annotations__)
    except NameError:  # Python 3.14 resolves annotations when asked; those that fail are left out
        from perdure.sdk.typed import hints_of

        annotations = dict(hints_of(function))
    annotations[parameter] = str
    function.__annotations__ = annotations
    if hasattr(function, "__annotate__"):
        function.__annotate__ = None
        function.__annotations__ = annotations


__all__ = [
    "Blueprint",
    "DFApp",
    "Entity",
    "EntityCode",
    "Orchestrator",
    "OrchestratorCode",
    "code_of",
]
