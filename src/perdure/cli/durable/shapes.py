"""The JSON that scripts read (cli.md 6.3): state objects and history elements under the names of the field."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from perdure.model import history as h
from perdure.model.history_view import failure_json, full_time
from perdure.model.instance import InstanceRecord, RuntimeStatus, execution_id

#: properties of the framework that are there also when they are null
_ALWAYS = frozenset({"Name", "Input", "Result", "Reason", "Details", "Version", "Tags"})


def state_json(record: InstanceRecord, *, show_input: bool = True, show_output: bool = True) -> dict[str, Any]:
    """The state object of an instance; input and output are JSON text inside a string."""
    failed = record.status is RuntimeStatus.FAILED
    return {
        "CompletedTime": _time(record.completed),
        "CompressedSize": 0,
        "CreatedTime": _time(record.created),
        "Input": record.input if show_input else None,
        "LastUpdatedTime": _time(record.updated or record.created),
        "Name": record.name,
        "OrchestrationInstance": _instance(record),
        "OrchestrationStatus": int(record.status),
        "RuntimeStatus": record.status.label,
        "Output": record.output if show_output else None,
        "ParentInstance": None if record.parent_id is None else {"InstanceId": record.parent_id},
        "Size": len(record.input or "") + len(record.output or ""),
        "Status": record.custom_status,
        "Tags": record.tags,
        "Version": record.version or None,
        "Generation": record.generation,
        "ScheduledStartTime": _time(record.not_before) if record.status is RuntimeStatus.PENDING else None,
        "FailureDetails": {"ErrorMessage": record.output} if failed and show_output else None,
    }


def history_json(record: InstanceRecord, events: Iterable[h.HistoryEvent]) -> list[dict[str, Any]]:
    """The events of the current generation with the property names of the framework, oldest first."""
    shown: list[dict[str, Any]] = []
    time = 0
    for event in events:
        if isinstance(event, h.OrchestratorStarted):
            time = event.timestamp
        fields: dict[str, Any] = msgspec.to_builtins(event)
        kind = fields.pop("EventType")
        at = fields.pop("Timestamp", 0) or time
        element: dict[str, Any] = {
            "EventType": kind,
            "EventId": fields.pop("EventId", -1),
            "IsPlayed": False,
            "Timestamp": full_time(at),
        }
        for name in ("FireAt", "Due"):
            if fields.get(name):
                fields[name] = full_time(fields[name])
        if "Status" in fields:
            fields["OrchestrationStatus"] = fields.pop("Status")
        if hasattr(event, "failure"):
            fields.pop("Failure", None)
            fields["FailureDetails"] = failure_json(event.failure)
        for field in msgspec.structs.fields(event):
            if field.encode_name in _ALWAYS:
                fields.setdefault(field.encode_name, getattr(event, field.name))
        if isinstance(event, h.ExecutionStarted):
            fields["OrchestrationInstance"] = _instance(record)
            parent = fields.pop("ParentId", None)
            fields["ParentInstance"] = None if parent is None else {"InstanceId": parent}
        shown.append({**element, **fields, "_at": at})
    shown.sort(key=lambda element: int(element["_at"]))
    for element in shown:
        del element["_at"]
    return shown


def entity_json(record: InstanceRecord) -> dict[str, Any]:
    """An entity with its state as JSON text inside a string."""
    _, name, key = record.instance_id.split("@", 2)
    return {
        "EntityId": {"Name": name, "Key": key},
        "LastOperationTime": _time(record.updated or record.created),
        "LockedBy": record.lock_holder or None,
        "State": record.state,
    }


def _instance(record: InstanceRecord) -> dict[str, str]:
    return {"InstanceId": record.instance_id, "ExecutionId": execution_id(record.n, record.generation)}


def _time(microseconds: int) -> str | None:
    return full_time(microseconds) if microseconds else None
