"""Every setting that host.json may hold: the table that the code reads and docs/settings.md is printed from."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from perdure.host.settings.setting_kinds import (
    BOOLEAN,
    DURATION,
    INTEGER,
    INTEGERS,
    NUMBER,
    SECTION,
    TEXT,
    TEXT_MAP,
    TEXTS,
    TIMEOUT,
    Kind,
    choice,
    whole,
)


class Effect(Enum):
    """What perdure does with a setting."""

    HONOURED = "honoured"
    ACCEPTED = "accepted without effect"
    REFUSED = "refused"


class PerCpu(NamedTuple):
    """A default that grows with the processors visible to the host."""

    factor: int

    def value(self) -> int:
        return self.factor * visible_cpus()


def visible_cpus() -> int:
    """Processors that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


class Setting(NamedTuple):
    """One key of host.json, where `HostConfig` keeps it, and what it does or why it does nothing."""

    key: str
    kind: Kind
    default: Any
    effect: Effect
    note: str
    field: str = ""


_YES, _NO, _NEVER = Effect.HONOURED, Effect.ACCEPTED, Effect.REFUSED
_AZURE = "belongs to Azure Storage; state is kept in the store of PERDURE_STORE"
_MSSQL = "belongs to the Microsoft SQL provider"
_NETHERITE = "belongs to Netherite"
_SCHEDULER = "belongs to Durable Task Scheduler"
_OLD = "a name of the 1.x schema, not read by later ones"
_LATER = "not built yet"
_NO_BUNDLE = "there are no binding extensions to download"
_NO_METRICS = "the host aggregates no metrics"
_NO_MONITOR = "workers are supervised by heartbeat instead"
_NO_SINGLETON = "one firing per timer and hub is decided in the store"
_OTHER_TRIGGERS = "applies to queue, blob and Service Bus triggers, which are not fired here"
_OWN_RETRY = "retry policies are taken from each function"
_NO_LEASE = "hosts share a hub by tokens, there is no app lease"
_NO_INSIGHTS = "nothing is sent to Application Insights"
_NO_HSTS = "belongs to the server in front that ends TLS"
_LOG_LEVEL = choice("Trace", "Debug", "Information", "Warning", "Error", "Critical", "None")

_ROOT = (
    Setting("version", choice("2.0"), None, _YES, 'must be "2.0"'),
    Setting(
        "functionTimeout",
        TIMEOUT,
        1800.0,
        _YES,
        "limit of each run of a function and of each orchestrator turn; -1 is unlimited",
        "function_timeout",
    ),
    Setting("functions", TEXTS, (), _YES, "only these functions are loaded", "functions"),
    Setting("id", TEXT, "", _NO, "hosts are told apart by the tokens of the store"),
    Setting("watchDirectories", TEXTS, (), _YES, "folders whose changes restart the workers", "watch_directories"),
    Setting("watchFiles", TEXTS, (), _YES, "further files whose changes restart the workers", "watch_files"),
    Setting("extensionBundle.id", TEXT, "", _NO, _NO_BUNDLE),
    Setting("extensionBundle.version", TEXT, "", _NO, _NO_BUNDLE),
    Setting("aggregator.batchSize", INTEGER, 1000, _NO, _NO_METRICS),
    Setting("aggregator.flushTimeout", DURATION, 30.0, _NO, _NO_METRICS),
    Setting("healthMonitor.enabled", BOOLEAN, True, _NO, _NO_MONITOR),
    Setting("healthMonitor.healthCheckInterval", DURATION, 10.0, _NO, _NO_MONITOR),
    Setting("healthMonitor.healthCheckWindow", DURATION, 120.0, _NO, _NO_MONITOR),
    Setting("healthMonitor.healthCheckThreshold", INTEGER, 6, _NO, _NO_MONITOR),
    Setting("healthMonitor.counterThreshold", NUMBER, 0.8, _NO, _NO_MONITOR),
    Setting("singleton.lockPeriod", DURATION, 15.0, _NO, _NO_SINGLETON),
    Setting("singleton.listenerLockPeriod", DURATION, 60.0, _NO, _NO_SINGLETON),
    Setting("singleton.listenerLockRecoveryPollingInterval", DURATION, 60.0, _NO, _NO_SINGLETON),
    Setting("singleton.lockAcquisitionTimeout", DURATION, None, _NO, _NO_SINGLETON),
    Setting("singleton.lockAcquisitionPollingInterval", DURATION, 5.0, _NO, _NO_SINGLETON),
    Setting("concurrency.dynamicConcurrencyEnabled", BOOLEAN, False, _NO, _OTHER_TRIGGERS),
    Setting("concurrency.snapshotPersistenceEnabled", BOOLEAN, True, _NO, _OTHER_TRIGGERS),
    Setting("retry.strategy", choice("fixedDelay", "exponentialBackoff"), None, _NO, _OWN_RETRY),
    Setting("retry.maxRetryCount", INTEGER, None, _NO, _OWN_RETRY),
    Setting("retry.delayInterval", DURATION, None, _NO, _OWN_RETRY),
    Setting("retry.minimumInterval", DURATION, None, _NO, _OWN_RETRY),
    Setting("retry.maximumInterval", DURATION, None, _NO, _OWN_RETRY),
    Setting("managedDependency", SECTION, None, _NO, "is for PowerShell"),
    Setting("customHandler", SECTION, None, _NEVER, "perdure runs Python functions only"),
    Setting("telemetryMode", TEXT, "", _YES, "OpenTelemetry asks for traces; see telemetry.md", "telemetry_mode"),
    Setting("durableTask", SECTION, None, _NO, "a section of the 1.x schema; use extensions.durableTask"),
)

_HTTP = (
    Setting("routePrefix", TEXT, "api", _YES, 'prefix of HTTP function routes; "" for none', "route_prefix"),
    Setting(
        "maxOutstandingRequests",
        INTEGER,
        -1,
        _YES,
        "queued and running HTTP calls; above it 429; -1 is unlimited",
        "max_outstanding_requests",
    ),
    Setting(
        "maxConcurrentRequests",
        INTEGER,
        -1,
        _YES,
        "HTTP calls that run at once, others wait; -1 is unlimited",
        "max_concurrent_requests",
    ),
    Setting("dynamicThrottlesEnabled", BOOLEAN, False, _NO, "use the two limits above"),
    Setting("customHeaders", TEXT_MAP, {}, _YES, "added to every answer of an HTTP function", "custom_headers"),
    Setting("hsts.isEnabled", BOOLEAN, False, _NO, _NO_HSTS),
    Setting("hsts.maxAge", TEXT, "", _NO, _NO_HSTS),
    Setting("hsts.includeSubDomains", BOOLEAN, False, _NO, _NO_HSTS),
    Setting("hsts.preload", BOOLEAN, False, _NO, _NO_HSTS),
)

_LOGGING = (
    Setting("logLevel", TEXT_MAP, {}, _YES, "lowest level by category; the longest prefix wins", "log_levels"),
    Setting("console.isEnabled", BOOLEAN, True, _NO, "the console is always written"),
    Setting("console.disableColors", BOOLEAN, False, _NO, "colours are used on a terminal only; NO_COLOR is honoured"),
    Setting("fileLoggingMode", choice("never", "always", "debugOnly"), "debugOnly", _NO, _LATER),
    Setting("applicationInsights.samplingSettings.isEnabled", BOOLEAN, True, _NO, _NO_INSIGHTS),
    Setting("applicationInsights.samplingSettings.maxTelemetryItemsPerSecond", NUMBER, 20, _NO, _NO_INSIGHTS),
    Setting("applicationInsights.samplingSettings.excludedTypes", TEXT, "", _NO, _NO_INSIGHTS),
)

_DURABLE = (
    Setting("hubName", TEXT, "WEBSITE_SITE_NAME, else TestHubName", _YES, "name of the task hub"),
    Setting("defaultVersion", TEXT, "", _YES, "version of new orchestrations", "default_version"),
    Setting(
        "versionMatchStrategy",
        choice("None", "Strict", "CurrentOrOlder"),
        "CurrentOrOlder",
        _YES,
        "which versions this host runs, compared with defaultVersion",
        "version_match_strategy",
    ),
    Setting(
        "versionFailureStrategy",
        choice("Reject", "Fail"),
        "Reject",
        _YES,
        "leave another version to other hosts, or fail it",
        "version_failure_strategy",
    ),
    Setting(
        "maxConcurrentActivityFunctions",
        whole(1),
        PerCpu(10),
        _YES,
        "activities that run at once on this host; a plain one also needs a free thread of a worker",
        "max_concurrent_activities",
    ),
    Setting(
        "maxConcurrentOrchestratorFunctions",
        whole(1),
        PerCpu(10),
        _YES,
        "turns that run at one moment on this host; instances that wait in memory do not count",
        "max_concurrent_orchestrators",
    ),
    Setting(
        "maxConcurrentEntityFunctions",
        whole(1),
        None,
        _YES,
        "entity batches at one moment; when not written, they count as orchestrators",
        "max_concurrent_entities",
    ),
    Setting(
        "maxEntityOperationBatchSize", whole(1), 5000, _YES, "operations given to an entity at once", "max_entity_batch"
    ),
    Setting(
        "maxOrchestrationActions",
        whole(1),
        100000,
        _YES,
        "actions that one turn may decide",
        "max_orchestration_actions",
    ),
    Setting("extendedSessionsEnabled", BOOLEAN, False, _NO, "sessions are always hot; see maxSessions"),
    Setting("extendedSessionIdleTimeoutInSeconds", INTEGER, 30, _NO, "see sessionIdle"),
    Setting(
        "overridableExistingInstanceStates",
        choice("NonRunningStates", "AnyState"),
        "NonRunningStates",
        _YES,
        "which existing instances a start with the same id replaces",
        "overridable_states",
    ),
    Setting("entityMessageReorderWindowInMinutes", INTEGER, 30, _NO, "messages are stored in order, once"),
    Setting("useGracefulShutdown", BOOLEAN, False, _NO, "shutdown always drains; see shutdownTimeout"),
    Setting(
        "rollbackEntityOperationsOnExceptions",
        BOOLEAN,
        None,
        _YES,
        "a failed entity operation leaves no trace; unset: see rollbackEntities",
        "rollback_on_exceptions",
    ),
    Setting(
        "throwStatusExceptionsOnRaiseEvent",
        BOOLEAN,
        True,
        _YES,
        "whether an event for an instance that is unknown or has ended is an error at the client",
        "throw_on_raise_event",
    ),
    Setting("useAppLease", BOOLEAN, True, _NO, _NO_LEASE),
    Setting("appLeaseOptions.leaseInterval", DURATION, 60.0, _NO, _NO_LEASE),
    Setting("appLeaseOptions.acquireInterval", DURATION, 300.0, _NO, _NO_LEASE),
    Setting("appLeaseOptions.renewInterval", DURATION, 25.0, _NO, _NO_LEASE),
    Setting(
        "storeInputsInOrchestrationHistory",
        BOOLEAN,
        False,
        _YES,
        "histories over HTTP show what activities and children were given (it is stored in any case)",
        "show_task_inputs",
    ),
    Setting("localRpcEndpointEnabled", BOOLEAN, None, _NO, "the durable client talks over the worker's channel"),
    Setting("maxGrpcMessageSizeInBytes", INTEGER, 4194304, _NO, "there is no gRPC endpoint"),
    Setting("grpcHttpClientTimeout", DURATION, 100.0, _NO, "there is no gRPC endpoint"),
    Setting(
        "httpSettings.defaultAsyncRequestSleepTimeMilliseconds",
        whole(1),
        30000,
        _YES,
        "pause between polls of durable HTTP when the service names none",
        "http_poll_milliseconds",
    ),
    Setting(
        "httpSettings.useForwardedHost",
        BOOLEAN,
        False,
        _YES,
        "management links use X-Forwarded-Host and X-Forwarded-Proto",
        "use_forwarded_host",
    ),
    Setting("tracing.traceInputsAndOutputs", BOOLEAN, False, _NO, "payloads are not logged"),
    Setting(
        "tracing.traceReplayEvents",
        BOOLEAN,
        False,
        _YES,
        "user log lines written during replay are shown too",
        "trace_replay_events",
    ),
    Setting("tracing.allowVerboseLinuxTelemetry", BOOLEAN, False, _NO, "platform telemetry of Azure"),
    Setting(
        "tracing.distributedTracingEnabled",
        BOOLEAN,
        None,
        _YES,
        "false: no traces; true, or unset: to where the OTEL_ variables say; see telemetry.md",
        "distributed_tracing",
    ),
    Setting("tracing.distributedTracingProtocol", TEXT, "HttpCorrelationProtocol", _NO, "it is always W3C"),
    Setting(
        "tracing.version",
        choice("None", "V1", "V2"),
        "V1",
        _YES,
        "None: no traces; else the spans are those of V2",
        "tracing_version",
    ),
    Setting("notifications.eventGrid.topicEndpoint", TEXT, "", _NO, _LATER),
    Setting("notifications.eventGrid.keySettingName", TEXT, "", _NO, _LATER),
    Setting("notifications.eventGrid.publishRetryCount", INTEGER, 0, _NO, _LATER),
    Setting("notifications.eventGrid.publishRetryInterval", DURATION, 300.0, _NO, _LATER),
    Setting("notifications.eventGrid.publishRetryHttpStatus", INTEGERS, (), _NO, _LATER),
    Setting("notifications.eventGrid.publishEventTypes", TEXTS, (), _NO, _LATER),
    Setting("azureStorageConnectionStringName", TEXT, "", _NO, _OLD),
    Setting("partitionCount", INTEGER, 4, _NO, _OLD),
    Setting("controlQueueBatchSize", INTEGER, 32, _NO, _OLD),
    Setting("logReplayEvents", BOOLEAN, False, _NO, _OLD),
    Setting("traceInputsAndOutputs", BOOLEAN, False, _NO, _OLD),
    Setting("eventGridTopicEndpoint", TEXT, "", _NO, _OLD),
    Setting("eventGridKeySettingName", TEXT, "", _NO, _OLD),
    Setting("eventGridPublishRetryCount", INTEGER, 0, _NO, _OLD),
    Setting("eventGridPublishRetryInterval", DURATION, 300.0, _NO, _OLD),
)

_OTHER = tuple(
    Setting(name, SECTION, None, _NO, "its triggers and bindings are not fired here")
    for name in ("queues", "blobs", "tables", "serviceBus", "eventHubs", "eventGrid", "cosmosDB", "kafka", "sendGrid")
)

_STORAGE = (
    Setting("type", TEXT, "sqlite", _YES, "sqlite or postgres; types of Azure are answered with a line", "store_type"),
    Setting(
        "connectionStringName",
        TEXT,
        "",
        _YES,
        "app setting that holds the URL of the store, for types sqlite and postgres",
        "store_setting",
    ),
    Setting("connectionName", TEXT, "AzureWebJobsStorage", _NO, _AZURE),
    Setting("partitionCount", INTEGER, 4, _NO, "there are no fixed partitions: any host may own any instance"),
    Setting("controlQueueBatchSize", INTEGER, 32, _NO, _AZURE),
    Setting("controlQueueBufferThreshold", INTEGER, 256, _NO, _AZURE),
    Setting("controlQueueVisibilityTimeout", DURATION, 300.0, _NO, _AZURE),
    Setting("workItemQueueVisibilityTimeout", DURATION, 300.0, _NO, _AZURE),
    Setting("maxQueuePollingInterval", DURATION, 30.0, _NO, _AZURE),
    Setting("trackingStoreConnectionName", TEXT, "", _NO, _AZURE),
    Setting("trackingStoreConnectionStringName", TEXT, "", _NO, _AZURE),
    Setting("trackingStoreNamePrefix", TEXT, "DurableTask", _NO, _AZURE),
    Setting("fetchLargeMessagesAutomatically", BOOLEAN, True, _NO, _AZURE),
    Setting("useLegacyPartitionManagement", BOOLEAN, False, _NO, _AZURE),
    Setting("useTablePartitionManagement", BOOLEAN, True, _NO, _AZURE),
    Setting("allowReplayingTerminalInstances", BOOLEAN, False, _NO, _AZURE),
    Setting("queueClientMessageEncoding", choice("UTF8", "Base64"), "UTF8", _NO, _AZURE),
    Setting("taskHubName", TEXT, "", _NO, _MSSQL),
    Setting("taskEventLockTimeout", DURATION, 120.0, _NO, _MSSQL),
    Setting("taskEventBatchSize", INTEGER, 10, _NO, _MSSQL),
    Setting("createDatabaseIfNotExists", BOOLEAN, False, _NO, _MSSQL),
    Setting("schemaName", TEXT, "", _NO, _MSSQL),
    Setting("StorageConnectionName", TEXT, "AzureWebJobsStorage", _NO, _NETHERITE),
    Setting("EventHubsConnectionName", TEXT, "EventHubsConnection", _NO, _NETHERITE),
    Setting("CacheOrchestrationCursors", BOOLEAN, True, _NO, _NETHERITE),
    Setting("InstanceCacheSizeMB", INTEGER, None, _NO, _NETHERITE),
    Setting("PackPartitionTaskMessages", INTEGER, 100, _NO, _NETHERITE),
    Setting("LoadInformationAzureTableName", TEXT, "DurableTaskPartitions", _NO, _NETHERITE),
    Setting("PersistDequeueCountBeforeStartingWorkItem", BOOLEAN, False, _NO, _NETHERITE),
    *(
        Setting(f"{part}LogLevelLimit", _LOG_LEVEL, "Debug", _NO, _NETHERITE)
        for part in ("", "Storage", "Transport", "Event", "WorkItem", "Client", "LoadMonitor")
    ),
    Setting("TraceToConsole", BOOLEAN, False, _NO, _NETHERITE),
    Setting("TraceToBlob", BOOLEAN, False, _NO, _NETHERITE),
    Setting("payloadStorageEnabled", BOOLEAN, False, _NO, _SCHEDULER),
    Setting("payloadStorageThresholdBytes", INTEGER, 900000, _NO, _SCHEDULER),
)

_OWN = (
    Setting(
        "dialect",
        choice("auto", "1", "2"),
        "auto",
        _YES,
        "whose answers one-argument functions and the client give: those of SDK 1.x or of 2.0",
        "dialect",
    ),
    Setting(
        "decodeEvents", BOOLEAN, False, _YES, "events raised by the client arrive decoded (dialect 1)", "decode_events"
    ),
    Setting("carryOverEvents", BOOLEAN, True, _YES, "unconsumed events survive continue-as-new", "carry_over_events"),
    Setting("typedPayloads", BOOLEAN, False, _YES, "convert to annotated types everywhere", "typed_payloads"),
    Setting("trustedClasses", TEXTS, (), _YES, "the only classes that may be rebuilt from payloads", "trusted_classes"),
    Setting(
        "onMismatch",
        choice("park", "fail"),
        "park",
        _YES,
        "what becomes of an instance whose code no longer matches its history",
        "on_mismatch",
    ),
    Setting(
        "rollbackEntities",
        choice("auto", "true", "false"),
        "auto",
        _YES,
        "whether a failed entity operation leaves no trace; auto goes by dialect and kind of entity",
        "rollback_entities",
    ),
    Setting("maxSessions", whole(0), 10000, _YES, "hot sessions of a host; 0 replays on every turn", "max_sessions"),
    Setting("sessionIdle", DURATION, 300.0, _YES, "a session unused this long is dropped", "session_idle"),
    Setting("keepGenerations", whole(0), 0, _YES, "finished generations whose history stays", "keep_generations"),
    Setting("hostTtl", DURATION, 9.0, _YES, "a host whose beat stands still this long is declared dead", "host_ttl"),
    Setting("shutdownTimeout", DURATION, 10.0, _YES, "grace for running functions at shutdown", "shutdown_timeout"),
    Setting(
        "maxWorkerDeaths",
        whole(1),
        3,
        _YES,
        "worker deaths alone before a function's work fails or its instance parks",
        "max_worker_deaths",
    ),
    Setting(
        "largePayloadBytes",
        whole(1024),
        65536,
        _YES,
        "above it a payload is stored compressed, apart",
        "large_payload_bytes",
    ),
    Setting("httpAllow", TEXTS, ("*",), _YES, "where durable HTTP may go", "http_allow"),
    Setting(
        "cancelActivitiesOnTerminate",
        BOOLEAN,
        True,
        _YES,
        "terminate cancels running async activities",
        "cancel_on_terminate",
    ),
    Setting("retention", SECTION, None, _YES, "ages at which finished orchestrations are deleted", "retention"),
)


def _below(prefix: str, rows: tuple[Setting, ...]) -> tuple[Setting, ...]:
    return tuple(row._replace(key=f"{prefix}.{row.key}") for row in rows)


SETTINGS: tuple[Setting, ...] = (
    *_ROOT,
    *_below("extensions.http", _HTTP),
    *_below("logging", _LOGGING),
    *_below("extensions.durableTask", _DURABLE),
    *_below("extensions.durableTask.storageProvider", _STORAGE),
    *_below("extensions.perdure", _OWN),
    *_below("extensions", _OTHER),
)

OWN_SECTION = "extensions.perdure"


class Variable(NamedTuple):
    """An environment variable, or app setting, that means something to Azure Functions or to perdure."""

    name: str
    default: str
    effect: Effect
    note: str


VARIABLES: tuple[Variable, ...] = (
    Variable("PERDURE_STORE", ".perdure/<hub>.db", _YES, "the store: sqlite:///path, memory: or postgresql://..."),
    Variable(
        "PERDURE_STORE_LISTEN", "PERDURE_STORE", _YES, "a direct connection for wakes where PERDURE_STORE is a pooler"
    ),
    Variable("AzureFunctionsJobHost__a__b", "", _YES, "overrides the key a.b of host.json"),
    Variable("AzureWebJobsScriptRoot", "", _YES, "folder of the app; --script-root wins"),
    Variable("AzureWebJobs.NAME.Disabled", "", _YES, "true or 1 disables function NAME"),
    Variable("AzureWebJobs__NAME__Disabled", "", _YES, "the same, for shells that dislike dots"),
    Variable("AzureWebJobsDisableHomepage", "false", _YES, "true: the root path answers 204"),
    Variable("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", "104857600", _YES, "bytes of an HTTP body; above it 413"),
    Variable("FUNCTIONS_WORKER_RUNTIME", "python", _YES, "anything but python is refused"),
    Variable("FUNCTIONS_WORKER_PROCESS_COUNT", "1", _YES, "worker processes, 1 to 10, started at once; else a warning"),
    Variable(
        "PYTHON_THREADPOOL_THREAD_COUNT",
        "Python's own",
        _YES,
        "threads for plain functions in each worker; else a warning",
    ),
    Variable("PYTHON_SCRIPT_FILE_NAME", "function_app.py", _YES, "entry file of the v2 model"),
    Variable("FUNCTIONS_USER_LOG_LEVEL", "Information", _YES, "lowest level of user logs; --user-log-level wins"),
    Variable("WEBSITE_HOSTNAME", "localhost:<port>", _YES, "authority of management links outside of a request"),
    Variable("WEBSITE_SITE_NAME", "", _YES, "default name of the task hub"),
    Variable("WEBSITE_SLOT_NAME", "", _YES, "another slot than Production needs a hubName of its own"),
    Variable("TZ", "the machine's zone", _YES, "time zone of timer schedules"),
    Variable("WEBSITE_TIME_ZONE", "the machine's zone", _YES, "the same; TZ wins"),
    Variable("languageWorkers__python__defaultExecutablePath", "", _YES, "interpreter of the workers"),
    Variable("languageWorkers__python__arguments", "", _YES, "further arguments of that interpreter"),
    Variable("AZURE_FUNCTIONS_ENVIRONMENT", "Development", _YES, "set for the app"),
    Variable("PYTHON_ENABLE_DEBUG_LOGGING", "1", _YES, "set for the app; 0 keeps DEBUG records in the worker"),
    Variable("AzureWebJobsStorage", "", _NO, "no storage account is needed; user code may read it"),
    Variable("AzureWebJobsSecretStorageType", "", _NO, "keys are not built yet"),
    Variable("AzureWebJobsFeatureFlags", "", _NO, "worker indexing is always on"),
    Variable("AzureFunctionsWebHost__hostid", "", _NO, "hosts are told apart by the tokens of the store"),
    Variable("FUNCTIONS_EXTENSION_VERSION", "", _NO, "there is one version"),
    Variable("PYTHON_ISOLATE_WORKER_DEPENDENCIES", "", _NO, "the app's packages always come first"),
    Variable("PYTHON_ENABLE_WORKER_EXTENSIONS", "", _NO, "extensions of the published worker are not run"),
    Variable("PYTHON_ENABLE_INIT_INDEXING", "", _NO, "the app is always indexed at start"),
    Variable("PYTHON_ENABLE_OPENTELEMETRY", "false", _YES, "spans of user code hang on the span of its run"),
    Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "", _YES, "where traces go, such as http://localhost:4318; unset: nowhere"),
    Variable("OTEL_TRACES_EXPORTER", "otlp", _YES, "otlp, console or none"),
    Variable("OTEL_SDK_DISABLED", "false", _YES, "true: no traces"),
    Variable(
        "OTEL_TRACES_SAMPLER", "parentbased_always_on", _YES, "which work is traced, with OTEL_TRACES_SAMPLER_ARG"
    ),
    Variable("OTEL_SERVICE_NAME", "the app's folder", _YES, "service.name of the spans; WEBSITE_SITE_NAME is next"),
    Variable("OTEL_*", "", _YES, "all others are read by the SDK of OpenTelemetry"),
    Variable("PYTHON_ROLLBACK_CWD_PATH", "", _NO, "the working folder is the app's"),
    Variable("WEBSITE_INSTANCE_ID", "", _NO, "hosts are told apart by the tokens of the store"),
    Variable("WEBSITE_SKU", "", _NO, "defaults do not change by plan"),
    Variable("CONTAINER_NAME", "", _NO, "defaults do not change by plan"),
    Variable("WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT", "", _NO, "cloud scaling only"),
    Variable("FUNCTIONS_SCALE_*", "", _NO, "cloud scaling only"),
)

LOCAL_SETTINGS: tuple[Variable, ...] = (
    Variable("IsEncrypted", "true when missing", _YES, "a file with encrypted values is refused with a hint"),
    Variable("Values", "", _YES, "become environment variables; existing ones win"),
    Variable("ConnectionStrings", "", _YES, "become ConnectionStrings:NAME"),
    Variable("Host.LocalHttpPort", "7071", _YES, "port; --port wins"),
    Variable("Host.LocalHttpAddress", "127.0.0.1", _YES, "address; --address wins"),
    Variable("Host.CORS", "", _YES, "allowed origins, separated by commas, or *; --cors wins"),
    Variable("Host.CORSCredentials", "false", _YES, "answers to other origins may use credentials"),
)
