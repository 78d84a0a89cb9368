"""The OpenAPI document of the webhook API. It says what the API does: a test sends what the document allows, and
compares what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import perdure
from perdure.host.http.links import WEBHOOK_PATH
from perdure.model.instance import STATUS_BY_LABEL

Json = dict[str, Any]

_TEXTS = {
    200: "Done, or what was asked for.",
    202: "Accepted, or not finished yet.",
    400: "The request is wrong: the text names the parameter.",
    401: "No key, or a wrong one (only where keys are enforced).",
    404: "There is none.",
    410: "The instance has finished.",
    413: "The body is too large.",
    500: "Refused by the state of the instance, or (with returnInternalServerErrorOnFailure) the instance has failed.",
    503: "The host is starting or stopping, or the store does not answer.",
}
_ALWAYS = (400, 401, 404, 503)
_HEADERS = {
    "Location": "Where the status is.",
    "Retry-After": "Ask there after so many seconds.",
    "x-ms-continuation-token": "For the request of the next page; empty after the last.",
}
_NO_HEADERS: dict[int, tuple[str, ...]] = {}
_LATER = {202: ("Location", "Retry-After")}
_PAGED = {200: ("x-ms-continuation-token",)}


def _parameter(name: str, schema: Json, text: str, where: str = "query", required: bool = False) -> Json:
    return {"name": name, "in": where, "required": required, "description": text, "schema": schema}


def _path(name: str, text: str) -> Json:
    return _parameter(name, {"type": "string", "minLength": 1}, text, "path", True)


_FLAG: Json = {"type": "boolean"}
_TEXT: Json = {"type": "string"}
_SECONDS: Json = {"type": "number", "minimum": 0}
_TIME: Json = {"type": "string", "format": "date-time"}

_HUB = _parameter("taskHub", _TEXT, "Another task hub of the store; the app's own without it.")
_CONNECTION = _parameter("connection", _TEXT, "An app setting that holds the URL of a store; others are ignored.")
_COMMON = [_HUB, _CONNECTION]
_ID = _path("instanceId", "The instance.")
_REASON = _parameter("reason", _TEXT, "Why, for the history.")
_TOP = _parameter("top", {"type": "integer", "minimum": 1}, "Items on a page; more than 1000 count as 1000.")
_TOKEN = _parameter("x-ms-continuation-token", _TEXT, "Where the last page ended, from its answer.", "header")
_WAIT = [
    _parameter("timeout", _SECONDS, "Wait so many seconds for the end."),
    _parameter("pollingInterval", _SECONDS, "Look so often; not more than timeout."),
]
_FILTERS = [
    _parameter("createdTimeFrom", _TIME, "Created then or later."),
    _parameter("createdTimeTo", _TIME, "Created then or earlier."),
    _parameter("runtimeStatus", _TEXT, "Statuses, with commas between or repeated; unknown ones are left out."),
    _parameter("instanceIdPrefix", _TEXT, "The id begins with this."),
    _parameter("namePrefix", _TEXT, "The name begins with this."),
    _parameter("parentInstanceId", _TEXT, "Children of this instance."),
    _parameter("tag", {"type": "array", "items": _TEXT}, "NAME=VALUE; may be repeated, all must fit."),
]
_SHOWN = [
    _parameter("showInput", _FLAG, "With the input (true)."),
    _parameter("showHistory", _FLAG, "With the history (false)."),
    _parameter("showHistoryOutput", _FLAG, "With the results in the history (false)."),
    _parameter("returnInternalServerErrorOnFailure", _FLAG, "500 instead of 200 for a failed instance (false)."),
]


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _operation(
    text: str,
    parameters: list[Json],
    answers: Mapping[int, Json | None],
    body: Json | None = None,
    more: tuple[int, ...] = (),
    headers: Mapping[int, tuple[str, ...]] = _NO_HEADERS,
) -> Json:
    """One operation. `answers` has the schema of each documented body, None for no body; `headers` those that an
    answer always has."""
    responses: Json = {}
    for status in sorted({*answers, *_ALWAYS, *more}):
        response: Json = {"description": _TEXTS[status]}
        schema = answers.get(status, _ref("Error") if status in (400, 500, 503) else None)
        if schema is not None:
            response["content"] = {"application/json": {"schema": schema}}
        if status in headers:
            response["headers"] = {n: {"description": _HEADERS[n], "schema": _TEXT} for n in headers[status]}
        responses[str(status)] = response
    made: Json = {"summary": text, "parameters": [*parameters, *_COMMON], "responses": responses}
    if body is not None:
        made["requestBody"] = body
    return made


def _json_body(text: str) -> Json:
    return {"description": text, "required": False, "content": {"application/json": {"schema": {}}}}


def _paths() -> Json:
    links, status = _ref("Links"), _ref("Status")
    start = {200: {}, 202: links}
    key = _parameter("Idempotency-Key", _TEXT, "The same key and function start once in 24 hours.", "header")
    failed = _parameter("returnInternalServerErrorOnFailure", _FLAG, "For the status link of the answer (false).")
    version = _parameter("version", _TEXT, "The version of the orchestrator; the app's without it.")
    begin = [_path("functionName", "The orchestrator."), version, key, failed, *_WAIT]
    input_ = _json_body("The input: any JSON value.")
    control = {
        verb: {"post": _operation(text, [_ID, _REASON], {202: None}, more=(410, 500))}
        for verb, text in (
            ("terminate", "Terminate an instance."),
            ("suspend", "Suspend an instance."),
            ("resume", "Resume a suspended instance."),
            ("rewind", "Run again what failed in a failed instance."),
        )
    }
    entity = [
        _path("entityName", "The name; case does not matter."),
        _path("entityKey", "The key; $ is the empty one."),
    ]
    op = _parameter("op", _TEXT, "The operation.")
    entities = [
        _TOP,
        _TOKEN,
        _parameter("fetchState", _FLAG, "With the states (false)."),
        _parameter("lastOperationTimeFrom", _TIME, "Used then or later."),
        _parameter("lastOperationTimeTo", _TIME, "Used then or earlier."),
    ]
    listed = {200: {"type": "array", "items": _ref("Entity")}}
    data = _json_body("The input: JSON, or a text of another content type.")
    purge = [
        {**_FILTERS[0], "required": True},
        _FILTERS[1],
        _parameter("runtimeStatus", _TEXT, "Statuses in any case, with commas between or repeated."),
        _parameter(
            "includeRunning",
            _FLAG,
            "Those that have not finished, too, and without runtimeStatus also entities (false).",
        ),
        _parameter("dryRun", _FLAG, "Count, and delete nothing (false)."),
    ]
    waiting = _parameter("wait", _SECONDS, "Answer when the instance has ended, after so many seconds (300) at most.")
    return {
        "orchestrators/{functionName}": {
            "post": _operation("Start an orchestration.", begin, start, input_, (413, 500), _LATER),
        },
        "orchestrators/{functionName}/{instanceId}": {
            "post": _operation("Start an orchestration under an id.", [*begin, _ID], start, input_, (413, 500), _LATER),
        },
        "instances": {
            "get": _operation(
                "List instances.",
                [*_FILTERS, _TOP, _TOKEN, _SHOWN[0]],
                {200: {"type": "array", "items": status}},
                headers=_PAGED,
            ),
            "delete": _operation(
                "Delete finished orchestrations.", purge, {200: _ref("Purged"), 400: _ref("ErrorOrText")}
            ),
        },
        "instances/{instanceId}": {
            "get": _operation(
                "The status.", [_ID, *_SHOWN, waiting], {200: status, 202: status, 500: status}, headers=_LATER
            ),
            "delete": _operation("Delete an instance, whatever its status.", [_ID], {200: _ref("Purged")}),
        },
        "instances/{instanceId}/raiseEvent/{eventName}": {
            "post": _operation(
                "Raise an external event.",
                [_ID, _path("eventName", "The event; waits compare names without case.")],
                {202: None},
                _json_body("The data of the event: any JSON value."),
                (410, 413),
            ),
        },
        **{f"instances/{{instanceId}}/{verb}": item for verb, item in control.items()},
        "instances/{instanceId}/restart": {
            "post": _operation(
                "Start again with the original input.",
                [_ID, _parameter("restartWithNewInstanceId", _FLAG, "Under a new id (true)."), failed, *_WAIT],
                start,
                _json_body("Looked at only to say what is wrong with it."),
                (413, 500),
                _LATER,
            ),
        },
        "counts": {
            "get": _operation(
                "Numbers of instances by status and name.",
                [*_FILTERS, _parameter("byName", _FLAG, "Also by name (true); without, it is faster.")],
                {200: _ref("Counts")},
            )
        },
        "entities": {"get": _operation("List entities.", entities, listed, headers=_PAGED)},
        "entities/{entityName}": {
            "get": _operation("List the entities of a name.", [entity[0], *entities], listed, headers=_PAGED),
            "post": _operation("Signal the entity with the empty key.", [entity[0], op], {202: None}, data, (413,)),
            "delete": _operation("Signal `delete` to the entity with the empty key.", [entity[0]], {202: None}),
        },
        "entities/{entityName}/{entityKey}": {
            "get": _operation("The state.", entity, {200: {}}),
            "post": _operation("Signal an entity.", [*entity, op], {202: None}, data, (413,)),
            "delete": _operation("Signal `delete` to an entity.", entity, {202: None}),
        },
        "makeprimary": {
            verb: _operation("Refused: there is no app lease.", [], {500: _ref("Error")})
            for verb in ("get", "put", "post", "delete")
        },
        "operations": {
            "post": _operation(
                "Operations and answers as values of this version, for `perdure.client` and the command line.",
                [],
                {200: {"type": "array"}},
                _json_body("An operation."),
                (413,),
            ),
        },
        "openapi.json": {"get": _operation("This document.", [], {200: {"type": "object"}})},
    }


def _object(required: dict[str, Json], **optional: Json) -> Json:
    return {"type": "object", "properties": {**required, **optional}, "required": list(required)}


def _schemas() -> Json:
    statuses: Json = {"type": "string", "enum": sorted(STATUS_BY_LABEL)}
    link: Json = {"type": "string", "format": "uri"}
    number: Json = {"type": "integer", "minimum": 0}
    by_status: Json = {"type": "object", "additionalProperties": number}
    error = _object(
        {"Message": _TEXT},
        ExceptionMessage=_TEXT,
        ExceptionType=_TEXT,
        StackTrace={"type": "string", "enum": [""]},
    )
    links = ("statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri", "restartPostUri")
    return {
        "Error": error,
        "ErrorOrText": {"anyOf": [_ref("Error"), _TEXT]},
        "Links": _object({"id": _TEXT, **dict.fromkeys(links, link), "suspendPostUri": link, "resumePostUri": link}),
        "Status": _object(
            {
                "name": _TEXT,
                "instanceId": _TEXT,
                "runtimeStatus": statuses,
                "input": {},
                "customStatus": {},
                "output": {},
                "createdTime": _TIME,
                "lastUpdatedTime": _TIME,
            },
            historyEvents={"type": "array", "items": {"type": "object"}},
        ),
        "Purged": _object({"instancesDeleted": number}, dryRun=_FLAG),
        "Counts": _object(
            {"total": number, "byStatus": by_status},
            byName={"type": "object", "additionalProperties": by_status},
        ),
        "Entity": _object(
            {"entityId": _object({"name": _TEXT, "key": _TEXT}), "lastOperationTime": _TIME, "state": {}}
        ),
    }


def document(origin: str) -> Json:
    """The document for a host that is reached at `origin`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "perdure: durable webhooks",
            "version": perdure.__version__,
            "description": "Instances and entities of a task hub over HTTP.",
        },
        "servers": [{"url": origin + WEBHOOK_PATH}],
        "security": [{}, {"code": []}, {"header": []}],
        "paths": {f"/{path}": item for path, item in _paths().items()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                "code": {"type": "apiKey", "in": "query", "name": "code"},
                "header": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
            },
        },
    }
