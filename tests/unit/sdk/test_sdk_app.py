"""Decorators and their stacking rules (sdk-api.md section 2), v1 creators, mistakes that show at load time."""

from __future__ import annotations

import functools
import json
from typing import Any

import azure.functions as func
import pytest

import perdure as df
from perdure.sdk.app import code_of
from perdure.sdk.blocking_client import SyncDurableFunctionsClient
from perdure.sdk.codes import EntityCode, OrchestratorCode
from perdure.sdk.orchestration_client import DurableOrchestrationClient
from perdure.sdk.references import durable_name, output_type
from perdure.sdk.shapes import FunctionShapeError
from tests.unit.sdk.client_binding import BINDING
from tests.unit.sdk.turns import Instance

# azure-functions got durable decorators of its own after the lowest release that we take
APPS = [app for app in (df.DFApp, df.Blueprint, func.FunctionApp, func.Blueprint) if hasattr(app, "activity_trigger")]


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture
def durable() -> df.DFApp:
    return df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def bindings(builder: Any) -> list[dict[str, Any]]:
    return list(json.loads(builder.build().get_function_json())["bindings"])


def test_classes() -> None:
    assert issubclass(df.DFApp, func.FunctionRegister)
    assert not issubclass(df.Blueprint, func.FunctionRegister)
    assert not issubclass(df.DFApp, func.FunctionApp)
    with pytest.raises(KeyError):
        df.DFApp(http_auth_level="anonymous")
    assert df.DFApp(http_auth_level="ANONYMOUS").auth_level is func.AuthLevel.ANONYMOUS


def test_orchestrator(app: Any) -> None:
    @app.orchestration_trigger(context_name="context", orchestration="Named")
    def orch(context: df.DurableOrchestrationContext) -> Any:
        yield context

    assert bindings(orch) == [
        {"direction": "IN", "type": "orchestrationTrigger", "name": "context", "orchestration": "Named"}
    ]
    handle = orch.build().get_user_function()
    assert handle.__name__ == "orch"
    assert next(handle.orchestrator_function("c")) == "c"
    code = code_of(handle)
    assert isinstance(code, OrchestratorCode)
    assert (code.name, code.function, code.is_native(1)) == ("orch", handle.orchestrator_function, False)
    assert code.location.startswith(f"{__file__}:")


def test_plain_names_have_no_extra_keys(app: Any) -> None:
    @app.activity_trigger(input_name="x")
    def act(x: int) -> int:
        return x + 1

    @app.entity_trigger(context_name="context")
    def ent(context: Any) -> None: ...

    assert bindings(act) == [{"direction": "IN", "type": "activityTrigger", "name": "x"}]
    assert bindings(ent) == [{"direction": "IN", "type": "entityTrigger", "name": "context"}]
    assert act.build().get_user_function()(1) == 2
    assert isinstance(code_of(ent.build().get_user_function()), EntityCode)
    assert code_of(act.build().get_user_function()) is None


def test_function_name_goes_above_and_retry_too(durable: df.DFApp) -> None:
    @durable.function_name("Other")
    @durable.orchestration_trigger(context_name="anything")
    def orch(context: Any) -> None: ...

    assert durable.get_functions()[0].get_function_name() == "Other"
    assert durable_name(orch, "orchestrationTrigger") == "Other"


def test_orchestration_trigger_must_sit_on_the_function(durable: df.DFApp) -> None:
    with pytest.raises(AttributeError, match="__name__"):

        @durable.orchestration_trigger(context_name="context")
        @durable.function_name("Other")
        def orch(context: Any) -> None: ...


@pytest.mark.parametrize("client_first", [True, False])
def test_client_above_or_below_route(durable: df.DFApp, client_first: bool) -> None:
    client_input = durable.durable_client_input(client_name="client", task_hub="hub")
    route = durable.route(route="start/{n}", methods=["POST"])

    async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> Any:
        return client

    builder = client_input(route(start)) if client_first else route(client_input(start))
    function = durable.get_functions()[0]
    assert function.get_trigger() is not None
    shown = {binding["type"]: binding for binding in bindings(builder)}
    assert shown["durableClient"] == {
        "direction": "IN", "type": "durableClient", "name": "client", "taskHub": "hub",
    }  # fmt: skip
    assert function.get_user_function().client_function is start


async def _call(function: Any, **kwargs: Any) -> Any:
    return await function(**kwargs)


def test_coroutine_function_gets_the_async_client(durable: df.DFApp) -> None:
    import asyncio

    @durable.route(route="a")
    @durable.durable_client_input(client_name="client")
    async def start(req: Any, client: df.DurableOrchestrationClient, context: Any) -> Any:
        return client

    class Context:
        invocation_id = "inv"

    function = start.build().get_user_function()
    assert function.__annotations__["client"] is str
    client = asyncio.run(_call(function, req=1, client=BINDING, context=Context()))
    assert type(client) is DurableOrchestrationClient
    assert client._function_invocation_id == "inv"
    with pytest.raises(KeyError):
        asyncio.run(function(1, BINDING))


def test_plain_function_gets_the_blocking_client(durable: df.DFApp) -> None:
    @durable.route(route="a")
    @durable.durable_client_input(client_name="client")
    def start(req: Any, client: Any) -> Any:
        return client

    assert type(start.build().get_user_function()(req=1, client=BINDING)) is SyncDurableFunctionsClient


def test_wrapped_coroutine_function_is_awaited(durable: df.DFApp) -> None:
    import asyncio

    def traced(function: Any) -> Any:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return inner

    @durable.route(route="a")
    @durable.durable_client_input(client_name="client")
    @traced
    async def start(req: Any, client: Any) -> Any:
        return client

    client = asyncio.run(_call(start.build().get_user_function(), req=1, client=BINDING))
    assert type(client) is DurableOrchestrationClient


def test_client_needs_a_trigger_and_triggers_are_single(durable: df.DFApp) -> None:
    @durable.durable_client_input(client_name="client")
    async def start(client: Any) -> None: ...

    with pytest.raises(ValueError, match="does not have a trigger"):
        durable.get_functions()
    with pytest.raises(ValueError, match="A trigger was already registered"):

        @durable.activity_trigger(input_name="x")
        @durable.route(route="a")
        def twice(x: Any) -> None: ...


def test_registration_between_worlds() -> None:
    blueprint, plain = df.Blueprint(), func.FunctionApp()

    @blueprint.activity_trigger(input_name="x")
    def act(x: Any) -> None: ...

    plain.register_functions(blueprint)
    assert [f.get_function_name() for f in plain.get_functions()] == ["act"]
    with pytest.raises(TypeError, match="functions can not be type of FunctionRegister"):
        df.DFApp().register_functions(df.DFApp())


def test_durable_names_of_references(durable: df.DFApp) -> None:
    @durable.activity_trigger(input_name="x", activity="Explicit")
    def explicit(x: int) -> float:
        return x

    @durable.function_name("Setting")
    @durable.activity_trigger(input_name="x")
    def setting(x: int) -> list[int]:
        return [x]

    @durable.orchestration_trigger(context_name="context")
    def orch(context: Any) -> str:
        return ""

    assert durable_name(explicit, "activityTrigger") == "Explicit"
    assert durable_name(setting, "activityTrigger") == "Setting"
    assert (output_type(explicit), output_type(setting), output_type(orch), output_type("x")) == (
        float, None, str, None,
    )  # fmt: skip
    with pytest.raises(ValueError, match="Received function with Trigger-type `orchestrationTrigger` but expected `Ac"):
        durable_name(orch, "activityTrigger")
    with pytest.raises(ValueError, match="Received function with Trigger-type `activityTrigger` but expected `Orch"):
        durable_name(explicit, "orchestrationTrigger")
    with pytest.raises(ValueError, match="The `call_activity` API received a `Callable` without an associated"):
        durable_name(lambda x: x, "activityTrigger")
    with pytest.raises(ValueError, match="function_name cannot be empty"):
        durable_name("", "activityTrigger")


def test_input_types_and_arity() -> None:
    app = df.DFApp()

    @app.orchestration_trigger(context_name="context", input_type=dict)
    def declared(context: Any) -> None: ...

    @app.orchestration_trigger(context_name="ctx")
    def native(ctx: Any, order: list[int]) -> None: ...

    def optional(context: Any, extra: int = 0) -> None: ...

    assert declared.build().get_user_function()._df_input_type is dict
    code = code_of(declared.build().get_user_function())
    assert isinstance(code, OrchestratorCode)
    assert code.input_type is dict
    code = code_of(native.build().get_user_function())
    assert isinstance(code, OrchestratorCode)
    assert (code.is_native(1), code.input_type) == (True, list[int])
    assert not OrchestratorCode(optional).is_native(1)
    assert OrchestratorCode(optional).is_native(2)


def test_v1_creators() -> None:
    def fn(context: Any) -> None: ...

    main = df.Orchestrator.create(fn)
    assert main.orchestrator_function is fn  # type: ignore[attr-defined]
    assert code_of(main).function is fn  # type: ignore[union-attr]
    assert code_of(df.Orchestrator(fn).handle).function is fn  # type: ignore[union-attr]
    entity = df.Entity.create(fn)
    assert entity.entity_function is fn  # type: ignore[attr-defined]
    assert isinstance(code_of(entity), EntityCode)
    assert code_of(fn) is None


async def _async_generator(context: Any) -> Any:
    yield context


def _nothing() -> None: ...


def _three(a: Any, b: Any, c: Any) -> None: ...


def _keywords(a: Any, *, b: Any) -> None: ...


def _generator(context: Any) -> Any:
    yield context


LINE = f"^{__file__.replace('.', '[.]')}:\\d+: "


@pytest.mark.parametrize(
    ("make", "function", "text"),
    [
        (df.Orchestrator.create, _async_generator, "orchestrator '_async_generator' is an async generator"),
        (df.Orchestrator.create, _nothing, "orchestrator '_nothing' takes no positional parameter"),
        (df.Orchestrator.create, _three, r"orchestrator '_three' takes 3 parameters \(a, b, c\); it must take "),
        (df.Orchestrator.create, _keywords, "orchestrator '_keywords' needs the keyword arguments b"),
        (df.Entity.create, _generator, "entity '_generator' is a generator: it has a `yield`"),
        (df.Entity.create, _nothing, "entity '_nothing' takes no positional parameter"),
        (df.DFApp().activity_trigger("x"), _generator, "activity '_generator' is a generator"),
        (df.DFApp().activity_trigger("x"), _nothing, "activity '_nothing' has no parameter named 'x'"),
    ],
)
def test_mistakes_at_load_time(make: Any, function: Any, text: str) -> None:
    with pytest.raises(FunctionShapeError, match=LINE + text):
        make(function)


def test_an_activity_called_directly_in_an_orchestrator_is_named_in_a_warning(
    app: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.sdk.app._warned", set())

    @app.activity_trigger(input_name="x")
    def double(x: int) -> int:
        return 2 * x

    def orch(context: Any) -> Any:
        return double(1) + double(2)

    assert double(4) == 8
    assert not caplog.records
    for _ in range(2):
        assert Instance(orch).start()[-1].result == "6"
    texts = [record.getMessage() for record in caplog.records]
    line = orch.__code__.co_firstlineno + 1
    assert len(texts) == 1
    assert f"'double' is called directly at {__file__}:{line} in orch" in texts[0]
    assert "yield context.call_activity(double, input)" in texts[0]
