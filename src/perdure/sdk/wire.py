"""The 1.x protocol between host and worker (JSON in, JSON out), which user tests speak to an orchestrator's `main`."""

from __future__ import annotations

from typing import Any

from perdure.sdk.dialect import V1
from perdure.sdk.execution import Execution
from perdure.sdk.options import SdkOptions


def execution_of(payload: dict[str, Any]) -> Execution:
    """An execution that stands at the beginning of what a trigger payload says."""
    execution = Execution(payload["instanceId"], "", V1, SdkOptions())
    execution.parent_id = payload["parentInstanceId"]
    return execution
