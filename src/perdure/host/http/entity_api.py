"""The part of the webhook API that reads, signals and lists entities."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from perdure.host.http.api_errors import EMPTY, listing_refused, message, refusal
from perdure.host.http.exchange import JSON_TYPE, Request, Response, json_response, media_type
from perdure.host.http.json_body import json_text
from perdure.host.http.query_values import Parameters
from perdure.model.history_view import full_time, raw_payload
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord, entity_scheduler_id
from perdure.model.operations import (
    EntityFound,
    Listed,
    ListInstances,
    Operation,
    OperationAnswer,
    ReadEntity,
    Refused,
    SignalEntityOperation,
)

_PAGE = 100
_LARGEST_PAGE = 1000
_EMPTY_KEY = "$"


class EntityApi:
    """Answers what comes below `entities/`."""

    def __init__(self, ask: Callable[[Operation, str], Awaitable[OperationAnswer]], forwarded: bool = False) -> None:
        self._ask, self._forwarded = ask, forwarded

    async def __call__(
        self, request: Request, parameters: Parameters, hub: str, method: str, rest: list[str]
    ) -> Response:
        """Answer one request; `rest` is what follows `entities` in the path."""
        match [method, *rest]:
            case ["POST" | "DELETE"] | ["GET" | "POST" | "DELETE", "", *_]:
                return message(400, "The name of the entity is missing from the path.")
            case [_, name, _] if "@" in name:
                # the id "@a@b@c" is that of the entity "a"
                return EMPTY[404] if method == "GET" else message(400, f"There is no entity function '{name}'.")
            case ["GET", name, key]:
                return await self._read(hub, name, key)
            case ["GET"]:
                return await self._list(request, parameters, hub, None)
            case ["GET", name]:
                return await self._list(request, parameters, hub, name)
            case ["POST", name, *key]:
                operation = parameters.verbatim("op") or ""
                return await self._signal(request, hub, name, "".join(key), operation, "")
            case ["DELETE", name, *key]:
                by = request.address(self._forwarded)
                return await self._signal(request, hub, name, "".join(key), "delete", by)
            case _:
                return EMPTY[404]

    async def _read(self, hub: str, name: str, key: str) -> Response:
        entity = entity_scheduler_id(name, "" if key == _EMPTY_KEY else key)
        answer = await self._ask(ReadEntity(entity), hub)
        if isinstance(answer, Refused):
            return refusal(answer)
        assert isinstance(answer, EntityFound), answer
        if not answer.exists:
            return EMPTY[404]
        return Response(200, bytes(raw_payload(answer.state)), [JSON_TYPE])

    async def _signal(self, request: Request, hub: str, name: str, key: str, operation: str, by: str) -> Response:
        key = "" if key == _EMPTY_KEY else key
        body = await request.body()
        text: str | None = None
        if body and media_type(request.headers.get("content-type")) == "application/json":
            text, wrong = json_text(body)
            if wrong is not None:
                return message(400, f"Could not parse JSON content: {wrong}")
        elif body:
            text = msgspec.json.encode(body.decode("utf-8", "replace")).decode("utf-8")
        entity = entity_scheduler_id(name, key)
        signal = SignalEntityOperation(entity, operation, text, trace=request.trace, by=by)
        answer = await self._ask(signal, hub)
        if isinstance(answer, Refused):
            # the published API answers an unknown entity name in the short shape
            return message(400, answer.text) if refusal(answer).status == 400 else refusal(answer)
        return EMPTY[202]

    async def _list(self, request: Request, parameters: Parameters, hub: str, name: str | None) -> Response:
        chosen = InstanceFilter(
            kinds=(InstanceKind.ENTITY,),
            id_prefix=None if name is None else f"@{name.lower()}@",
        )
        token = request.headers.get("x-ms-continuation-token") or None
        top = min(parameters.count("top", _PAGE), _LARGEST_PAGE)
        answer = await self._ask(ListInstances(chosen, top, token), hub)
        if isinstance(answer, Refused):
            return listing_refused(answer, token)
        assert isinstance(answer, Listed), answer
        first, last = parameters.time("lastOperationTimeFrom"), parameters.time("lastOperationTimeTo")
        with_state = parameters.flag("fetchState", False)
        items = [
            entity_json(record, with_state)
            for record in answer.items
            if record.state is not None
            and (first is None or record.updated >= first)
            and (last is None or record.updated <= last)
        ]
        headers = [(b"x-ms-continuation-token", (answer.continuation or "").encode("latin-1"))]
        return json_response(200, items, headers)


def entity_json(record: InstanceRecord, with_state: bool) -> dict[str, Any]:
    """One entity of a listing."""
    _, name, key = record.instance_id.split("@", 2)
    return {
        "entityId": {"name": name, "key": key},
        "lastOperationTime": full_time(record.updated or record.created),
        "state": raw_payload(record.state if with_state else None),
    }
