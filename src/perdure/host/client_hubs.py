"""Hubs of a store, opened by name for clients: other hubs than a host's own, and any hub for scripts and commands."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from perdure.host.composition import OpenStore, open_store, policy
from perdure.host.errors import StartError
from perdure.host.loop import LoopClock, answer_of
from perdure.host.settings.config import HostConfig
from perdure.host.settings.hub_name import hub_name
from perdure.host.settings.store_url import StoreUrl, parse_store_url
from perdure.host.wakes import OpenWakes, open_wakes
from perdure.model.operations import (
    CleanEntities,
    Counted,
    CountInstances,
    CountWaiting,
    DeleteTaskHub,
    EntitiesCleaned,
    EntityFound,
    Listed,
    ListInstances,
    Operation,
    OperationAnswer,
    Purged,
    PurgeInstances,
    ReadEntity,
    RefusalCode,
    Refused,
    SignalEntityOperation,
    StartInstance,
    WaitingCounted,
)
from perdure.model.trace_context import Sampling
from perdure.storage.provider import StoreError
from perdure.taskhub.client import HubClient
from perdure.taskhub.client_hub import ClientHub
from perdure.taskhub.options import HubOptions

#: hubs that are open at the same time; the one that was not used for longest is closed for another
MOST_OPEN = 8
_CLOSING_SECONDS = 5.0


class StoreTerms(Struct, frozen=True):
    """Which store to open, for which hub; the part of `HostConfig` that stores need."""

    store: StoreUrl
    hub_name: str
    large_payload_bytes: int = 65536


class OpenedHub:
    """One hub, open for a client."""

    def __init__(self, terms: StoreTerms, options: HubOptions) -> None:
        self._terms, self._options = terms, options
        self._opened: OpenStore | None = None
        self._hub: ClientHub | None = None
        self._wakes: OpenWakes | None = None

    async def open(self) -> HubClient:
        """Open store and hub. Raises `StartError`."""
        loop = asyncio.get_running_loop()
        clock = LoopClock(loop)
        opened = await loop.run_in_executor(None, open_store, self._terms, clock, loop, None)
        self._opened = opened
        self._wakes = await open_wakes(
            self._terms.store.kind, self._terms.hub_name, opened.provider, clock, _no_token, _nothing
        )
        hub = self._hub = ClientHub(opened.provider, clock, self._wakes.wakes, self._options)
        failed: StoreError | None = await answer_of(hub.start)
        if failed is not None:
            raise StartError(f"The store {self._terms.store} cannot be used: {failed}")
        return HubClient(hub)

    async def close(self) -> None:
        """Finish what was asked for, and close."""
        loop = asyncio.get_running_loop()
        if self._hub is not None:
            stopped = loop.create_future()
            self._hub.stop(lambda: None if stopped.done() else stopped.set_result(None))
            await asyncio.wait([stopped], timeout=_CLOSING_SECONDS)
        if self._wakes is not None:
            self._wakes.close()
        if self._opened is not None:
            await loop.run_in_executor(None, self._opened.shutdown)


class ClientHubs:
    """The hubs of one store by name. Used on one event loop."""

    def __init__(self, store: StoreUrl, options: HubOptions | None = None, large_payload_bytes: int = 65536) -> None:
        self._store, self._large = store, large_payload_bytes
        self._options = options or HubOptions()
        self._open: dict[str, tuple[OpenedHub, asyncio.Future[HubClient]]] = {}

    async def ask(self, operation: Operation, name: str) -> OperationAnswer:
        """Ask the hub of that name. A hub comes into being when something is started in it."""
        try:
            hub_name(name, lambda _: None)
        except StartError as error:
            return Refused(RefusalCode.BAD_REQUEST, str(error))
        if name not in self._open and not isinstance(operation, (StartInstance, SignalEntityOperation)):
            known = await asyncio.get_running_loop().run_in_executor(None, hub_names, self._store)
            if known is not None and name.lower() not in map(str.lower, known):
                return _nobody(operation, name)
        try:
            client = await self._client(name)
        except StartError as error:
            return Refused(RefusalCode.UNAVAILABLE, str(error))
        answer: OperationAnswer = await answer_of(lambda done: client.call(operation, done))
        if isinstance(operation, DeleteTaskHub) and isinstance(answer, Purged) and answer.continuation is None:
            # the hub is gone, and with it what this process was in it
            await self._close(name)
        return answer

    async def _client(self, name: str) -> HubClient:
        entry = self._open.pop(name, None)
        if entry is None:
            options = HubOptions(
                hub_name=name,
                host_instance=uuid.uuid4().hex,
                existing_policy=self._options.existing_policy,
                default_version=self._options.default_version,
                host_ttl=self._options.host_ttl,
                sampling=self._options.sampling,
            )
            hub = OpenedHub(StoreTerms(self._store, name, self._large), options)
            entry = hub, asyncio.ensure_future(hub.open())
        self._open[name] = entry
        if len(self._open) > MOST_OPEN:
            await self._close(next(iter(self._open)))
        try:
            return await asyncio.shield(entry[1])
        except Exception:
            # whatever it was: the next one tries again
            if self._open.get(name) is entry:
                await self._close(name)
            raise

    async def _close(self, name: str) -> None:
        hub, opening = self._open.pop(name)
        await asyncio.wait([opening])
        await hub.close()

    async def close(self) -> None:
        """Close all hubs."""
        while self._open:
            await self._close(next(iter(self._open)))


def other_hubs(config: HostConfig, sampling: Sampling | None = None) -> ClientHubs | None:
    """The other hubs of a host's store; None where the store cannot be shared."""
    if config.store.kind == "memory":
        return None
    options = HubOptions(
        existing_policy=policy(config),
        default_version=config.default_version,
        host_ttl=config.host_ttl,
        sampling=sampling,
    )
    return ClientHubs(config.store, options, config.large_payload_bytes)


class OtherStores:
    """Stores that app settings of a host name, for requests with `connection=`."""

    def __init__(self, config: HostConfig, sampling: Sampling | None = None) -> None:
        self._config = config
        self._options = HubOptions(sampling=sampling)
        self._stores: dict[str, ClientHubs] = {}

    def find(self, connection: str) -> Callable[[Operation, str], Awaitable[OperationAnswer]] | None:
        """How to ask the store that a setting holds; None for the host's own, and for settings of other kinds."""
        config, text = self._config, self._config.setting(connection)
        try:
            store = None if text is None else parse_store_url(text, connection, Path(config.script_root))
        except StartError:
            return None
        if store is None or store.kind == "memory" or store == config.store:
            return None
        hubs = self._stores.setdefault(str(text), ClientHubs(store, self._options, config.large_payload_bytes))
        return lambda operation, name: hubs.ask(operation, name or config.hub_name)

    async def close(self) -> None:
        """Close all that were opened."""
        for hubs in self._stores.values():
            await hubs.close()


def hub_names(store: StoreUrl) -> list[str] | None:
    """The hubs that a store holds, without opening any; None where that is not known beforehand."""
    if store.kind == "postgres":
        try:
            from perdure.storage.postgres.hubs import hub_names as postgres_hubs
        except ModuleNotFoundError:
            return None
        return postgres_hubs(store.location)
    if store.kind != "sqlite":
        return None
    if not Path(store.location).exists():
        return []
    try:
        with closing(sqlite3.connect(f"file:{quote(store.location)}?mode=ro", uri=True, timeout=2.0)) as connection:
            return [str(name) for (name,) in connection.execute("SELECT name FROM hub WHERE name <> '' ORDER BY name")]
    except sqlite3.Error:
        # opening it in earnest says what is wrong
        return None


def _nobody(operation: Operation, name: str) -> OperationAnswer:
    """What a hub answers that holds nothing."""
    match operation:
        case ListInstances():
            return Listed([])
        case CountInstances():
            return Counted({})
        case CountWaiting(numbers):
            return WaitingCounted((0,) * len(numbers))
        case PurgeInstances():
            return Purged(0)
        case ReadEntity():
            return EntityFound(False)
        case CleanEntities():
            return EntitiesCleaned(0, 0)
        case _:
            return Refused(RefusalCode.NOT_FOUND, f"There is no task hub '{name}' in this store.")


def _no_token() -> int:
    return 0


def _nothing(numbers: list[int]) -> None:
    """A client holds no instance whose change it would have to know."""
