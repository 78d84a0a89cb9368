"""The admin API: status, ping, functions, running a function by hand, drain."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import time
from collections.abc import Awaitable
from typing import Any, Protocol

import msgspec

import perdure
from perdure.host.functions.function_list import HTTP, FunctionList, invoke_url
from perdure.host.http.exchange import Request, Response, json_response
from perdure.host.protocol.messages import IndexedFunction

_NOT_FOUND = Response(404)
_ACCEPTED = Response(202)
_BACKGROUND_LIMIT = 1000


class HostControl(Protocol):
    """What the admin API asks of the running host."""

    @property
    def state(self) -> str:
        """Starting, Running, Error, Stopping or Stopped."""

    @property
    def errors(self) -> list[str]:
        """What keeps functions from running."""

    @property
    def functions(self) -> FunctionList:
        """The functions of the app."""

    @property
    def host_id(self) -> str:
        """This host's instance id."""

    def working(self) -> dict[str, Any]:
        """What its status tells beyond its state; see `host_status.py`."""

    def drain(self) -> None:
        """Stop taking new work."""

    def drain_state(self) -> tuple[str, int]:
        """Disabled, InProgress or Completed, and the number of runs under way."""

    async def resume(self) -> str | None:
        """Take work again after a drain. None when the host does, else why not."""

    def effective_settings(self) -> dict[str, Any]:
        """The settings that the host runs by."""

    async def run_by_hand(self, function: IndexedFunction, payload: str | None) -> None:
        """Run a function of any kind to its end."""


class AdminApi:
    """Answers what comes below `/admin/`."""

    def __init__(self, host: HostControl) -> None:
        self._host = host
        self._began = time.monotonic()
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        path = [segment for segment in request.segments()[1:] if segment]
        match [request.method, *(segment.lower() for segment in path)]:
            case ["GET", "host", "status"]:
                return json_response(200, self.status())
            case ["GET" | "POST", "host", "ping"]:
                return Response(200)
            case ["GET", "host", "config"]:
                return json_response(200, self._host.effective_settings())
            case ["POST", "host", "drain"]:
                self._host.drain()
                return _ACCEPTED
            case ["GET", "host", "drain", "status"]:
                state, running = self._host.drain_state()
                return json_response(200, {"state": state, "outstandingInvocations": running, "outstandingRetries": 0})
            case ["POST", "host", "resume"]:
                reason = await self._host.resume()
                return Response(200) if reason is None else json_response(409, {"Message": reason})
            case ["POST", "host", "synctriggers"]:
                return json_response(200, {"status": "success"})
            case ["GET" | "POST", "warmup"]:
                return await self._warmup()
            case ["GET", "functions"]:
                base = request.origin(False)
                return json_response(200, [self._describe(f, base) for f in self._host.functions.functions])
            case ["GET", "functions", name]:
                found = self._host.functions.find(name)
                return _NOT_FOUND if found is None else json_response(200, self._describe(found, request.origin(False)))
            case ["GET", "functions", name, "status"]:
                return self._function_status(name)
            case ["POST", "functions", name]:
                return await self._run(request, name)
            case _:
                return _NOT_FOUND

    def status(self) -> dict[str, Any]:
        """The payload of /admin/host/status."""
        errors = self._host.errors
        return {
            "id": self._host.host_id,
            "state": self._host.state,
            "version": perdure.__version__,
            "versionDetails": f"perdure {perdure.__version__}, Python {platform.python_version()}",
            "platformVersion": platform.platform(terse=True),
            "instanceId": self._host.host_id,
            "computerName": platform.node(),
            **({"errors": errors} if errors else {}),
            "processUptime": int((time.monotonic() - self._began) * 1000),
            **self._host.working(),
        }

    def _describe(self, function: IndexedFunction, base: str) -> dict[str, Any]:
        href = f"{base}/admin/functions/{function.name}"
        config = {
            "name": function.name,
            "scriptFile": function.script_file,
            "entryPoint": function.entry_point,
            "language": "python",
            "bindings": function.bindings,
        }
        prefix = self._host.functions.prefix
        described: dict[str, Any] = {
            "name": function.name,
            "script_root_path_href": f"{base}/admin/vfs/{function.name}/",
            "script_href": f"{base}/admin/vfs/{function.script_file}",
            "config_href": f"{base}/admin/vfs/{function.name}/function.json",
            "test_data_href": None,
            "href": href,
            "invoke_url_template": invoke_url(function, base, prefix) if function.trigger == HTTP else None,
            "language": "python",
            "config": config,
            "files": None,
            "test_data": None,
            "isDisabled": function.disabled,
            "isDirect": True,
            "isProxy": False,
        }
        return described

    def _function_status(self, name: str) -> Response:
        mistakes = {known.lower(): text for known, text in self._host.functions.mistakes.items()}
        if name in mistakes:
            return json_response(200, {"errors": [mistakes[name]]})
        return json_response(200, {}) if self._host.functions.find(name) is not None else _NOT_FOUND

    async def _run(self, request: Request, name: str) -> Response:
        function = self._host.functions.find(name)
        if function is None:
            return _NOT_FOUND
        try:
            body = msgspec.json.decode(await request.body() or b"null")
        except (msgspec.DecodeError, RecursionError) as error:
            return json_response(400, {"Message": f'The body is not JSON: {error}. Expected {{"input": "..."}}.'})
        if not isinstance(body, dict):
            return json_response(400, {"Message": 'The body must be an object {"input": "..."}.'})
        given = next((value for key, value in body.items() if key.lower() == "input"), None)
        if len(self._running) >= _BACKGROUND_LIMIT:
            return json_response(429, {"Message": f"{_BACKGROUND_LIMIT} functions started by hand are still running."})
        payload = given if given is None or isinstance(given, str) else msgspec.json.encode(given).decode("utf-8")
        self._in_background(self._host.run_by_hand(function, payload))
        return _ACCEPTED

    async def _warmup(self) -> Response:
        warm = next((f for f in self._host.functions.enabled() if f.trigger == "warmuptrigger"), None)
        if warm is not None:
            await self._host.run_by_hand(warm, "{}")
        return Response(200)

    def _in_background(self, run: Awaitable[None]) -> None:
        async def to_its_end() -> None:
            await run

        task = asyncio.ensure_future(to_its_end())
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """End what was started by hand and still runs."""
        for task in list(self._running):
            task.cancel()
        for task in list(self._running):
            with contextlib.suppress(asyncio.CancelledError):
                await task
