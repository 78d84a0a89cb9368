"""The 1.x protocol of entity triggers, JSON in and JSON out, which user tests speak to the `main` of an entity."""

from __future__ import annotations

import time
from typing import Any

from perdure.sdk.codes import EntityCode
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
