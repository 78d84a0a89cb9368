"""Every public name, where it lives, and which module of the published package shows it. Data, and nothing imported."""

from __future__ import annotations


def _words(text: str) -> list[str]:
    return text.split()


#: module of `perdure.sdk` -> the public names that it defines
_DEFINED: dict[str, str] = {
    "types": (
        "DEFAULT_LOCAL_HOST DEFAULT_LOCAL_ORIGIN DATETIME_STRING_FORMAT HTTP_ACTION_NAME ORCHESTRATION_TRIGGER "
        "ACTIVITY_TRIGGER ENTITY_TRIGGER DURABLE_CLIENT DurableFunctionsCompatibilityWarning "
        "OrchestrationRuntimeStatus HistoryEventType TaskState EntityId EntityInstanceId RetryPolicy RetryOptions "
        "TokenSource ManagedIdentityTokenSource DurableHttpRequest DurableHttpResponse FunctionContext"
    ),
    "app": "DFApp Blueprint",
    "codes": "Orchestrator Entity",
    "bindings": "OrchestrationTrigger ActivityTrigger EntityTrigger DurableClient",
    "client": "DurableFunctionsClient Page",
    "orchestration_client": "DurableOrchestrationClient",
    "blocking_client": "SyncDurableFunctionsClient",
    "client_core": "HttpManagementPayload",
    "client_types": (
        "OrchestrationState OrchestrationStatus OrchestrationQuery OrchestrationFailedError EntityQuery "
        "EntityMetadata PurgeInstancesResult CleanEntityStorageResult"
    ),
    "management_urls": "DurableOrchestrationBindings RpcManagementOptions",
    "statuses": "DurableOrchestrationStatus PurgeHistoryResult EntityStateResponse",
    "context": "DurableOrchestrationContext",
    "native_context": "OrchestrationContext ReplaySafeLogger when_all when_any",
    "histories": "HistoryEvent",
    "failures": "TaskFailedError TaskCancelledError FailureInfo",
    "locks": "EntityLock",
    "tasks": "TaskBase AtomicTask",
    "atomic_tasks": "TimerTask LongTimerTask",
    "compound_tasks": "CompoundTask WhenAllTask WhenAnyTask",
    "retriable": "RetryAbleTask",
    "entity_context": "DurableEntityContext EntityContext from_json_util",
    "entity_class": "DurableEntity",
    "entity_testing": "execute_entity EntityTestResult EntitySignalAction OrchestrationStartAction",
    "generator_testing": "orchestrator_generator_wrapper",
    "wire": "TaskOrchestrationExecutor",
    "wire_entity": "InternalEntityException",
    "published_actions": (
        "Action ActionType CallActivityAction CallActivityWithRetryAction CallSubOrchestratorAction "
        "CallSubOrchestratorWithRetryAction CallHttpAction WaitForExternalEventAction CreateTimerAction WhenAnyAction "
        "WhenAllAction CallEntityAction SignalEntityAction ContinueAsNewAction CompoundAction NoOpAction"
    ),
    "published": (
        "df_dumps df_loads activity_output_type sub_orchestrator_output_type add_attrib add_datetime_attrib "
        "add_json_attrib parse_timespan_attrib RequestMessage OperationResult Signal EntityState "
        "ResponseMessage OrchestratorState ReplaySchema"
    ),
    "http_calls": "post_async_request get_async_request delete_async_request",
}

#: public name -> the module that defines it
HOME: dict[str, str] = {name: f"perdure.sdk.{module}" for module, names in _DEFINED.items() for name in names.split()}

_MODELS_1X = (
    "DurableOrchestrationBindings DurableOrchestrationClient DurableEntityContext DurableOrchestrationContext "
    "DurableHttpRequest ManagedIdentityTokenSource OrchestratorState OrchestrationRuntimeStatus PurgeHistoryResult "
    "RetryOptions TaskBase"
)
_ACTIONS = (
    "Action ActionType CallActivityAction CallActivityWithRetryAction CallSubOrchestratorAction CallHttpAction "
    "WaitForExternalEventAction CreateTimerAction WhenAnyAction WhenAllAction"
)

#: names of the package itself in 1.7.0, then those of 2.0
TOP_LEVEL_1X = _words(
    "Orchestrator Entity EntityId DurableOrchestrationClient DurableEntityContext "
    "DurableOrchestrationContext DurableFunctionsCompatibilityWarning ManagedIdentityTokenSource "
    "OrchestrationRuntimeStatus RetryOptions DFApp Blueprint"
)
TOP_LEVEL_2 = _words(
    "DurableFunctionsClient SyncDurableFunctionsClient DurableHttpRequest DurableHttpResponse "
    "DurableOrchestrationStatus PurgeHistoryResult EntityStateResponse RetryPolicy TokenSource "
    "EntityInstanceId EntityContext DurableEntity OrchestrationContext HttpManagementPayload"
)

_modules: dict[str, str] = {
    "": " ".join(TOP_LEVEL_1X + TOP_LEVEL_2),
    "constants": (
        "DEFAULT_LOCAL_HOST DEFAULT_LOCAL_ORIGIN DATETIME_STRING_FORMAT HTTP_ACTION_NAME ORCHESTRATION_TRIGGER "
        "ACTIVITY_TRIGGER ENTITY_TRIGGER DURABLE_CLIENT"
    ),
    "orchestrator": "Orchestrator",
    "entity": "Entity InternalEntityException",
    "decorators": "",
    "decorators.durable_app": "DFApp Blueprint",
    "decorators.metadata": "OrchestrationTrigger ActivityTrigger EntityTrigger DurableClient",
    "testing": (
        "orchestrator_generator_wrapper execute_entity EntityTestResult EntitySignalAction OrchestrationStartAction"
    ),
    "testing.OrchestratorGeneratorWrapper": "orchestrator_generator_wrapper",
    "models": _MODELS_1X,
    "models.Task": (
        "TaskState TaskBase CompoundTask AtomicTask TimerTask WhenAllTask LongTimerTask WhenAnyTask RetryAbleTask"
    ),
    "models.DurableEntityContext": "DurableEntityContext from_json_util",
    "models.TokenSource": "TokenSource ManagedIdentityTokenSource",
    "models.history": "HistoryEvent HistoryEventType",
    "models.history.HistoryEvent": "HistoryEvent",
    "models.history.HistoryEventType": "HistoryEventType",
    "models.actions": _ACTIONS,
    "models.entities": "RequestMessage OperationResult Signal EntityState",
    "models.utils": "",
    "models.utils.entity_utils": "EntityId",
    "models.utils.df_serialization": "df_dumps df_loads",
    "models.utils.type_discovery": "activity_output_type sub_orchestrator_output_type",
    "models.utils.json_utils": "add_attrib add_datetime_attrib add_json_attrib parse_timespan_attrib",
    "models.utils.http_utils": "post_async_request get_async_request delete_async_request",
}
for _name in _words(
    "TaskOrchestrationExecutor DurableOrchestrationContext DurableOrchestrationClient DurableOrchestrationStatus "
    "PurgeHistoryResult EntityStateResponse OrchestrationRuntimeStatus RetryOptions DurableOrchestrationBindings "
    "DurableHttpRequest OrchestratorState ReplaySchema FunctionContext RpcManagementOptions"
):
    _modules[f"models.{_name}"] = _name
for _name in _words(
    f"{_ACTIONS} CallSubOrchestratorWithRetryAction CallEntityAction SignalEntityAction ContinueAsNewAction "
    "CompoundAction NoOpAction"
):
    _modules[f"models.actions.{_name}"] = _name
for _name in ("RequestMessage", "OperationResult", "Signal", "EntityState", "ResponseMessage"):
    _modules[f"models.entities.{_name}"] = _name

#: names that `durabletask` has for what has another name here
ALIASES = {
    "Task": "TaskBase",
    "CompositeTask": "CompoundTask",
    "CancellableTask": "TaskBase",
    "FailureDetails": "FailureInfo",
}

#: module path below `durabletask` -> the names that apps for SDK 2.0 take from there
DURABLETASK: dict[str, tuple[str, ...]] = {
    path: tuple(names.split())
    for path, names in {
        "": "",
        "task": (
            "Task CompositeTask CancellableTask TimerTask OrchestrationContext RetryPolicy TaskFailedError "
            "TaskCancelledError FailureDetails ReplaySafeLogger when_all when_any"
        ),
        "entities": "DurableEntity EntityContext EntityInstanceId EntityLock EntityMetadata",
        "client": (
            "OrchestrationState OrchestrationStatus OrchestrationQuery OrchestrationFailedError EntityQuery "
            "PurgeInstancesResult CleanEntityStorageResult Page"
        ),
    }.items()
}

#: module path below the published package ("" is the package) -> the names that it shows
MODULES: dict[str, tuple[str, ...]] = {path: tuple(names.split()) for path, names in _modules.items()}
#: names of the package that only 2.0 has: an app that touches one of them is written for it
ONLY_IN_2 = frozenset(
    _words(
        "DurableFunctionsClient SyncDurableFunctionsClient DurableHttpRequest DurableHttpResponse "
        "DurableOrchestrationStatus PurgeHistoryResult EntityStateResponse RetryPolicy TokenSource"
    )
)
