"""Functions run by hand with POST /admin/functions/NAME."""

from __future__ import annotations

import json
from typing import Any

from perdure.host.functions.function_list import HTTP
from perdure.host.hub_access import HubAccess
from perdure.host.logs.log import ERROR, HostLog
from perdure.host.protocol.messages import IndexedFunction
from perdure.host.supervision.function_calls import FunctionCalls
from perdure.model.instance import entity_scheduler_id
from perdure.model.operations import Refused, SignalEntityOperation, StartInstance

#: whom a signal by hand goes to, and what for, where the input does not say
ENTITY_KEY = ENTITY_OPERATION = "manual"


async def run_by_hand(
    function: IndexedFunction, payload: str | None, hub: HubAccess, calls: FunctionCalls, port: int, log: HostLog
) -> None:
    """Run a function of any kind to its end; what comes of it is in the log."""
    operation = by_hand(function, payload)
    if operation is not None:
        answer = await hub.ask(operation)
        if isinstance(answer, Refused):
            log.write("perdure", ERROR, f"'{function.name}' was not started: {answer.text}")
    elif function.trigger == HTTP:
        origin = f"localhost:{port}"
        headers = [("content-type", "application/json"), ("host", origin)]
        url = f"http://{origin}/admin/functions/{function.name}"
        await calls.invoke_http(function.name, "POST", url, headers, {}, {}, (payload or "").encode("utf-8"))
    else:
        await calls.invoke_trigger(function.name, payload)


def by_hand(function: IndexedFunction, text: str | None) -> StartInstance | SignalEntityOperation | None:
    """What the hub is asked for: start an orchestration with this input, or signal an entity; None for other kinds.

    A text that is not JSON is the input itself. For an entity the text may be an object that names `key`, `operation`
    and `input`; anything else is the input of operation "manual" of the entity with key "manual".
    """
    name = function.durable_name or function.name
    if function.trigger == "orchestrationtrigger":
        return StartInstance(name, None, _json_text(text))
    if function.trigger != "entitytrigger":
        return None
    given = _object(text)
    if not {"key", "operation"} & given.keys():
        given = {"input": None if text is None else json.loads(_json_text(text) or "null")}
    value = given.get("input")
    return SignalEntityOperation(
        entity_scheduler_id(name, str(given.get("key", ENTITY_KEY))),
        str(given.get("operation", ENTITY_OPERATION)),
        None if value is None else json.dumps(value),
    )


def _json_text(text: str | None) -> str | None:
    if not text:
        return None
    try:
        json.loads(text)
    except ValueError:
        return json.dumps(text)
    return text


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return {name.lower(): value for name, value in found.items()} if isinstance(found, dict) else {}
