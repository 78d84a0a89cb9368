"""host.json, local.settings.json, environment and flags -> one frozen `HostConfig` with the origin of each value."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from perdure.host.errors import StartError, UsageError
from perdure.host.settings.app_settings import find_setting
from perdure.host.settings.host_json import (
    LOG_LEVELS,
    apply_overrides,
    check_version,
    find_host_json,
    lookup,
    read_settings,
)
from perdure.host.settings.hub_name import hub_name
from perdure.host.settings.lenient_json import read_object
from perdure.host.settings.local_settings import FILE_NAME, LocalSettings, read_local_settings
from perdure.host.settings.store_url import StoreUrl, parse_store_url

_AZURE_STORES = {
    "azurestorage": "Azure Storage",
    "mssql": "Microsoft SQL",
    "netherite": "Netherite",
    "azuremanaged": "Durable Task Scheduler",
}


class Flags(Struct, frozen=True):
    """The flags of `perdure start`; None: not given."""

    port: int | None = None
    address: str | None = None
    cors: str | None = None
    cors_credentials: bool = False
    functions: tuple[str, ...] = ()
    enable_auth: bool = False
    timeout: float | None = None
    user_log_level: str | None = None
    language_worker: str | None = None
    use_https: bool = False
    cert: str | None = None
    password: str | None = None
    verbose: bool = False
    script_root: str | None = None
    reload: bool | None = None
    log_format: str = "console"
    debug: int | None = None
    debug_wait: bool = False


class HostConfig(Struct, frozen=True, kw_only=True):
    """Everything that a host runs by. Times in seconds, sizes in bytes. `origins` says where each value came from."""

    # where and how
    script_root: str
    store: StoreUrl
    hub_name: str
    port: int
    address: str
    cors: tuple[str, ...]
    cors_credentials: bool
    user_log_level: str | None
    worker_count: int
    thread_count: int | None
    worker_python: str | None
    worker_arguments: str
    body_limit: int
    homepage: bool
    flags: Flags
    #: variables of local.settings.json and of the tool itself, to be added to the environment of workers
    environment: dict[str, str]
    #: the whole environment that the app sees
    app_settings: dict[str, str]
    origins: dict[str, str]
    #: lines for the user: (level, text)
    notes: tuple[tuple[str, str], ...]

    # host.json
    function_timeout: float | None
    functions: tuple[str, ...]
    watch_directories: tuple[str, ...]
    watch_files: tuple[str, ...]
    route_prefix: str
    max_outstanding_requests: int
    max_concurrent_requests: int
    custom_headers: dict[str, str]
    log_levels: dict[str, str]
    default_version: str
    version_match_strategy: str
    version_failure_strategy: str
    max_concurrent_activities: int
    max_concurrent_orchestrators: int
    max_concurrent_entities: int | None
    max_entity_batch: int
    max_orchestration_actions: int
    overridable_states: str
    rollback_on_exceptions: bool | None
    throw_on_raise_event: bool
    show_task_inputs: bool
    http_poll_milliseconds: int
    use_forwarded_host: bool
    trace_replay_events: bool
    distributed_tracing: bool | None
    tracing_version: str
    telemetry_mode: str
    store_type: str
    store_setting: str

    # extensions.perdure
    dialect: str
    decode_events: bool
    carry_over_events: bool
    typed_payloads: bool
    trusted_classes: tuple[str, ...]
    on_mismatch: str
    rollback_entities: str
    max_sessions: int
    session_idle: float
    keep_generations: int
    host_ttl: float
    shutdown_timeout: float
    max_worker_deaths: int
    large_payload_bytes: int
    http_allow: tuple[str, ...]
    cancel_on_terminate: bool
    retention: dict[str, Any] | None

    def setting(self, name: str) -> str | None:
        """An app setting by name; case does not matter, and `:` is the same as `__`."""
        return find_setting(self.app_settings, name)

    def is_disabled(self, function: str) -> bool:
        """Whether an app setting disables this function."""
        value = self.setting(f"AzureWebJobs.{function}.Disabled") or self.setting(f"AzureWebJobs__{function}__Disabled")
        return value is not None and value.strip().lower() in ("true", "1")

    @property
    def under_debugger(self) -> bool:
        """Whether workers run under debugpy: by --debug, or by arguments of theirs as editors pass them."""
        return self.flags.debug is not None or "debugpy" in self.worker_arguments.split()

    def on_port(self, port: int) -> HostConfig:
        """This configuration once the port is known: the app sees it in WEBSITE_HOSTNAME."""
        added = dict(self.environment)
        if self.origins.get("WEBSITE_HOSTNAME") != "environment":
            added["WEBSITE_HOSTNAME"] = f"localhost:{port}"
        return structs.replace(self, port=port, environment=added, app_settings={**self.app_settings, **added})


def load_config(flags: Flags, environment: Mapping[str, str], folder: Path) -> HostConfig:
    """Read everything. `folder` is the working folder. Raises `StartError` on anything that cannot be used."""
    root = _script_root(flags, environment, folder)
    document = read_object(find_host_json(root))
    local = read_local_settings(root)
    notes: list[tuple[str, str]] = []
    origins: dict[str, str] = {}
    added = _exported(local, environment, notes, origins)
    settings = {**environment, **added}
    overrides = apply_overrides(document, settings)
    check_version(document)
    values = read_settings(document, overrides, origins, notes)
    explicit_hub = lookup(document, "extensions.durableTask.hubName")
    hub = hub_name(None if explicit_hub is None else str(explicit_hub), lambda name: find_setting(settings, name))
    store = _store(settings, values, hub, root, notes)
    _check_runtime(settings)
    return HostConfig(
        script_root=str(root),
        store=store,
        hub_name=hub,
        user_log_level=_user_log_level(flags, settings),
        worker_count=_bounded(settings, "FUNCTIONS_WORKER_PROCESS_COUNT", 1, 1, 10, notes),
        thread_count=_thread_count(settings, notes),
        worker_python=_interpreter(find_setting(settings, "languageWorkers__python__defaultExecutablePath"), root),
        worker_arguments=" ".join(
            text
            for text in (find_setting(settings, "languageWorkers__python__arguments"), flags.language_worker)
            if text
        ),
        body_limit=_bounded(settings, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", 104_857_600, 0, None, notes),
        homepage=(find_setting(settings, "AzureWebJobsDisableHomepage") or "").lower() not in ("true", "1"),
        flags=flags,
        environment=added,
        app_settings=settings,
        origins=origins,
        notes=tuple(notes),
        **_listening(flags, local, origins),
        **{**values, **({"functions": flags.functions} if flags.functions else {})},
    )


def _script_root(flags: Flags, environment: Mapping[str, str], folder: Path) -> Path:
    given = flags.script_root or environment.get("AzureWebJobsScriptRoot")
    root = (folder / given).resolve() if given else folder
    if given and not root.is_dir():
        origin = "--script-root" if flags.script_root else "AzureWebJobsScriptRoot"
        raise StartError(f"{origin}: there is no folder {root}.")
    return root


def _exported(
    local: LocalSettings, environment: Mapping[str, str], notes: list[tuple[str, str]], origins: dict[str, str]
) -> dict[str, str]:
    """The variables that local.settings.json adds to the environment, which wins."""
    added: dict[str, str] = {}
    for name, value in {**local.values, **local.connection_strings}.items():
        if name in environment:
            notes.append(
                (
                    "Warning",
                    f"Skipping '{name}' from local settings as it's already defined in current environment variables.",
                )
            )
        else:
            added[name] = value
            origins[name] = FILE_NAME
    if "WEBSITE_HOSTNAME" in environment or "WEBSITE_HOSTNAME" in added:
        origins["WEBSITE_HOSTNAME"] = "environment"
    added["AZURE_FUNCTIONS_ENVIRONMENT"] = "Development"
    if "PYTHON_ENABLE_DEBUG_LOGGING" not in {**environment, **added}:
        added["PYTHON_ENABLE_DEBUG_LOGGING"] = "1"
    return added


def _interpreter(written: str | None, root: Path) -> str | None:
    """The interpreter of the workers: a path is relative to the app, a bare name is looked up on PATH."""
    if not written or os.path.basename(written) == written:
        return written or None
    return str(root / os.path.expanduser(written))


def _check_runtime(settings: Mapping[str, str]) -> None:
    runtime = find_setting(settings, "FUNCTIONS_WORKER_RUNTIME")
    if runtime and runtime.lower() != "python":
        raise StartError(f"FUNCTIONS_WORKER_RUNTIME is '{runtime}'. Expected python: perdure runs Python apps only.")


def _store(
    settings: Mapping[str, str], values: Mapping[str, Any], hub: str, root: Path, notes: list[tuple[str, str]]
) -> StoreUrl:
    url = find_setting(settings, "PERDURE_STORE")
    kind = values["store_type"].strip().lower()
    default = StoreUrl("sqlite", str(root / ".perdure" / f"{hub}.db"))
    if kind not in ("sqlite", "postgres", *_AZURE_STORES):
        raise StartError(
            f"Storage provider type ({values['store_type']}) was not found. Available storage providers: "
            "sqlite, postgres (AzureStorage, mssql, Netherite and azureManaged are answered by the default store)."
        )
    if url:
        store = parse_store_url(url, "PERDURE_STORE", root)
    elif kind in ("sqlite", "postgres") and values["store_setting"]:
        name = values["store_setting"]
        text = find_setting(settings, name)
        if text is None:
            raise StartError(
                f"No SQL connection string configuration was found for the app setting or environment variable "
                f"named '{name}'."
            )
        store = parse_store_url(text, name, root)
    elif kind == "postgres":
        raise StartError(
            "extensions.durableTask.storageProvider: type postgres needs connectionStringName, the name of the "
            "app setting that holds postgresql://user@host/database; or set PERDURE_STORE."
        )
    else:
        store = default
    if kind in _AZURE_STORES:
        notes.append(("Information", f"Storage provider {_AZURE_STORES[kind]} is not used: state is kept in {store}."))
    return store


def _listening(flags: Flags, local: LocalSettings, origins: dict[str, str]) -> dict[str, Any]:
    host = {name.lower(): value for name, value in local.host.items()}
    address, origin = flags.address, "--address"
    if address is None:
        address, origin = host.get("localhttpaddress") or "127.0.0.1", f"{FILE_NAME}: Host.LocalHttpAddress"
    if address.lower() != "localhost":
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise _wrong(
                origin, f"Invalid {origin} value '{address}'. Expected an IP address, for example 127.0.0.1 or 0.0.0.0."
            ) from None
    port: Any = flags.port
    if port is None:
        port, origin = host.get("localhttpport") or 7071, f"{FILE_NAME}: Host.LocalHttpPort"
    else:
        origin = "--port"
    if not str(port).isdigit() or int(port) > 65535:
        raise _wrong(origin, f"Invalid {origin} value '{port}'. Expected a port number from 0 to 65535.")
    origins["port"] = origin
    cors = flags.cors if flags.cors is not None else host.get("cors", "")
    return {
        "address": address,
        "port": int(port),
        "cors": tuple(part.strip().rstrip("/") for part in cors.split(",") if part.strip()),
        "cors_credentials": flags.cors_credentials or host.get("corscredentials", "").lower() == "true",
    }


def _wrong(origin: str, text: str) -> StartError:
    """The error about a value, by where it came from."""
    return UsageError(text) if origin.startswith("--") else StartError(text)


def _user_log_level(flags: Flags, settings: Mapping[str, str]) -> str | None:
    text, origin = flags.user_log_level, "--user-log-level"
    if text is None:
        text, origin = find_setting(settings, "FUNCTIONS_USER_LOG_LEVEL"), "FUNCTIONS_USER_LOG_LEVEL"
    if not text:
        return None
    found = next((level for level in LOG_LEVELS if level.lower() == text.strip().lower()), None)
    if found is None:
        raise _wrong(origin, f"Invalid {origin} value '{text}'. Expected one of {', '.join(LOG_LEVELS)}.")
    return found


def _bounded(
    settings: Mapping[str, str], name: str, default: int, low: int, high: int | None, notes: list[tuple[str, str]]
) -> int:
    """A whole number; one that is too great becomes the greatest, what is too small or no number the default."""
    text = find_setting(settings, name)
    if not text:
        return default
    number = _whole(text)
    used = default if number is None or number < low else number if high is None else min(high, number)
    if used != number:
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        notes.append(("Warning", f"{name} is '{text}'. Expected a whole number {limits}; {used} is used."))
    return used


def _thread_count(settings: Mapping[str, str], notes: list[tuple[str, str]]) -> int | None:
    name = "PYTHON_THREADPOOL_THREAD_COUNT"
    text = find_setting(settings, name)
    if not text:
        return None
    number = _whole(text)
    if number is None:
        notes.append(("Warning", f"{name} must be an integer"))
    elif 1 <= number <= sys.maxsize:
        return number
    else:
        notes.append(
            (
                "Warning",
                f"{name} must be set to a value between 1 and sys.maxint. Reverting to default value for max_workers",
            )
        )
    return None


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def current_environment() -> dict[str, str]:
    """The environment of this process."""
    return dict(os.environ)
