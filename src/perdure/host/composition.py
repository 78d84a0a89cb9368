"""From the configuration to the options of the parts: store, task hub, workers."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from perdure.engine.versions import VersionRule
from perdure.host.errors import StartError
from perdure.host.functions.function_list import FunctionList
from perdure.host.http.links import binding_settings, client_binding, webhook_base
from perdure.host.logs.log import LevelFilter
from perdure.host.protocol.worker_settings import WorkerSettings
from perdure.host.settings.config import HostConfig
from perdure.host.settings.store_url import StoreUrl, parse_store_url
from perdure.host.supervision.worker_link import SupervisorOptions
from perdure.model.operations import ExistingPolicy
from perdure.model.trace_context import Sampling
from perdure.storage.provider import Provider
from perdure.taskhub.interfaces import Clock
from perdure.taskhub.options import HubOptions

#: instances kept in memory however few sessions there are
_LEAST_WARM = 1000


class OpenStore(Protocol):
    """A store that was opened, and how to close it."""

    @property
    def provider(self) -> Provider: ...

    def shutdown(self) -> None: ...


class StoreTerms(Protocol):
    """What of a configuration says which store to open, and how."""

    @property
    def store(self) -> StoreUrl: ...
    @property
    def hub_name(self) -> str: ...
    @property
    def large_payload_bytes(self) -> int: ...


class _Opened:
    def __init__(self, provider: Provider, shutdown: Callable[[], None]) -> None:
        self.provider = provider
        self.shutdown = shutdown


def open_store(
    config: StoreTerms,
    clock: Clock,
    loop: asyncio.AbstractEventLoop,
    changed: Callable[[list[int]], None] | None,
    *,
    listen_url: str | None = None,
    told: Callable[[str], None] | None = None,
) -> OpenStore:
    """Open the configured store. Raises `StartError` when it cannot be used.

    `changed` is told that other hosts sent something, with the numbers of instances where they are known; None: nobody
    listens. `listen_url` is a direct connection for notifications, `told` gets a line about how they arrive."""
    store = config.store
    if store.kind == "memory":
        from perdure.storage.memory import MemoryDatabase, MemoryStore

        return _Opened(MemoryStore(MemoryDatabase(clock), clock), lambda: None)
    if store.kind == "postgres":
        return _open_postgres(config, loop, changed, listen_url, told)
    from perdure.storage.sqlite import SqliteProvider, StoreUnusable

    provider = SqliteProvider(
        store.location,
        config.hub_name,
        lambda call: _post(loop, call),
        large_payload_bytes=config.large_payload_bytes,
        # most of them are other hosts' own: look at what is left for this one
        changed=None if changed is None else lambda _: changed([]),
    )
    try:
        provider.open()
    except StoreUnusable as error:
        raise StartError(str(error)) from None
    return _Opened(provider, provider.shutdown)


def _open_postgres(
    config: StoreTerms,
    loop: asyncio.AbstractEventLoop,
    woken: Callable[[list[int]], None] | None,
    listen_url: str | None,
    told: Callable[[str], None] | None,
) -> OpenStore:
    try:
        from perdure.storage.postgres import PostgresProvider, StoreUnusable
    except ModuleNotFoundError as error:
        if error.name != "asyncpg":
            raise
        raise StartError(
            f"The store {config.store} needs the PostgreSQL driver. Install it: pip install perdure[postgres]"
        ) from None
    try:
        provider = PostgresProvider(
            config.store.location,
            config.hub_name,
            lambda call: _post(loop, call),
            listen_url=_direct(listen_url),
            woken=woken,
            told=told,
        )
        provider.open()
    except StoreUnusable as error:
        raise StartError(f"{config.store}: {error}") from None
    return _Opened(provider, provider.shutdown)


def _direct(listen_url: str | None) -> str | None:
    """The URL of a direct connection. Raises `StartError` when it is no PostgreSQL URL."""
    if not listen_url:
        return None
    store = parse_store_url(listen_url, "PERDURE_STORE_LISTEN", Path())
    if store.kind != "postgres":
        raise StartError(f"PERDURE_STORE_LISTEN: {store} is no PostgreSQL server. It names a direct connection.")
    return store.location


def _post(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(call)


def hub_options(
    config: HostConfig,
    listed: FunctionList,
    host_id: str,
    fingerprint: str,
    dialect: int,
    sampling: Sampling | None = None,
) -> HubOptions:
    """The options of the task hub for an app with these functions."""
    return HubOptions(
        hub_name=config.hub_name,
        address=f"{config.address}:{config.port}",
        host_instance=host_id,
        names=listed.durable_names(),
        fingerprint=fingerprint,
        dialect=dialect,
        default_version=config.default_version,
        versions=VersionRule(
            config.default_version, config.version_match_strategy, config.version_failure_strategy == "Fail"
        ),
        max_actions=config.max_orchestration_actions,
        keep_generations=config.keep_generations,
        max_warm=max(config.max_sessions, _LEAST_WARM),
        warm_idle=config.session_idle,
        max_turns=config.max_concurrent_orchestrators,
        max_activities=config.max_concurrent_activities,
        coroutines=listed.coroutine_activities(),
        max_entity_batches=config.max_concurrent_entities,
        max_entity_batch=config.max_entity_batch,
        host_ttl=config.host_ttl,
        max_worker_deaths=config.max_worker_deaths,
        existing_policy=policy(config),
        fail_on_mismatch=config.on_mismatch == "fail",
        cancel_activities_on_terminate=config.cancel_on_terminate,
        sampling=sampling,
    )


def policy(config: HostConfig) -> ExistingPolicy:
    """What a start does with an id that is in use, unless it says so itself."""
    return ExistingPolicy.REPLACE_ANY if config.overridable_states == "AnyState" else ExistingPolicy.FAIL_IF_RUNNING


def supervisor_options(config: HostConfig, environment: dict[str, str], code: str) -> SupervisorOptions:
    """How workers are started. `environment` is this process's own; `code` the key in management links."""
    arguments = shlex.split(config.worker_arguments)
    if config.flags.debug is not None:
        arguments += ["-Xfrozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{config.flags.debug}"]
        arguments += ["--wait-for-client"] if config.flags.debug_wait else []
    return SupervisorOptions(
        script_root=config.script_root,
        processes=1 if config.under_debugger else config.worker_count,
        interpreter=config.worker_python or "",
        arguments=tuple(arguments[1:] if arguments[:1] == ["--"] else arguments),
        environment={**environment, **config.environment},
        functions=config.functions,
        threads=config.thread_count or 0,
        settings=worker_settings(config, code),
        function_timeout=config.function_timeout or 0.0,
        max_activities=config.max_concurrent_activities,
        shutdown_grace=config.shutdown_timeout,
        under_debugger=config.under_debugger,
    )


def worker_settings(config: HostConfig, code: str) -> WorkerSettings:
    """What user code's runtime needs to know."""
    levels = LevelFilter(config.log_levels, config.user_log_level, config.flags.verbose)
    rollback = {"true": True, "false": False}.get(config.rollback_entities, config.rollback_on_exceptions)
    return WorkerSettings(
        sdk={
            "decode_events": config.decode_events,
            "carry_over_events": config.carry_over_events,
            "typed_payloads": config.typed_payloads,
            "trusted_classes": list(config.trusted_classes),
            "max_sessions": -(-config.max_sessions // config.worker_count),
            "session_idle": config.session_idle,
            "rollback_entities": rollback,
            "http_poll_milliseconds": config.http_poll_milliseconds,
            "show_task_inputs": config.show_task_inputs,
        },
        dialect=config.dialect,
        durable_client=durable_client(config, code),
        http_allow=config.http_allow,
        log_level=levels.lowest_user(),
        trace_replay_events=config.trace_replay_events,
    )


def durable_client(config: HostConfig, code: str) -> str:
    """The JSON text of durable client bindings of the app's own hub."""
    hostname = config.setting("WEBSITE_HOSTNAME") or f"localhost:{config.port}"
    base = webhook_base(hostname, https=config.flags.use_https)
    return client_binding(binding_settings(base, config.hub_name, code, use_forwarded_host=config.use_forwarded_host))
