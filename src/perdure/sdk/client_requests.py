"""The requests of SDK 1.x as values: what goes to the hub, what the same thing is over HTTP, and how answers are read.

Published errors depend on status codes, and user tests replace the HTTP calls. So every request knows both forms, and
a hub's answer is brought to the status and body that HTTP would have given before it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from perdure.model import operations as ops
from perdure.model.history_view import status_json
from perdure.model.instance import STATUS_BY_LABEL, InstanceFilter, InstanceKind, RuntimeStatus
from perdure.sdk.client_transport import client_options
from perdure.sdk.management_urls import RpcManagementOptions, instance_url, query_text, start_url
from perdure.sdk.serialization import dumps, stored_input
from perdure.sdk.statuses import DurableOrchestrationStatus, EntityStateResponse, PurgeHistoryResult
from perdure.sdk.types import OrchestrationRuntimeStatus, scheduler_id

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LISTED_AT_ONCE = 1000


class View(NamedTuple):
    """Which parts of an instance a status shows."""

    input: bool = True
    history: bool = False
    history_output: bool = False


class Request(NamedTuple):
    """One request. `read` makes the result of status and body, or raises the published error."""

    operation: ops.Operation
    verb: str
    url: str
    read: Callable[[int, Any], Any]
    data: Any = None
    task_hub: str = ""
    traced: bool = False
    view: View = View()


# ---------------------------------------------------------------- answers as HTTP gives them


class Response(NamedTuple):
    """A status and a parsed body."""

    status: int
    body: Any


_REFUSALS = {
    ops.RefusalCode.NOT_FOUND: 404,
    ops.RefusalCode.GONE: 410,
    ops.RefusalCode.EXISTS: 500,
    ops.RefusalCode.WRONG_STATE: 500,
    ops.RefusalCode.UNKNOWN_FUNCTION: 400,
    ops.RefusalCode.BAD_REQUEST: 400,
    ops.RefusalCode.UNAVAILABLE: 503,
}
_ERROR_MESSAGES = {400: "One or more of the arguments submitted is incorrect"}
_RUNNING = (RuntimeStatus.RUNNING, RuntimeStatus.PENDING, RuntimeStatus.CONTINUED_AS_NEW, RuntimeStatus.SUSPENDED)


def as_response(answer: ops.OperationAnswer, view: View) -> Response:
    """Status and body of a hub's answer, as the HTTP API documents them."""
    if isinstance(answer, ops.Refused):
        return _refusal(answer)
    if isinstance(answer, ops.Found):
        status = 202 if answer.record.status in _RUNNING else 200
        return Response(status, _status_body(answer.record, view, answer.history))
    if isinstance(answer, ops.Started):
        return Response(202, {"id": answer.instance_id})
    if isinstance(answer, ops.Listed):
        return Response(200, [_status_body(record, view) for record in answer.items])
    if isinstance(answer, ops.Purged):
        return Response(200 if answer.instances else 404, {"instancesDeleted": answer.instances})
    if isinstance(answer, ops.EntityFound):
        return Response(200, _parsed_state(answer.state)) if answer.exists else Response(404, "")
    return Response(202, None)


def _refusal(answer: ops.Refused) -> Response:
    status = _REFUSALS[answer.code]
    if status in (404, 410):
        return Response(status, "")
    body = {
        "Message": _ERROR_MESSAGES.get(status, "Something went wrong while processing your request"),
        "ExceptionMessage": answer.text,
        "ExceptionType": "System.ArgumentException" if status == 400 else "System.InvalidOperationException",
        "StackTrace": "",
    }
    return Response(status, body)


def _status_body(record: Any, view: View, history: Any = None) -> dict[str, Any]:
    shown = status_json(
        record,
        history,
        show_input=view.input,
        show_history=view.history,
        show_history_output=view.history_output,
        show_task_inputs=client_options().show_task_inputs,
    )
    body: dict[str, Any] = json.loads(msgspec.json.encode(shown))
    return body


def _parsed_state(state: str | None) -> Any:
    """A state that is JSON null has no body over HTTP, which the published client reads as an empty text."""
    return "" if state is None or state == "null" else json.loads(state)


def unexpected(status: int, body: Any = None) -> Exception:
    """The published error for any other status, with the hub's reason when it gave one."""
    reason = f": {body['ExceptionMessage']}" if isinstance(body, dict) and body.get("ExceptionMessage") else ""
    return Exception(f"The operation failed with an unexpected status code {status}{reason}")


def accepted(*errors: tuple[int, str], silent: tuple[int, ...] = (202,)) -> Callable[[int, Any], None]:
    """Reads an answer without content: `silent` statuses give None, `errors` their text, others the general error."""
    texts = dict(errors)

    def read(status: int, body: Any) -> None:
        if status in texts:
            raise Exception(texts[status])
        if status not in silent:
            raise unexpected(status, body)

    return read


# ---------------------------------------------------------------- requests


def start_new(
    base: str | None, name: str, instance_id: str | None, client_input: Any, version: str | None, dialect: int
) -> Request:
    """Start an orchestration; reads the new instance's id."""
    text = None if client_input is None else dumps(client_input, "input")

    def read(status: int, body: Any) -> str:
        if status <= 202 and body:
            identifier: str = body["id"]
            return identifier
        if status == 400 and isinstance(body, dict) and "ExceptionMessage" in body:
            raise Exception(body["ExceptionMessage"])
        raise Exception(body)

    operation = ops.StartInstance(name, instance_id or None, stored_input(text, dialect), version)
    return Request(operation, "POST", start_url(base, name, instance_id, version), read, text, traced=True)


def get_status(base: str | None, instance_id: str, view: View) -> Request:
    """Read one instance."""

    def read(status: int, body: Any) -> DurableOrchestrationStatus:
        if status not in (200, 202, 400, 404, 500):
            raise unexpected(status, body)
        return DurableOrchestrationStatus.from_json("" if body is None else body)

    options = RpcManagementOptions(
        instance_id=instance_id,
        show_history=view.history,
        show_history_output=view.history_output,
        show_input=view.input,
    )
    # the published client never sends showInput=False, and true is the default: the input always comes
    shown = view._replace(input=True)
    operation = ops.GetInstance(instance_id, with_history=view.history)
    return Request(operation, "GET", options.to_url(base), read, view=shown)


def list_instances(
    base: str | None,
    created_time_from: datetime | None = None,
    created_time_to: datetime | None = None,
    runtime_status: list[OrchestrationRuntimeStatus] | None = None,
    instance_id_prefix: str | None = None,
) -> Request:
    """Read the first page of the orchestrations that match; the client follows it."""

    def read(status: int, body: Any) -> list[DurableOrchestrationStatus]:
        if status != 200:
            raise unexpected(status, body)
        return [DurableOrchestrationStatus.from_json(item) for item in body]

    options = RpcManagementOptions(
        created_time_from=created_time_from,
        created_time_to=created_time_to,
        runtime_status=runtime_status,
        instance_id_prefix=instance_id_prefix,
    )
    filter_ = instance_filter(created_time_from, created_time_to, runtime_status, instance_id_prefix)
    return Request(ops.ListInstances(filter_, _LISTED_AT_ONCE), "GET", options.to_url(base), read)


def raise_event(
    base: str | None, instance_id: str, event_name: str, event_data: Any, task_hub: str | None, connection: str | None
) -> Request:
    """Raise an external event."""
    if event_name == "":
        raise ValueError("event_name must be a non-empty string.")

    def read(status: int, body: Any) -> None:
        texts = {
            404: f"No instance with ID {instance_id} found.",
            410: f"Instance with ID {instance_id} is gone: either completed or failed",
            400: "Only application/json request content is supported",
        }
        if status == 202:
            return
        raise Exception(texts.get(status, f"Webhook returned unrecognized status code {status}"))

    text = dumps(event_data, "event_data")
    query = query_text([("taskHub", task_hub), ("connection", connection)])
    url = instance_url(base, instance_id, f"raiseEvent/{quote(event_name, safe='')}", query)
    operation = ops.RaiseEvent(instance_id, event_name, text, client=True)
    return Request(operation, "POST", url, read, text, task_hub or "")


def _not_found(instance_id: str) -> tuple[int, str]:
    return 404, f"No instance with ID '{instance_id}' found."


def with_reason(base: str | None, instance_id: str, verb: str, operation: ops.Operation, reason: str | None) -> Request:
    """Terminate, suspend or resume; finished instances are passed over in silence."""
    url = instance_url(base, instance_id, verb, f"?reason={quote(reason or '')}")
    return Request(operation, "POST", url, accepted(_not_found(instance_id), silent=(202, 410)))


def rewind(
    base: str | None, instance_id: str, reason: str | None, task_hub: str | None, connection: str | None
) -> Request:
    """Rewind a failed instance. Raises `Exception` without an address, as published."""
    if not base:
        raise Exception(
            "The Python SDK only supports RPC endpoints.Please remove the `localRpcEnabled` setting from host.json"
        )

    def read(status: int, body: Any) -> None:
        if status in (200, 202):
            return
        if status == 404:
            raise Exception(f"No instance with ID {instance_id} found.")
        if status == 410:
            raise Exception("The rewind operation is only supported on failed orchestration instances.")
        if isinstance(body, dict) and body.get("ExceptionMessage"):
            raise Exception(body["ExceptionMessage"])
        if isinstance(body, str):
            raise Exception(body)
        raise Exception(f"Received unexpected payload from the durable-extension: {[status, body]}")

    query = f"?reason={quote(reason or '', safe='')}" + query_text(
        [("taskHub", task_hub), ("connection", connection)]
    ).replace("?", "&", 1)
    operation = ops.RewindInstance(instance_id, reason)
    return Request(operation, "POST", instance_url(base, instance_id, "rewind", query), read, task_hub=task_hub or "")


def restart(base: str | None, instance_id: str, new_id: bool) -> Request:
    """Start again with the original input; reads the id of the instance that runs."""
    check = accepted(_not_found(instance_id), silent=(202, 410))

    def read(status: int, body: Any) -> str:
        check(status, body)
        if isinstance(body, dict):
            body = body.get("id")
        return body if body else instance_id

    url = instance_url(base, instance_id, "restart", f"?restartWithNewInstanceId={str(new_id).lower()}")
    return Request(ops.RestartInstance(instance_id, new_id), "POST", url, read)


def _read_purge(status: int, body: Any) -> PurgeHistoryResult:
    if status == 404:
        return PurgeHistoryResult(instancesDeleted=0)
    if status != 200:
        raise unexpected(status, body)
    return PurgeHistoryResult.from_json(body)


def purge(base: str | None, instance_id: str) -> Request:
    """Delete one instance."""
    return Request(ops.PurgeInstance(instance_id), "DELETE", instance_url(base, instance_id), _read_purge)


def purge_by(
    base: str | None,
    created_time_from: datetime | None,
    created_time_to: datetime | None,
    runtime_status: list[OrchestrationRuntimeStatus] | None,
) -> Request:
    """Delete the finished instances that match. Raises `ValueError` without `created_time_from`."""
    if created_time_from is None:
        raise ValueError("created_time_from is required when purging instance history")
    options = RpcManagementOptions(
        created_time_from=created_time_from, created_time_to=created_time_to, runtime_status=runtime_status
    )
    filter_ = instance_filter(created_time_from, created_time_to, runtime_status)
    return Request(ops.PurgeInstances(filter_), "DELETE", options.to_url(base), _read_purge)


def read_entity(base: str | None, entity: Any, task_hub: str | None, connection: str | None) -> Request:
    """Read an entity's state."""

    def read(status: int, body: Any) -> EntityStateResponse:
        if status == 200:
            return EntityStateResponse(True, body)
        if status == 404:
            return EntityStateResponse(False)
        raise unexpected(status, body)

    options = RpcManagementOptions(connection_name=connection, task_hub_name=task_hub, entity_Id=entity)
    operation = ops.ReadEntity(scheduler_id(entity))
    return Request(operation, "GET", options.to_url(base), read, task_hub=task_hub or "")


def signal_entity(
    base: str | None, entity: Any, operation_name: str, value: Any, task_hub: str | None, connection: str | None
) -> Request:
    """Send an operation to an entity."""
    options = RpcManagementOptions(
        operation_name=operation_name, connection_name=connection, task_hub_name=task_hub, entity_Id=entity
    )
    text = None if value is None else dumps(value, "operation_input")
    operation = ops.SignalEntityOperation(scheduler_id(entity), operation_name, text, client=True)
    return Request(operation, "POST", options.to_url(base), accepted(), text, task_hub or "", traced=True)


def instance_filter(
    created_from: datetime | None,
    created_to: datetime | None,
    statuses: list[Any] | None,
    id_prefix: str | None = None,
) -> InstanceFilter:
    """The filter of a query over orchestrations; naive times are taken as UTC."""
    return InstanceFilter(
        created_from=microseconds(created_from),
        created_to=microseconds(created_to),
        statuses=tuple(STATUS_BY_LABEL[status.value] for status in statuses or ()),
        id_prefix=id_prefix or None,
        kinds=(InstanceKind.ORCHESTRATION,),
    )


def microseconds(time: datetime | None) -> int | None:
    """Microseconds since 1970, None for None; a naive time is taken as UTC."""
    if time is None:
        return None
    aware = time if time.tzinfo is not None else time.replace(tzinfo=timezone.utc)
    return (aware - _EPOCH) // _MICROSECOND


_MICROSECOND = datetime.resolution
