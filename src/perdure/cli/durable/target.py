"""Which hub a command means, and the way to it: the store or a host, and the name of the hub."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from perdure.cli.errors import FAILED, NOT_FOUND, USAGE
from perdure.host.client_hubs import ClientHubs
from perdure.host.composition import policy
from perdure.host.errors import StartError
from perdure.host.settings.config import Flags, HostConfig, load_config
from perdure.host.settings.hub_name import hub_name
from perdure.host.settings.store_url import StoreUrl, parse_store_url
from perdure.host.telemetry.tracing_settings import client_sampling
from perdure.model.operations import Operation, OperationAnswer, RefusalCode, Refused
from perdure.outside.client import only_hub
from perdure.outside.transport import HttpHubs, Hubs, OutsideTransport
from perdure.taskhub.options import HubOptions

A = TypeVar("A", bound=OperationAnswer)


class CommandFailed(StartError):
    """A command cannot do what it was asked for; `code` is the exit code."""

    def __init__(self, text: str, code: int = FAILED) -> None:
        super().__init__(text)
        self.code = code


class Where(Struct, frozen=True):
    """The flags that all durable commands have."""

    store: str | None = None
    url: str | None = None
    task_hub_name: str | None = None
    connection_string_setting: str | None = None
    script_root: str | None = None
    json: bool = False


class Target:
    """An open hub. Used in `with`."""

    def __init__(self, where: Where) -> None:
        """Find out which hub is meant. Raises `StartError`."""
        self.json = where.json
        _check(where)
        self.config = _config(where)
        self.store: StoreUrl | None = None
        hubs: Hubs
        if where.url is not None:
            hubs, self.hub = HttpHubs(where.url), where.task_hub_name or ""
        else:
            self.store = _store(where, self.config)
            if self.store.kind == "memory":
                raise CommandFailed(
                    "The app keeps its state in the memory of its host: give the address of that host with --url."
                )
            own = self.config.hub_name if self.config is not None and where.store is None else None
            self.hub = where.task_hub_name or own or only_hub(self.store, "--task-hub-name")
            if where.store is not None and self.store.kind == "sqlite" and not Path(self.store.location).exists():
                print(f"There is no file {self.store.location} yet: task hub {self.hub} is empty.", file=sys.stderr)
            hubs = ClientHubs(self.store, *_options(self.config))
        self._transport = OutsideTransport(hubs, self.hub, by_hand=True)

    def __enter__(self) -> Target:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    @property
    def name(self) -> str:
        """The hub, for messages."""
        return self.hub or "of the host"

    def ask(self, operation: Operation) -> OperationAnswer:
        """The hub's answer, a refusal included."""
        return self._transport.call_sync(operation)

    def expect(self, operation: Operation, kind: type[A], missing: str = "") -> A:
        """The hub's answer of this kind. Raises `CommandFailed`, with the text `missing` for what is not there."""
        answer = self.ask(operation)
        if isinstance(answer, kind):
            return answer
        assert isinstance(answer, Refused), answer
        if answer.code is RefusalCode.NOT_FOUND:
            raise CommandFailed(missing or answer.text, NOT_FOUND)
        raise CommandFailed(answer.text)


def _check(where: Where) -> None:
    """Flags that contradict each other, or name nothing. Raises `CommandFailed`."""
    if where.url is not None and where.store is not None:
        raise CommandFailed("Give --store or --url, not both: each says where the task hub is.", USAGE)
    if where.url is not None and not re.match(r"https?://[^/?]", where.url, re.IGNORECASE):
        raise CommandFailed(f"--url: '{where.url}' is no address of a host. Expected http://host:7071?code=KEY.", USAGE)
    try:
        if where.task_hub_name is not None:
            hub_name(where.task_hub_name, lambda _: None)
        if where.store is not None:
            parse_store_url(where.store, "--store", Path.cwd())
    except StartError as error:
        raise CommandFailed(str(error), USAGE) from None


def _config(where: Where) -> HostConfig | None:
    """The configuration of the app in this folder; None where there is none and none is needed."""
    try:
        return load_config(Flags(script_root=where.script_root), os.environ, Path.cwd())
    except StartError:
        if where.store is not None or where.url is not None:
            return None
        raise


def _store(where: Where, config: HostConfig | None) -> StoreUrl:
    if where.store is not None:
        return parse_store_url(where.store, "--store", Path.cwd())
    assert config is not None
    if where.connection_string_setting is not None:
        # the setting of Azure's tools: only one that holds the URL of a store of ours means anything here
        value = config.setting(where.connection_string_setting)
        if value is None:
            raise CommandFailed(f"No storage connection string found: there is no '{where.connection_string_setting}'.")
        try:
            return parse_store_url(value, where.connection_string_setting, Path(config.script_root))
        except StartError:
            return config.store
    return config.store


def _options(config: HostConfig | None) -> tuple[HubOptions, int]:
    if config is None:
        return HubOptions(sampling=client_sampling(os.environ.get)), 65536
    options = HubOptions(
        existing_policy=policy(config),
        default_version=config.default_version,
        host_ttl=config.host_ttl,
        sampling=client_sampling(config.setting),
    )
    return options, config.large_payload_bytes
