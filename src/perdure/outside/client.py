"""`perdure.client`: the durable client for scripts, notebooks and web apps, on a store or on a host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, overload

from perdure.host.client_hubs import ClientHubs, hub_names
from perdure.host.errors import StartError
from perdure.host.http.links import binding_settings, client_binding, webhook_base
from perdure.host.settings.hub_name import default_hub_name
from perdure.host.settings.store_url import StoreUrl, parse_store_url
from perdure.host.telemetry.tracing_settings import client_sampling
from perdure.outside.transport import HttpHubs, Hubs, OutsideTransport
from perdure.sdk.blocking_client import SyncDurableFunctionsClient
from perdure.sdk.orchestration_client import DurableOrchestrationClient
from perdure.taskhub.options import HubOptions


class OutsideClient(DurableOrchestrationClient):
    """A `DurableOrchestrationClient` on a hub of one's own choice. Close it, or use it in `with` or `async with`."""

    def __init__(self, binding: str, transport: OutsideTransport) -> None:
        super().__init__(binding)
        self._own_transport = transport
        self._outside = transport

    def close(self) -> None:
        """Let go of the store."""
        self._outside.close()

    def __enter__(self) -> OutsideClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> OutsideClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class BlockingOutsideClient(SyncDurableFunctionsClient):
    """The same for code without an event loop: every method waits for its answer."""

    def __init__(self, binding: str, transport: OutsideTransport) -> None:
        super().__init__(binding)
        self._own_transport = self._blocking_client._own_transport = transport
        self._outside = transport

    def close(self) -> None:
        """Let go of the store."""
        self._outside.close()

    def __enter__(self) -> BlockingOutsideClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@overload
def client(url: str, *, task_hub: str | None = None, sync: Literal[False] = False) -> OutsideClient: ...


@overload
def client(url: str, *, task_hub: str | None = None, sync: Literal[True]) -> BlockingOutsideClient: ...


def client(url: str, *, task_hub: str | None = None, sync: bool = False) -> Any:
    """A durable client for code outside of a function app.

    `url` is a store (`sqlite:///.perdure/TestHubName.db`, `postgresql://user@host/database`), which works whether or
    not a host is up, or a host (`http://localhost:7071`, with `?code=KEY` where keys are demanded). Without
    `task_hub` it is the only hub of the store, or the host's own. With `sync` all methods wait instead of being
    coroutines. Nothing is opened before the first call. Raises `ValueError` on a URL that names nothing, `TypeError`
    on what is no text.
    """
    if not isinstance(url, str):
        raise TypeError(f"perdure.client: {url!r} is no URL. Expected a text such as 'sqlite:///.perdure/MyHub.db'.")
    try:
        hubs, binding, hub = _reached(url, task_hub)
    except StartError as error:
        raise ValueError(str(error)) from None
    transport = OutsideTransport(hubs, hub)
    return BlockingOutsideClient(binding, transport) if sync else OutsideClient(binding, transport)


def _reached(url: str, task_hub: str | None) -> tuple[Hubs, str, str]:
    if url.lower().startswith(("http://", "https://")):
        http = HttpHubs(url)
        settings = binding_settings(http.base, task_hub or "", http.code, use_forwarded_host=False)
        return http, client_binding(settings), task_hub or ""
    store = parse_store_url(url, "perdure.client", Path.cwd())
    if store.kind == "memory":
        raise StartError("perdure.client: memory: is the state of one host alone. Give the URL of that host.")
    hub = task_hub or only_hub(store)
    base = webhook_base(os.environ.get("WEBSITE_HOSTNAME") or "localhost:7071")
    options = HubOptions(sampling=client_sampling(os.environ.get))
    return ClientHubs(store, options), client_binding(binding_settings(base, hub, "", use_forwarded_host=False)), hub


def only_hub(store: StoreUrl, flag: str = "task_hub") -> str:
    """The hub of a store that holds only one, else the default name.

    Raises `StartError` when there are several: `flag` is how its name is given.
    """
    known = hub_names(store) or []
    if len(known) > 1:
        raise StartError(f"{store} holds the task hubs {', '.join(known)}: give {flag}.")
    return known[0] if known else default_hub_name(os.environ.get("WEBSITE_SITE_NAME"))
