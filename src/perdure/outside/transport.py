"""Carries a client's operations to a store or to a host, from any thread and any event loop."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import socket
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from perdure.host.client_hubs import ClientHubs
from perdure.host.errors import StartError
from perdure.host.http.links import WEBHOOK_PATH
from perdure.model.operations import Operation, OperationAnswer, RefusalCode, Refused, asked_by
from perdure.sdk.client_trace import with_trace

T = TypeVar("T")
#: below the webhook path: operations and answers as values
OPERATIONS = "operations"
_HTTP_SECONDS = 240.0


class _Wrong(msgspec.Struct):
    """The body of a 400."""

    text: str = msgspec.field(name="ExceptionMessage")


class Hubs(Protocol):
    """Hubs by name, used on one event loop."""

    async def ask(self, operation: Operation, name: str) -> OperationAnswer: ...
    async def close(self) -> None: ...


class HttpHubs:
    """The hubs that a running host reaches, over its webhook API."""

    def __init__(self, url: str) -> None:
        """`url` is `http://host:port`, with `?code=KEY` where the host demands one. Raises `StartError`."""
        parts = urlsplit(url)
        if not parts.hostname:
            raise StartError(f"'{url}' names no host. Expected http://host:7071 or http://host:7071?code=KEY.")
        path = parts.path.rstrip("/")
        if not path.lower().endswith(WEBHOOK_PATH):
            path += WEBHOOK_PATH
        self.base = f"{parts.scheme}://{parts.netloc}{path}"
        self.code = parse_qs(parts.query).get("code", [""])[0]
        self._answers: msgspec.json.Decoder[OperationAnswer] = msgspec.json.Decoder(OperationAnswer)
        self._http: Any = None

    async def ask(self, operation: Operation, name: str) -> OperationAnswer:
        """Ask a hub of the host; "" is the host's own."""
        import httpx

        if self._http is None:
            self._http = httpx.AsyncClient(timeout=httpx.Timeout(_HTTP_SECONDS, connect=10.0))
        try:
            response = await self._http.post(
                f"{self.base}/{OPERATIONS}",
                params={"taskHub": name} if name else {},
                headers={"x-functions-key": self.code} if self.code else {},
                content=msgspec.json.encode(operation),
            )
        except httpx.HTTPError as error:
            why = str(error) or type(error).__name__
            return Refused(RefusalCode.UNAVAILABLE, f"No host answers at {self.base}: {why}")
        if response.status_code == 200:
            try:
                return self._answers.decode(response.content)
            except msgspec.DecodeError as error:
                text = f"{self.base} answered what this version does not understand ({error}). Is it a perdure host?"
                return Refused(RefusalCode.UNAVAILABLE, text)
        if response.status_code == 401:
            text = f"{self.base} demands a key: give it as ?code=KEY in the URL."
            return Refused(RefusalCode.UNAVAILABLE, text)
        if response.status_code == 400:
            with contextlib.suppress(msgspec.DecodeError):
                return Refused(RefusalCode.BAD_REQUEST, msgspec.json.decode(response.content, type=_Wrong).text)
        text = f"{self.base} answered {response.status_code}: {response.text[:300] or 'nothing'}"
        return Refused(RefusalCode.UNAVAILABLE, text)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # a container may run under a number that has no name
        return "unknown"


class OutsideTransport:
    """A `ClientTransport` over hubs that live on a thread with an event loop of their own.

    What it asks is recorded under the name of the user of this process; `by_hand`: also events, signals and starts.
    """

    def __init__(self, hubs: Hubs, task_hub: str, *, by_hand: bool = False) -> None:
        self._hubs, self._task_hub, self._by_hand = hubs, task_hub, by_hand
        self._who = f"{_user()}@{socket.gethostname()} ({'command line' if by_hand else 'script'})"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="perdure-client", daemon=True)
        self._thread.start()
        self._closed = False

    async def call(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask, from a coroutine on any event loop."""
        return await asyncio.wrap_future(self._asked(operation, task_hub))

    def call_sync(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask and wait on this thread."""
        return self._asked(operation, task_hub).result()

    def _asked(self, operation: Operation, task_hub: str) -> Future[OperationAnswer]:
        known = asked_by(operation, self._who, by_hand=self._by_hand)
        return self._submit(self._hubs.ask(with_trace(known), task_hub or self._task_hub))

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._closed:
            work.close()
            raise RuntimeError("this client is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Finish what was asked for, and let go of the store."""
        if self._closed:
            return
        closing = self._submit(self._hubs.close())
        self._closed = True
        closing.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


__all__ = ["ClientHubs", "HttpHubs", "Hubs", "OutsideTransport"]
