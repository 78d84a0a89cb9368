"""host.json, local.settings.json, environment and flags become one configuration; mistakes are named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from perdure.engine.versions import VersionRule
from perdure.host.composition import hub_options, supervisor_options, worker_settings
from perdure.host.errors import StartError
from perdure.host.functions.function_list import list_functions
from perdure.host.settings.config import Flags, HostConfig, load_config
from perdure.host.settings.table import SETTINGS, Effect
from tests.unit.host.front_fakes import configured


def load(
    root: Path, host: Any = None, *, local: Any = None, flags: Flags | None = None, **environment: str
) -> HostConfig:
    text = host if isinstance(host, str) else json.dumps({"version": "2.0", **(host or {})})
    (root / "host.json").write_text(text)
    if local is not None:
        (root / "local.settings.json").write_text(json.dumps(local))
    return load_config(flags or Flags(), environment, root)


def durable(**settings: Any) -> dict[str, Any]:
    return {"extensions": {"durableTask": settings}}


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.hub_name == "TestHubName"
    assert config.store.kind == "sqlite"
    assert config.store.location == str(tmp_path / ".perdure" / "TestHubName.db")
    assert (config.address, config.port, config.route_prefix) == ("127.0.0.1", 7071, "api")
    assert config.function_timeout == 1800
    assert config.max_sessions == 10000
    assert config.notes == ()


def test_comments_trailing_commas_and_any_case(tmp_path: Path) -> None:
    text = """\ufeff{
      // the version
      "Version": "2.0", /* and more,
      over lines */
      "EXTENSIONS": {"durabletask": {"HUBNAME": "My//Hub" , }, },
    }"""
    with pytest.raises(StartError, match="'My//Hub' should contain only"):
        load(tmp_path, text)
    assert load(tmp_path, text.replace("My//Hub", "MyHub")).hub_name == "MyHub"


def test_missing_host_json_says_where(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load_config(Flags(), {}, tmp_path)
    assert str(caught.value).startswith(
        f"Host.json file is missing. Please make sure host.json file is present at {tmp_path}."
    )


def test_malformed_json_names_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load(tmp_path, '{\n  "version": "2.0",\n  oops\n}')
    assert "host.json is not valid JSON" in str(caught.value)
    assert "line 3, column 3" in str(caught.value)


@pytest.mark.parametrize(
    ("document", "text"), [("{}", "missing the required 'version'"), ('{"version": "1.0"}', '"1.0"')]
)
def test_version_is_required(tmp_path: Path, document: str, text: str) -> None:
    with pytest.raises(StartError, match=text):
        load(tmp_path, document)


def test_wrong_type_names_key_value_and_type(tmp_path: Path) -> None:
    with pytest.raises(StartError) as caught:
        load(tmp_path, durable(maxConcurrentActivityFunctions="ten"))
    assert str(caught.value) == (
        "host.json: 'extensions.durableTask.maxConcurrentActivityFunctions' is \"ten\". "
        "Expected a whole number of at least 1."
    )


def test_numbers_and_booleans_may_be_texts(tmp_path: Path) -> None:
    config = load(tmp_path, durable(maxConcurrentActivityFunctions="7", httpSettings={"useForwardedHost": "True"}))
    assert config.max_concurrent_activities == 7
    assert config.use_forwarded_host is True


def test_environment_overrides_any_leaf(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        {**durable(hubName="FromFile"), "functions": ["a", "b"]},
        AzureFunctionsJobHost__extensions__durableTask__hubName="FromEnvironment",
        AzureFunctionsJobHost__functions__1="c",
        AzureFunctionsJobHost__logging__logLevel__default="Warning",
    )
    assert config.hub_name == "FromEnvironment"
    assert config.functions == ("a", "c")
    assert config.log_levels == {"default": "Warning"}
    key = "extensions.durableTask.hubName"
    assert config.origins[key] == "AzureFunctionsJobHost__extensions__durableTask__hubName"


def test_wrong_override_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"^AzureFunctionsJobHost__functionTimeout: 'functionTimeout' is \"soon\""):
        load(tmp_path, AzureFunctionsJobHost__functionTimeout="soon")


def test_bare_number_of_days_is_pointed_out(tmp_path: Path) -> None:
    config = load(tmp_path, {"functionTimeout": "5"})
    assert config.function_timeout == 5 * 86400
    assert config.notes == (
        ("Warning", "host.json: 'functionTimeout' is 5, which means 5 days. Write 00:00:05 for that many seconds."),
    )
    assert load(tmp_path, {"functionTimeout": "-1"}).function_timeout is None


@pytest.mark.parametrize("name", ["my-hub", "1hub", "ab", "x" * 51, "%UNKNOWN", "hub_1", "häb"])
def test_hub_names_that_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartError) as caught:
        load(tmp_path, durable(hubName=name))
    assert str(caught.value) == (
        f"Task hub name '{name}' should contain only alphanumeric characters, start with a letter, "
        "and have length between 3 and 45."
    )


def test_a_hub_name_of_a_setting_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"'%UNKNOWN%' should .* 3 and 45\. There is no app setting 'UNKNOWN'\.$"):
        load(tmp_path, durable(hubName="%UNKNOWN%"))


def test_empty_hub_name(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"^A non-empty HubName configuration is required\.$"):
        load(tmp_path, durable(hubName=""))


def test_hub_name_is_expanded(tmp_path: Path) -> None:
    local = {"IsEncrypted": False, "Values": {"PART": "Two"}}
    assert load(tmp_path, durable(hubName="One%part%%REST%"), local=local, REST="3").hub_name == "OneTwo3"


@pytest.mark.parametrize(
    ("site", "hub"), [("my-site", "mysite"), ("9lives", "t9lives"), ("a", "aHub"), ("--", "DefaultTaskHub")]
)
def test_hub_name_of_a_site_is_made_fit(tmp_path: Path, site: str, hub: str) -> None:
    assert load(tmp_path, WEBSITE_SITE_NAME=site).hub_name == hub


def test_slots_need_a_hub_name(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"Task Hub name must be specified in host.json when using slots"):
        load(tmp_path, WEBSITE_SLOT_NAME="staging")
    assert load(tmp_path, WEBSITE_SLOT_NAME="Production").hub_name == "TestHubName"


def test_local_settings_become_environment_and_environment_wins(tmp_path: Path) -> None:
    local = {
        "IsEncrypted": False,
        "Values": {"A": "file", "B": "file", "N": 3, "T": True},
        "ConnectionStrings": {"Db": "x", "Full": {"ConnectionString": "y", "ProviderName": "p"}},
        "Host": {"LocalHttpPort": 7072, "CORS": "https://a.example, https://b.example", "CORSCredentials": True},
    }
    config = load(tmp_path, local=local, A="real")
    assert config.setting("A") == "real"
    assert (config.environment["B"], config.environment["N"], config.environment["T"]) == ("file", "3", "true")
    assert "A" not in config.environment
    assert config.setting("connectionstrings__full") == "y"
    assert config.port == 7072
    assert config.cors == ("https://a.example", "https://b.example")
    assert config.cors_credentials is True
    assert config.notes == (
        ("Warning", "Skipping 'A' from local settings as it's already defined in current environment variables."),
    )


@pytest.mark.parametrize("head", [{}, {"IsEncrypted": True}])
def test_encrypted_local_settings_are_refused(tmp_path: Path, head: dict[str, bool]) -> None:
    with pytest.raises(StartError, match=r'local.settings.json is encrypted .*set "IsEncrypted": false'):
        load(tmp_path, local={**head, "Values": {"A": "CfDJ8"}})
    load(tmp_path, local=head)


def test_nested_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"'Values\.A' must be a text, not an object\. .* \"A__name\""):
        load(tmp_path, local={"IsEncrypted": False, "Values": {"A": {"b": "c"}}})


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            Flags(address="nowhere"),
            "Invalid --address value 'nowhere'. Expected an IP address, for example 127.0.0.1 or",
        ),
        (Flags(port=70000), "Invalid --port value '70000'. Expected a port number from 0 to 65535."),
        (Flags(user_log_level="Loud"), "Invalid --user-log-level value 'Loud'. Expected one of Trace, Debug,"),
        (Flags(script_root="missing"), "--script-root: there is no folder"),
    ],
)
def test_flags_that_are_refused(tmp_path: Path, flags: Flags, text: str) -> None:
    with pytest.raises(StartError) as caught:
        load(tmp_path, flags=flags)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("url", "kind", "location"),
    [
        ("sqlite:///state/x.db", "sqlite", "{root}/state/x.db"),
        ("sqlite:////var/x.db", "sqlite", "/var/x.db"),
        ("memory:", "memory", ""),
        ("postgresql://me:secret@db:5433/app", "postgres", "postgresql://me:secret@db:5433/app"),
    ],
)
def test_store_urls(tmp_path: Path, url: str, kind: str, location: str) -> None:
    store = load(tmp_path, PERDURE_STORE=url).store
    assert (store.kind, store.location) == (kind, location.format(root=tmp_path))
    assert "secret" not in str(store)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:p%40ss%2Fw%23@db:5433/my%20app?sslmode=require", "postgresql://db:5433/my%20app"),
        ("postgres://me@one:5432,two:5433/app", "postgresql://one:5432,two:5433/app"),
        ("postgresql://me:secret@[::1]:5433/app", "postgresql://[::1]:5433/app"),
        ("postgresql:///app?host=/var/run/postgresql&user=me", "postgresql:///app"),
    ],
)
def test_postgresql_urls_in_messages(tmp_path: Path, url: str, shown: str) -> None:
    store = load(tmp_path, PERDURE_STORE=url).store
    assert (store.location, str(store)) == (url, shown)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://me:se@cret@db/app", "it has more than one @"),
        ("postgresql://me:sec#ret@db/app", "it has a #"),
        ("postgresql://me:secret/x@db/app", "what stands before the first / ? or # is no host"),
        ("postgresql://me:secret@db:543x/app", "'db:543x' is no host and port"),
        ("postgresql://me:secret@db:99999/app", "'db:99999' is no host and port"),
        ("postgresql://me:secret@[::1/app", "Invalid IPv6 URL"),
    ],
)
def test_postgresql_urls_with_a_password_that_is_not_encoded(tmp_path: Path, url: str, problem: str) -> None:
    with pytest.raises(StartError) as caught:
        load(tmp_path, PERDURE_STORE=url)
    text = str(caught.value)
    assert f" is no PostgreSQL URL: {problem}. Expected postgresql://user:password@host:5432/database; " in text
    assert text.startswith("PERDURE_STORE: 'postgresql://me:***@db") or "[::1" in text


def test_an_unknown_store_is_shown_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"^PERDURE_STORE: 'postgresql\+asyncpg://me:\*\*\*@db/app' names no store"):
        load(tmp_path, PERDURE_STORE="postgresql+asyncpg://me:secret@db/app")


@pytest.mark.parametrize("url", ["sqlite://x", "mysql://x", "nothing", "sqlite:///"])
def test_store_urls_that_name_nothing(tmp_path: Path, url: str) -> None:
    with pytest.raises(StartError, match=f"^PERDURE_STORE: '{url}' names no store"):
        load(tmp_path, PERDURE_STORE=url)


def test_azure_store_is_answered_with_one_line(tmp_path: Path) -> None:
    config = load(tmp_path, durable(storageProvider={"type": "Netherite", "PartitionCount": 12}))
    (note,) = config.notes
    assert note == (
        "Information",
        f"Storage provider Netherite is not used: state is kept in {tmp_path}/.perdure/TestHubName.db.",
    )


def test_store_by_type_and_setting(tmp_path: Path) -> None:
    provider = {"type": "Postgres", "connectionStringName": "DB"}
    assert load(tmp_path, durable(storageProvider=provider), DB="postgres://u@h/d").store.kind == "postgres"
    with pytest.raises(StartError, match="environment variable named 'DB'"):
        load(tmp_path, durable(storageProvider=provider))
    with pytest.raises(
        StartError, match=r"Storage provider type \(redis\) was not found\. Available storage providers:"
    ):
        load(tmp_path, durable(storageProvider={"type": "redis"}))


def test_other_languages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"FUNCTIONS_WORKER_RUNTIME is 'node'\. Expected python"):
        load(tmp_path, FUNCTIONS_WORKER_RUNTIME="node")
    with pytest.raises(
        StartError, match=r"host.json: 'customHandler' cannot be used: perdure runs Python functions only"
    ):
        load(tmp_path, {"customHandler": {}})


def test_misspelt_own_setting_is_pointed_out(tmp_path: Path) -> None:
    config = load(tmp_path, {"extensions": {"perdure": {"maxSession": 3}}})
    assert config.notes == (
        (
            "Warning",
            "host.json: 'extensions.perdure.maxSession' is unknown and has no effect. Did you mean 'maxSessions'?",
        ),
    )


@pytest.mark.parametrize("name", ["AzureWebJobs.Tick.Disabled", "AzureWebJobs__tick__Disabled"])
def test_functions_disabled_by_setting(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, **{name: "1"}).is_disabled("Tick")
    assert not load(tmp_path, **{name: "false"}).is_disabled("Tick")


@pytest.mark.parametrize(
    ("text", "used"), [("0", 1), ("-3", 1), ("11", 10), ("x", 1), ("2.5", 1), ("\u00b2", 1), (" 4 ", 4), ("10", 10)]
)
def test_the_number_of_worker_processes(tmp_path: Path, text: str, used: int) -> None:
    config = load(tmp_path, FUNCTIONS_WORKER_PROCESS_COUNT=text)
    assert (config.worker_count, supervisor_options(config, {}, "").processes) == (used, used)
    warned = [f"FUNCTIONS_WORKER_PROCESS_COUNT is '{text}'. Expected a whole number from 1 to 10; {used} is used."]
    assert [note for _, note in config.notes] == ([] if text.strip() == str(used) else warned)


_OUT_OF_RANGE = (
    "PYTHON_THREADPOOL_THREAD_COUNT must be set to a value between 1 and sys.maxint. "
    "Reverting to default value for max_workers"
)


@pytest.mark.parametrize(
    ("text", "used", "warning"),
    [
        ("", None, None),
        ("1", 1, None),
        ("1000", 1000, None),
        ("0", None, _OUT_OF_RANGE),
        ("-1", None, _OUT_OF_RANGE),
        ("1" * 30, None, _OUT_OF_RANGE),
        ("x", None, "PYTHON_THREADPOOL_THREAD_COUNT must be an integer"),
        ("1.5", None, "PYTHON_THREADPOOL_THREAD_COUNT must be an integer"),
    ],
)
def test_the_number_of_threads(tmp_path: Path, text: str, used: int | None, warning: str | None) -> None:
    config = load(tmp_path, PYTHON_THREADPOOL_THREAD_COUNT=text)
    assert (config.thread_count, supervisor_options(config, {}, "").threads) == (used, used or 0)
    assert config.notes == ((("Warning", warning),) if warning else ())


def test_concurrency_has_the_documented_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert (config.max_concurrent_activities, config.max_concurrent_orchestrators) == (10 * cpus, 10 * cpus)
    assert (config.worker_count, config.thread_count) == (1, None)
    # entities count as orchestrators until they have a limit of their own
    assert config.max_concurrent_entities is None
    options = hub_options(config, list_functions((), config), "host", "", 1)
    assert (options.max_activities, options.max_turns, options.max_entity_batches) == (10 * cpus, 10 * cpus, None)
    with_limits = load(
        tmp_path,
        durable(maxConcurrentActivityFunctions=3, maxConcurrentOrchestratorFunctions=4, maxConcurrentEntityFunctions=5),
    )
    options = hub_options(with_limits, list_functions((), config), "host", "", 1)
    assert (options.max_activities, options.max_turns, options.max_entity_batches) == (3, 4, 5)


def test_extended_sessions_are_accepted_without_effect(tmp_path: Path) -> None:
    plain = load(tmp_path)
    config = load(tmp_path, durable(extendedSessionsEnabled=True, extendedSessionIdleTimeoutInSeconds=5))
    assert (config.max_sessions, config.session_idle) == (plain.max_sessions, plain.session_idle)
    assert config.notes == (
        (
            "Warning",
            "Durable Functions does not work with extendedSessions = true for non-.NET languages. "
            "This value is being set to false instead.",
        ),
    )


def test_every_honoured_setting_has_a_field() -> None:
    elsewhere = {"version", "extensions.durableTask.hubName"}
    without = {row.key for row in SETTINGS if row.effect is Effect.HONOURED and not row.field}
    assert without == elsewhere
    fields = {row.field for row in SETTINGS if row.field}
    assert fields <= set(HostConfig.__struct_fields__)


@pytest.mark.parametrize("row", [row for row in SETTINGS if row.field], ids=lambda row: row.key)
def test_a_setting_that_is_written_has_its_field(tmp_path: Path, row: Any) -> None:
    document: dict[str, Any] = {"version": "2.0"}
    *path, last = row.key.split(".")
    section = document
    for name in path:
        section = section.setdefault(name, {})
    if row.key != "version":
        section[last] = "surely no value of it" if row.effect is Effect.ACCEPTED else "1"
    try:
        config = load(tmp_path, document)
    except StartError as error:
        assert row.key in str(error) or "storageProvider" in row.key  # not the kind of value: said by name
    else:
        assert hasattr(config, row.field)


def test_versions_and_allowed_addresses_reach_those_who_use_them(tmp_path: Path) -> None:
    strategies = {"defaultVersion": "2.0", "versionMatchStrategy": "Strict", "versionFailureStrategy": "Fail"}
    extensions = {"durableTask": strategies, "perdure": {"httpAllow": ["*.example.com"]}}
    config = load(tmp_path, {"extensions": extensions})
    options = hub_options(config, list_functions([], config), "host", "", 2)
    assert options.dialect == 2
    assert options.versions == VersionRule("2.0", "Strict", fail=True)
    assert worker_settings(config, "").http_allow == ("*.example.com",)


@pytest.mark.parametrize(
    ("written", "used"),
    [("", None), ("python3.12", "python3.12"), (".venv/bin/python", "{app}/.venv/bin/python"), ("/opt/py", "/opt/py")],
)
def test_the_interpreter_of_workers(tmp_path: Path, written: str, used: str | None) -> None:
    config = configured(tmp_path, languageWorkers__python__defaultExecutablePath=written)
    assert config.worker_python == (used.format(app=config.script_root) if used else None)
