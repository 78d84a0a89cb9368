"""The functions of an app, called in this process: what a worker process does, without the process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakKeyDictionary

from perdure.host.protocol.messages import ActivityResult, BeginActivity
from perdure.host.worker.indexing import LoadedApp, load_register
from perdure.host.worker.invoke import UserFunction, activity_failed
from perdure.model.execution import (
    ActivityCompleted,
    ActivityOutcome,
    ActivityRequest,
    EntityOutcome,
    EntityRequest,
)
from perdure.model.failure import describe
from perdure.sdk.codes import EntityCode, OrchestratorCode
from perdure.sdk.entity import run_batch, run_batch_async
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions
from perdure.sdk.serialization import decode_activity_input, encode_activity_result
from perdure.testing.executor import TurnRunner

_WORKER = "test"


class AppFunctions:
    """Orchestrators, activities and entities of a function app object; an `executor.Functions`.

    Raises `ValueError` with everything that is wrong with the app.
    """

    def __init__(self, app: Any, options: SdkOptions) -> None:
        loaded = _loaded(app)
        if loaded.errors:
            raise ValueError("\n".join(error.text for error in loaded.errors))
        self._options = options
        self._orchestrators: dict[str, OrchestratorCode] = {}
        self._entities: dict[str, EntityCode] = {}
        self._activities: dict[str, UserFunction] = {}
        self._replaced: dict[str, Callable[[Any], Any]] = {}
        self.names: dict[str, tuple[str, ...]] = {"orchestration": (), "activity": (), "entity": ()}
        for function in loaded.functions:
            durable_name = function.indexed.durable_name
            key = durable_name.lower()
            if isinstance(function.code, OrchestratorCode):
                self._orchestrators[key] = function.code
                self.names["orchestration"] += (durable_name,)
            elif isinstance(function.code, EntityCode):
                self._entities[key] = function.code
                self.names["entity"] += (durable_name,)
            elif durable_name:
                self._activities[key] = UserFunction(function, "", options.typed_payloads)
                self.names["activity"] += (durable_name,)

    def replace(self, name: str, activity: Callable[[Any], Any]) -> None:
        """Run `activity(value)` in place of the activity `name`. Raises `KeyError` when the app has none."""
        if name.lower() not in self._activities:
            raise KeyError(f"the app has no activity '{name}', only: {', '.join(sorted(self.names['activity']))}")
        self._replaced[name.lower()] = activity

    def sessions(self, evicted: Callable[[int], None]) -> TurnRunner:
        return Sessions(lambda name: self._orchestrators.get(name.lower()), self._options, evicted)

    def run_activity(self, request: ActivityRequest, now: int) -> ActivityOutcome:
        replaced = self._replaced.get(request.name.lower())
        if replaced is not None:
            return _run_replaced(replaced, request, now)
        function = self._activities[request.name.lower()]
        begin = BeginActivity(f"{request.instance_id}/{request.task}", request)
        end = (
            finish(function.run_async(begin, _WORKER))
            if function.is_async
            else function.run(begin, _WORKER, lambda awaitable: finish(awaitable))
        )
        assert isinstance(end, ActivityResult)
        return end.outcome

    def run_entity(self, request: EntityRequest) -> EntityOutcome:
        code = self._entities[request.name.lower()]
        if code.is_async:
            decided: EntityOutcome = finish(run_batch_async(code, request, self._options))
            return decided
        return run_batch(code, request, self._options)


#: the library lists the functions of an app only once
_listed: WeakKeyDictionary[Any, LoadedApp] = WeakKeyDictionary()


def _loaded(app: Any) -> LoadedApp:
    loaded = _listed.get(app)
    if loaded is None:
        loaded = _listed[app] = LoadedApp()
        load_register(loaded, app)
    return loaded


def _run_replaced(activity: Callable[[Any], Any], request: ActivityRequest, now: int) -> ActivityOutcome:
    try:
        value = activity(decode_activity_input(request.input, None, typed=False))
        result = encode_activity_result(finish(value) if asyncio.iscoroutine(value) else value)
    except Exception as error:  # noqa: BLE001  whatever the test's function raises is the activity's failure
        return activity_failed(request, request.name, describe(error), now, now, _WORKER)
    return ActivityCompleted(request.n, request.generation, request.task, result, now, now, _WORKER)


def finish(awaitable: Awaitable[Any]) -> Any:
    """Run a coroutine to its end, also on a thread that has a running loop."""

    async def wait() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, wait()).result()
