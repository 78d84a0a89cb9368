"""The webhook API under /runtime/webhooks/durabletask: instances and entities over HTTP (http-api.md 1 to 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from perdure.host.http.api_errors import (
    EMPTY,
    bad_argument,
    bad_json,
    conflict,
    listing_refused,
    message,
    refusal,
)
from perdure.host.http.entity_api import EntityApi
from perdure.host.http.exchange import JSON_TYPE, ClientGone, Request, Response, json_response, media_type
from perdure.host.http.json_body import json_text
from perdure.host.http.links import WEBHOOK_PATH, LinkTerms, management_links
from perdure.host.http.openapi import document
from perdure.host.http.operations_api import carry_out
from perdure.host.http.query_values import BadParameter, Parameters, status_in_any_case, unfit
from perdure.model.history_view import raw_payload, status_json
from perdure.model.instance import STATUS_BY_LABEL, InstanceFilter, InstanceKind, InstanceRecord, RuntimeStatus
from perdure.model.operations import (
    Counted,
    CountInstances,
    Found,
    GetInstance,
    Listed,
    ListInstances,
    Operation,
    OperationAnswer,
    Purged,
    PurgeInstance,
    PurgeInstances,
    RaiseEvent,
    RefusalCode,
    Refused,
    RestartInstance,
    ResumeInstance,
    RewindInstance,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)

#: asks the hub of a name; "" is the app's own
Ask = Callable[[Operation, str], Awaitable[OperationAnswer]]

CONTINUATION = b"x-ms-continuation-token"
LARGEST_PAGE = 1000
_PAGE = 100
_WAIT_PAUSE = 0.1
#: seconds that a status request waits for the end at most
LONGEST_WAIT = 300.0
_CONTROL = {
    "terminate": TerminateInstance,
    "suspend": SuspendInstance,
    "resume": ResumeInstance,
    "rewind": RewindInstance,
}


class ManagementApi:
    """Answers the requests below the webhook path. Malformed input never gives a 500."""

    def __init__(
        self,
        ask: Ask,
        *,
        task_hub: str,
        code: str,
        forwarded: bool = False,
        show_task_inputs: bool = False,
        elsewhere: Callable[[str], Ask | None] = lambda connection: None,
    ) -> None:
        """`elsewhere` finds the way to the store that the setting `connection` holds."""
        self._elsewhere = elsewhere
        self._ask = ask
        self._task_hub = task_hub
        self._code = code
        self._forwarded = forwarded
        self._show_task_inputs = show_task_inputs
        self._entities = EntityApi(ask, forwarded)
        self._closing = asyncio.Event()

    def end_waits(self) -> None:
        """Requests that wait for the end of an instance are answered now: the host stops."""
        self._closing.set()

    async def __call__(self, request: Request) -> Response:
        """Answer one request; its path begins with `WEBHOOK_PATH`."""
        segments = request.segments()[3:]
        parameters = Parameters(request.query())
        hub = parameters.text("taskHub") or ""
        connection = parameters.text("connection")
        ask = self._elsewhere(connection) if connection else None
        if ask is not None:
            there = ManagementApi(
                ask,
                task_hub=self._task_hub,
                code=self._code,
                forwarded=self._forwarded,
                show_task_inputs=self._show_task_inputs,
            )
            there._closing = self._closing
            return await there(request)
        try:
            match [request.method, segments[0].lower() if segments else "", *segments[1:]]:
                case ["GET", "instances", instance_id]:
                    return await self._status(request, parameters, hub, instance_id)
                case ["POST", "orchestrators", name]:
                    return await self._start(request, parameters, hub, name, None)
                case ["POST", "orchestrators", name, instance_id]:
                    return await self._start(request, parameters, hub, name, instance_id)
                case ["GET", "instances"]:
                    return await self._list(request, parameters, hub)
                case ["DELETE", "instances"]:
                    return await self._purge_many(request, parameters, hub)
                case ["DELETE", "instances", instance_id]:
                    return await self._purge(request, hub, instance_id)
                case ["POST", "instances", instance_id, operation]:
                    return await self._control(request, parameters, hub, instance_id, operation.lower())
                case ["POST", "instances", instance_id, operation, event] if operation.lower() == "raiseevent":
                    return await self._raise_event(request, hub, instance_id, event)
                case ["GET", "counts"]:
                    return await self._counts(parameters, hub)
                case ["GET", "openapi.json"]:
                    return json_response(200, document(request.origin(self._forwarded)))
                case ["POST", "operations"]:
                    return await carry_out(request, self._ask, hub, request.address(self._forwarded))
                case [method, "entities", *rest] if len(rest) <= 2:
                    return await self._entities(request, parameters, hub, method, rest)
                case ["GET" | "PUT" | "POST" | "DELETE" | "OPTIONS", "makeprimary"]:
                    return conflict("Cannot make current app primary. This app is not using the AppLease feature.")
                case _:
                    return EMPTY[404]
        except BadParameter as error:
            return bad_argument(str(error))

    # one instance

    async def _status(self, request: Request, parameters: Parameters, hub: str, instance_id: str) -> Response:
        with_history = parameters.flag("showHistory", False)
        wait = parameters.seconds("wait")
        if wait:
            await self._finished(request, instance_id, hub, min(wait, LONGEST_WAIT), _WAIT_PAUSE)
        answer = await self._ask(GetInstance(instance_id, with_history), hub)
        if not isinstance(answer, Found):
            return _unexpected(answer)
        record = answer.record
        body = msgspec.json.encode(
            status_json(
                record,
                answer.history,
                show_input=parameters.flag("showInput", True),
                show_history=with_history,
                show_history_output=parameters.flag("showHistoryOutput", False),
                show_task_inputs=self._show_task_inputs,
            )
        )
        if not record.status.is_terminal:
            url = f"{request.origin(self._forwarded)}{request.raw_path.decode('latin-1')}"
            query = request.raw_query.decode("latin-1")
            location = f"{url}?{query}" if query else url
            return Response(202, body, [JSON_TYPE, (b"location", location.encode("latin-1")), (b"retry-after", b"5")])
        failed = record.status is RuntimeStatus.FAILED
        as_error = failed and parameters.flag("returnInternalServerErrorOnFailure", False)
        return Response(500 if as_error else 200, body, [JSON_TYPE])

    async def _start(
        self, request: Request, parameters: Parameters, hub: str, name: str, instance_id: str | None
    ) -> Response:
        wait, pause = _waiting(parameters)
        text, wrong = json_text(await request.body())
        if wrong is not None:
            return bad_json(wrong)
        key = request.headers.get("idempotency-key")
        answer = await self._ask(
            StartInstance(
                name,
                instance_id or None,
                text,
                parameters.text("version"),
                idempotency_key=key,
                trace=request.trace,
            ),
            hub,
        )
        return await self._started(request, parameters, hub, answer, wait, pause)

    async def _started(
        self,
        request: Request,
        parameters: Parameters,
        hub: str,
        answer: OperationAnswer,
        wait: float | None,
        pause: float,
    ) -> Response:
        if not isinstance(answer, Started):
            return _unexpected(answer)
        if wait is not None:
            record = await self._finished(request, answer.instance_id, hub, wait, pause)
            if record is not None and record.status is RuntimeStatus.COMPLETED:
                return Response(200, bytes(raw_payload(record.output)), [JSON_TYPE])
            if record is not None:
                return json_response(200, status_json(record, None))
        terms = LinkTerms(
            base=request.origin(self._forwarded) + WEBHOOK_PATH,
            task_hub=hub or self._task_hub,
            code=parameters.text("code") or request.headers.get("x-functions-key") or self._code,
            **({"connection": connection} if (connection := parameters.text("connection")) else {}),
        )
        links = management_links(terms, answer.instance_id, rewind=False)
        if parameters.flag("returnInternalServerErrorOnFailure", False):
            links["statusQueryGetUri"] += "&returnInternalServerErrorOnFailure=true"
        location = links["statusQueryGetUri"].encode("ascii")
        return json_response(202, links, [(b"location", location), (b"retry-after", b"10")])

    async def _finished(
        self, request: Request, instance_id: str, hub: str, wait: float, pause: float
    ) -> InstanceRecord | None:
        """The record of an instance once it has ended, None if it has not within `wait` seconds.

        Raises `ClientGone`: nobody looks on for a client that is no longer there.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        gone = asyncio.ensure_future(request.gone())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while True:
                answer = await self._ask(GetInstance(instance_id), hub)
                if isinstance(answer, Found) and answer.record.status.is_terminal:
                    return answer.record
                left = deadline - loop.time()
                if left <= 0 or isinstance(answer, Refused) or self._closing.is_set():
                    return None
                await asyncio.wait((gone, closing), timeout=min(pause, left), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise ClientGone
        finally:
            gone.cancel()
            closing.cancel()

    async def _raise_event(self, request: Request, hub: str, instance_id: str, event: str) -> Response:
        problem: Response | None = None
        body = await request.body()
        if media_type(request.headers.get("content-type")) != "application/json":
            problem = message(400, "Only application/json request content is supported")
        text, wrong = json_text(body)
        if problem is None and wrong is not None:
            problem = bad_json(wrong)
        if problem is not None:
            # what the instance says comes first: 404 and 410 win over a wrong body
            answer = await self._ask(GetInstance(instance_id), hub)
            if not isinstance(answer, Found):
                return _unexpected(answer)
            return EMPTY[410] if answer.record.status.is_terminal else problem
        raised = RaiseEvent(instance_id, event, "null" if text is None else text, trace=request.trace)
        return _done(await self._ask(raised, hub))

    async def _control(
        self, request: Request, parameters: Parameters, hub: str, instance_id: str, operation: str
    ) -> Response:
        if operation == "restart":
            wait, pause = _waiting(parameters)
            _, wrong = json_text(await request.body())
            if wrong is not None:
                return bad_json(wrong)
            new_id = parameters.flag("restartWithNewInstanceId", True)
            address = request.address(self._forwarded)
            answer = await self._ask(RestartInstance(instance_id, new_id, request.trace, address), hub)
            if isinstance(answer, Refused) and answer.code is RefusalCode.NOT_FOUND:
                return unknown_to_restart(instance_id)
            return await self._started(request, parameters, hub, answer, wait, pause)
        kind = _CONTROL.get(operation)
        if kind is None:
            return EMPTY[404]
        asked = kind(instance_id, parameters.verbatim("reason"), by=request.address(self._forwarded))
        return _done(await self._ask(asked, hub))

    # many instances

    async def _list(self, request: Request, parameters: Parameters, hub: str) -> Response:
        top = min(parameters.count("top", _PAGE), LARGEST_PAGE)
        token = request.headers.get(CONTINUATION.decode()) or None
        answer = await self._ask(ListInstances(_filter(parameters), top, token), hub)
        if isinstance(answer, Refused):
            return listing_refused(answer, token)
        assert isinstance(answer, Listed), answer
        show_input = parameters.flag("showInput", True)
        items = [status_json(record, None, show_input=show_input) for record in answer.items]
        return json_response(200, items, [(CONTINUATION, (answer.continuation or "").encode("latin-1"))])

    async def _counts(self, parameters: Parameters, hub: str) -> Response:
        by_name = parameters.flag("byName", True)
        answer = await self._ask(CountInstances(_filter(parameters), by_name), hub)
        if not isinstance(answer, Counted):
            return _unexpected(answer)
        by_status: dict[str, int] = {}
        for of_name in answer.counts.values():
            for label, count in of_name.items():
                by_status[label] = by_status.get(label, 0) + count
        names = {"byName": answer.counts} if by_name else {}
        return json_response(200, {"total": sum(by_status.values()), "byStatus": by_status, **names})

    async def _purge(self, request: Request, hub: str, instance_id: str) -> Response:
        answer = await self._ask(PurgeInstance(instance_id, by=request.address(self._forwarded)), hub)
        if not isinstance(answer, Purged):
            return _unexpected(answer)
        return json_response(200, {"instancesDeleted": answer.instances}) if answer.instances else EMPTY[404]

    async def _purge_many(self, request: Request, parameters: Parameters, hub: str) -> Response:
        created_from = parameters.time("createdTimeFrom")
        if created_from is None:
            return json_response(400, "Please provide value for 'createdTimeFrom' parameter.")
        include_running = parameters.flag("includeRunning", False)
        statuses = _statuses_to_purge(parameters)
        # entities, too, where the published host deletes them: whoever names statuses means orchestrations
        everything = include_running and not statuses
        chosen = InstanceFilter(
            created_from=created_from,
            created_to=parameters.time_if_given("createdTimeTo"),
            statuses=statuses,
            kinds=() if everything else (InstanceKind.ORCHESTRATION,),
        )
        dry_run = parameters.flag("dryRun", False)
        asked = PurgeInstances(chosen, include_running, dry_run, by=request.address(self._forwarded))
        answer = await self._ask(asked, hub)
        if not isinstance(answer, Purged):
            return _unexpected(answer)
        if dry_run:
            return json_response(200, {"instancesDeleted": answer.instances, "dryRun": True})
        return json_response(200, {"instancesDeleted": answer.instances}) if answer.instances else EMPTY[404]


def _filter(parameters: Parameters) -> InstanceFilter:
    """Which instances a list or a count means. Raises `BadParameter`."""
    return InstanceFilter(
        created_from=parameters.time("createdTimeFrom"),
        created_to=parameters.time("createdTimeTo"),
        statuses=parameters.statuses(),
        id_prefix=parameters.text("instanceIdPrefix"),
        name_prefix=parameters.text("namePrefix"),
        parent_id=parameters.text("parentInstanceId"),
        tags=parameters.tags("tag"),
    )


def _statuses_to_purge(parameters: Parameters) -> tuple[int, ...]:
    """Raises `BadParameter` for what is no status: a purge must not delete more than was meant."""
    chosen: dict[int, None] = {}
    for value in parameters.all("runtimeStatus"):
        for part in filter(None, (piece.strip() for piece in value.split(","))):
            status = status_in_any_case(part)
            if status is None:
                raise unfit("runtimeStatus", part, f"is not a runtime status. Expected {', '.join(STATUS_BY_LABEL)}.")
            chosen[int(status)] = None
    return tuple(chosen)


def _waiting(parameters: Parameters) -> tuple[float | None, float]:
    """How long a start waits for the end, and how often it looks. Raises `BadParameter`."""
    timeout, pause = parameters.seconds("timeout"), parameters.seconds("pollingInterval")
    if timeout is None:
        return None, _WAIT_PAUSE
    if pause is not None and pause > timeout:
        raise BadParameter(f"Total timeout {timeout:g} should be bigger than retry timeout {pause:g}")
    return timeout, max(pause, 0.01) if pause is not None else _WAIT_PAUSE


def unknown_to_restart(instance_id: str) -> Response:
    """400 for the restart of an id that nobody has; the misspelling is the published one."""
    return json_response(
        400,
        {
            "Message": "InstanceId does not match a valid orchestration instance.",
            "ExceptionMessage": f"An orchestrastion with the instanceId {instance_id} was not found.",
            "ExceptionType": "System.ArgumentException",
            "StackTrace": "",
        },
    )


def _done(answer: OperationAnswer) -> Response:
    return refusal(answer) if isinstance(answer, Refused) else EMPTY[202]


def _unexpected(answer: OperationAnswer) -> Response:
    assert isinstance(answer, Refused), answer
    return refusal(answer)
