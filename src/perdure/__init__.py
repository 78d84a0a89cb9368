"""perdure: runs Azure Durable Functions apps written in Python, unmodified, on any machine.

``import perdure as df`` gives the durable API, the same objects as ``import azure.durable_functions as df``, which
resolves to perdure from the first import on.
"""

from __future__ import annotations

from importlib import import_module

from perdure import azure_names
from perdure.sdk.names import TOP_LEVEL_1X, TOP_LEVEL_2

__version__ = "0.1.0"

TYPE_CHECKING = False  # `typing` costs more than all the rest of this module
if TYPE_CHECKING:
    from typing import Any

    from perdure.outside.client import client
    from perdure.sdk.app import Blueprint, DFApp
    from perdure.sdk.blocking_client import SyncDurableFunctionsClient
    from perdure.sdk.client import DurableFunctionsClient
    from perdure.sdk.client_core import HttpManagementPayload
    from perdure.sdk.codes import Entity, Orchestrator
    from perdure.sdk.context import DurableOrchestrationContext
    from perdure.sdk.entity_class import DurableEntity
    from perdure.sdk.entity_context import DurableEntityContext, EntityContext
    from perdure.sdk.native_context import OrchestrationContext
    from perdure.sdk.orchestration_client import DurableOrchestrationClient
    from perdure.sdk.statuses import DurableOrchestrationStatus, EntityStateResponse, PurgeHistoryResult
    from perdure.sdk.types import (
        DurableFunctionsCompatibilityWarning,
        DurableHttpRequest,
        DurableHttpResponse,
        EntityId,
        EntityInstanceId,
        ManagedIdentityTokenSource,
        OrchestrationRuntimeStatus,
        RetryOptions,
        RetryPolicy,
        TokenSource,
    )

azure_names.install()

__all__ = [
    "Blueprint",
    "DFApp",
    "DurableEntity",
    "DurableEntityContext",
    "DurableFunctionsClient",
    "DurableFunctionsCompatibilityWarning",
    "DurableHttpRequest",
    "DurableHttpResponse",
    "DurableOrchestrationClient",
    "DurableOrchestrationContext",
    "DurableOrchestrationStatus",
    "Entity",
    "EntityContext",
    "EntityId",
    "EntityInstanceId",
    "EntityStateResponse",
    "HttpManagementPayload",
    "ManagedIdentityTokenSource",
    "OrchestrationContext",
    "OrchestrationRuntimeStatus",
    "Orchestrator",
    "PurgeHistoryResult",
    "RetryOptions",
    "RetryPolicy",
    "SyncDurableFunctionsClient",
    "TokenSource",
    "__version__",
    "client",
]

_PUBLIC = frozenset(TOP_LEVEL_1X + TOP_LEVEL_2)


def __getattr__(name: str) -> Any:
    """Public names are loaded when first used: the command line and the host start without them."""
    if name in _PUBLIC:
        value = azure_names.resolve(name)
    elif name == "client":
        value = import_module("perdure.outside.client").client
    elif name == "testing":
        value = import_module("perdure.testing")
    elif name in ("models", "constants", "decorators", "entity", "orchestrator", "openai_agents"):
        # `df.models.TaskBase` and the like
        value = getattr(import_module(azure_names.ROOT), name)
    else:
        raise AttributeError(f"module 'perdure' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
