"""What a function on a trigger other than HTTP gets when it is fired: the object that `azure.functions` builds."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

from azure.functions import meta

_TIMER = "timertrigger"
#: a timer fired by hand knows no schedule
_NO_SCHEDULE = '{"Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": false}'
_JSON_TYPES = frozenset({"eventgridtrigger", "cosmosdbtrigger", "timertrigger", "warmuptrigger"})
_BATCHES = frozenset({"eventhubtrigger", "servicebustrigger", "kafkatrigger"})


def trigger_value(trigger: str, payload: str | None, binding: dict[str, Any]) -> Any:
    """The value for a trigger of this type (lower case) from a text.

    `binding` has its keys in lower case. A type that `azure.functions` does not know gets the text itself. Raises
    ValueError when the text does not fit the type.
    """
    converter = _converter(trigger)
    if converter is None:
        return payload
    if trigger == _TIMER:
        payload = payload if _is_object(payload) else _NO_SCHEDULE
    text = payload if payload is not None else ""
    many = trigger in _BATCHES and str(binding.get("cardinality", "")).lower() == "many"
    if many:
        items = _items(text)
        data = meta.Datum(_Collection(items), "collection_bytes")
        metadata = _METADATA_MANY.get(trigger, _no_metadata_many)(items)
    else:
        data = meta.Datum(text, "json" if trigger in _JSON_TYPES else "string")
        metadata = _METADATA.get(trigger, _no_metadata)()
    try:
        return converter.decode(data, trigger_metadata=metadata)
    except json.JSONDecodeError as error:
        raise ValueError(f"The input of a {binding.get('type', trigger)} must be JSON: {error}") from None


class _Collection:
    """The bodies of a batch as the converters expect them."""

    def __init__(self, items: list[Any]) -> None:
        self.bytes = [(item if isinstance(item, str) else json.dumps(item)).encode() for item in items]


def _converter(trigger: str) -> Any:
    known = {
        name.lower(): converter for name, converter in meta._ConverterMeta._bindings.items() if isinstance(name, str)
    }
    return known.get(trigger)


def _is_object(text: str | None) -> bool:
    try:
        return isinstance(json.loads(text or ""), dict)
    except ValueError:
        return False


def _items(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return value if isinstance(value, list) else [value]


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(value: Any) -> meta.Datum:
    return meta.Datum(str(value), "string")


def _json(value: Any) -> meta.Datum:
    return meta.Datum(json.dumps(value), "json")


def _queue_metadata() -> dict[str, meta.Datum]:
    return {
        "Id": _text(uuid.uuid4()),
        "DequeueCount": meta.Datum(1, "int"),
        "InsertionTime": _text(_now()),
        "ExpirationTime": _text(_now()),
        "NextVisibleTime": _text(_now()),
        "PopReceipt": _text("by-hand"),
    }


def _event_hub_metadata() -> dict[str, meta.Datum]:
    return {
        "SystemProperties": _json({}),
        "EnqueuedTimeUtc": _text(_now()),
        "SequenceNumber": meta.Datum(0, "int"),
        "Offset": _text(0),
        "PartitionKey": _text(""),
    }


def _event_hub_metadata_many(items: list[Any]) -> dict[str, meta.Datum]:
    properties = [{"EnqueuedTimeUtc": _now(), "SequenceNumber": place, "Offset": place} for place in range(len(items))]
    return {"SystemPropertiesArray": _json(properties)}


def _service_bus_metadata() -> dict[str, meta.Datum]:
    return {
        "UserProperties": _json({}),
        "MessageId": _text(uuid.uuid4()),
        "EnqueuedTimeUtc": _text(_now()),
        "DeliveryCount": meta.Datum(1, "int"),
    }


def _service_bus_metadata_many(items: list[Any]) -> dict[str, meta.Datum]:
    return {
        "UserPropertiesArray": _json([{} for _ in items]),
        "MessageIdArray": _json([str(uuid.uuid4()) for _ in items]),
    }


def _no_metadata() -> dict[str, meta.Datum]:
    return {}


def _no_metadata_many(items: list[Any]) -> dict[str, meta.Datum]:
    return {}


_METADATA: dict[str, Callable[[], dict[str, meta.Datum]]] = {
    "queuetrigger": _queue_metadata,
    "eventhubtrigger": _event_hub_metadata,
    "servicebustrigger": _service_bus_metadata,
}
_METADATA_MANY: dict[str, Callable[[list[Any]], dict[str, meta.Datum]]] = {
    "eventhubtrigger": _event_hub_metadata_many,
    "servicebustrigger": _service_bus_metadata_many,
}
