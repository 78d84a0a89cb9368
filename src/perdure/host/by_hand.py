"""Durable functions started by hand with POST /admin/functions/NAME: what the hub is asked for."""

from __future__ import annotations

import json
from typing import Any

from perdure.host.messages import IndexedFunction
from perdure.model.instance import entity_scheduler_id
from perdure.model.operations import SignalEntityOperation, StartInstance

#: whom a signal by hand goes to, and what for, where the input does not say
ENTITY_KEY = ENTITY_OPERATION = "manual"


def by_hand(function: IndexedFunction, text: str | None) -> StartInstance | SignalEntityOperation | None:
    """Start an orchestration with this input, or signal an entity; None for other kinds of function.

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
