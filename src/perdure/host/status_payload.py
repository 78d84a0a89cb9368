"""Stand-in until `model.history_view` is there."""

from __future__ import annotations

from typing import Any

import msgspec

from perdure.model.history import HistoryEvent
from perdure.model.instance import InstanceRecord


def _value(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _time(microseconds: int) -> str:
    import time

    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(microseconds // 1_000_000))


def status_json(
    record: InstanceRecord,
    history: list[HistoryEvent] | None = None,
    *,
    show_input: bool = True,
    show_output: bool = False,
    history_inputs: bool = False,
) -> dict[str, Any]:
    """The status payload of one instance."""
    return {
        "name": record.name,
        "instanceId": record.instance_id,
        "runtimeStatus": record.status.label,
        "input": _value(record.input) if show_input else None,
        "customStatus": _value(record.custom_status),
        "output": _value(record.output),
        "createdTime": _time(record.created),
        "lastUpdatedTime": _time(record.updated or record.created),
    }
