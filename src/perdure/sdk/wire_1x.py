"""The 1.x protocol of triggers, JSON in and JSON out (sdk-api.md appendix A), which user tests speak to a `main`."""

from __future__ import annotations

import time
from enum import Enum
from typing import Any

from perdure.sdk.codes import EntityCode, OrchestratorCode
from perdure.sdk.entity_context import DurableEntityContext
from perdure.sdk.published import EntityState, OperationResult
from perdure.sdk.serialization import dumps


class InternalEntityException(Exception):
    """The published protocol was broken: an operation without a name."""


def run_entity(code: EntityCode, body: str) -> str:
    """The answer to an entity trigger payload."""
    context, batch = DurableEntityContext.from_json(body)
    return run_entity_batch(code, context, batch)


def run_entity_batch(code: EntityCode, context: DurableEntityContext, batch: list[dict[str, Any]]) -> str:
    """Run a batch on a context; a failing operation is a result with `isError`."""
    results = []
    for operation in batch:
        if operation["name"] is None:
            raise InternalEntityException("Durable Functions Internal Error:Entity operation was missing a name field")
        started = time.time()
        context._begin(operation["name"], None)
        context._input = operation["input"]
        try:
            returned = code.function(context)
            value = context._result if context._result_set else returned
            dumps(value, "result")
            failed = False
        except Exception as error:  # noqa: BLE001  user code raised; the caller is told
            failed, value = True, str(error)
        duration = int((time.time() - started) * 1000)
        results.append(OperationResult(failed, duration, int(started * 1000), value))
    answer = EntityState(results, [], context._exists, context._state_text() or "null", state_is_raw=True)
    return answer.to_json_string()


def run_orchestrator(code: OrchestratorCode, body: str) -> str:
    """The answer to an orchestration trigger payload."""
    raise NotImplementedError("orchestration trigger payloads are not built yet")


def run_context(code: OrchestratorCode, context: Any) -> str:
    """The answer for a context that was made from a payload."""
    raise NotImplementedError("orchestration trigger payloads are not built yet")


class ReplaySchema(Enum):
    """Versions of the answer to an orchestration trigger."""

    V1 = 0
    V2 = 1
    V3 = 2


class OrchestratorState:
    """The answer to an orchestration trigger."""

    def __init__(
        self,
        is_done: bool,
        actions: list[list[Any]],
        output: Any,
        replay_schema: ReplaySchema,
        error: str | None = None,
        custom_status: Any = None,
    ) -> None:
        self._is_done = is_done
        self._actions = actions
        self._output = output
        self._error = error
        self._custom_status = custom_status
        self._replay_schema = replay_schema

    @property
    def actions(self) -> list[list[Any]]:
        """All actions since the start of the execution."""
        return self._actions

    @property
    def is_done(self) -> bool:
        """Whether the function returned or continued as new."""
        return self._is_done

    @property
    def output(self) -> Any:
        """What the function returned."""
        return self._output

    @property
    def error(self) -> str | None:
        """The text of what it raised."""
        return self._error

    @property
    def custom_status(self) -> Any:
        """The custom status."""
        return self._custom_status

    @property
    def schema_version(self) -> int:
        """The number of the version."""
        return self._replay_schema.value

    def to_json(self) -> dict[str, Any]:
        """The answer as a JSON object; empty parts are left out."""
        answer: dict[str, Any] = {"isDone": self._is_done}
        if self._replay_schema is not ReplaySchema.V1:
            answer["schemaVersion"] = self.schema_version
        answer["actions"] = [[action.to_json() for action in actions] for actions in self._actions]
        if self._output is not None:
            answer["output"] = self._output
        if self._error:
            answer["error"] = self._error
        if self._custom_status:
            answer["customStatus"] = self._custom_status
        return answer

    def to_json_string(self) -> str:
        """The answer as JSON text."""
        return dumps(self.to_json(), "answer")


class TaskOrchestrationExecutor:
    """Advances one orchestration by its history, as `Orchestrator.handle` does."""

    def execute(self, context: Any, history: Any, fn: Any) -> str:
        """The answer to what `context` was made from."""
        return run_context(OrchestratorCode(fn), context)
