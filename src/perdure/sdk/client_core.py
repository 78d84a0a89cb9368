"""What all durable clients share: the binding, links and check-status responses, sending a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from perdure.model.operations import Listed, Operation, OperationAnswer
from perdure.sdk.client_requests import Request, as_response
from perdure.sdk.client_trace import span_headers
from perdure.sdk.client_transport import ClientTransport, client_options, transport
from perdure.sdk.http_calls import delete_async_request, get_async_request, post_async_request, request_sync
from perdure.sdk.management_urls import DurableOrchestrationBindings, links

if TYPE_CHECKING:
    from azure.functions import HttpRequest, HttpResponse


class NoTaskHub(Exception):
    """A client outside a worker was asked for something that only a worker's client can do."""


class HttpManagementPayload(dict[str, str]):
    """The management links of an instance: a dict, `urls` without the id, and JSON as its text."""

    @property
    def urls(self) -> dict[str, str]:
        """The links by name."""
        return {name: value for name, value in self.items() if name != "id"}

    def to_json(self) -> dict[str, str]:
        """The plain dict."""
        return dict(self)

    def __str__(self) -> str:
        return json.dumps(dict(self))


class ClientCore:
    """Binding, links and sending. `context` is the JSON of the binding; building a client does no I/O."""

    def __init__(self, context: str, function_invocation_id: str | None = None) -> None:
        self._orchestration_bindings = DurableOrchestrationBindings.from_json(context)
        self._function_invocation_id = function_invocation_id
        self.task_hub_name = self._orchestration_bindings.task_hub_name
        # user tests replace these three
        self._post_async_request = post_async_request
        self._get_async_request = get_async_request
        self._delete_async_request = delete_async_request

    #: the way to the hub of a client that has one of its own, see `perdure.client`
    _own_transport: ClientTransport | None = None

    def _carrier(self) -> ClientTransport | None:
        return self._own_transport or transport()

    @property
    def _base(self) -> str | None:
        return self._orchestration_bindings.rpc_base_url

    @property
    def _dialect(self) -> int:
        return client_options().dialect

    # -- links

    def get_client_response_links(self, request: HttpRequest | None, instance_id: str) -> dict[str, str]:
        """The management links of an instance, on the host that `request` came to."""
        return self._links(request, instance_id)

    def create_http_management_payload(
        self, instance_id: Any, id: str | None = None, return_internal_server_error_on_failure: bool = False
    ) -> HttpManagementPayload:
        """The management links of an instance; also as `create_http_management_payload(request, id)`."""
        request, identifier = (None, instance_id) if id is None else (instance_id, id)
        if not isinstance(identifier, str):
            raise TypeError(f"instance_id must be a text, got {type(identifier).__name__}")
        return HttpManagementPayload(self._links(request, identifier, return_internal_server_error_on_failure))

    def create_check_status_response(
        self, request: HttpRequest | None, instance_id: str, return_internal_server_error_on_failure: bool = False
    ) -> HttpResponse:
        """The 202 response with the management links that a starter answers with."""
        from azure.functions import HttpResponse

        payload = self._links(request, instance_id, return_internal_server_error_on_failure)
        headers = {
            "Content-Type": "application/json",
            "Location": payload["statusQueryGetUri"],
            "Retry-After": "10",
        }
        return HttpResponse(status_code=202, body=json.dumps(payload), headers=headers)

    def _links(self, request: Any, instance_id: str, failed_is_error: bool = False) -> dict[str, str]:
        url = getattr(request, "url", None)
        headers = getattr(request, "headers", None) if url else None
        bindings = self._orchestration_bindings
        return links(bindings, url, instance_id, headers=headers, failed_is_error=failed_is_error)

    # -- sending

    def _is_replaced(self) -> bool:
        return (
            self._post_async_request is not post_async_request
            or self._get_async_request is not get_async_request
            or self._delete_async_request is not delete_async_request
        )

    async def _send(self, request: Request) -> Any:
        carrier = self._carrier()
        if carrier is not None and not self._is_replaced():
            answer = await carrier.call(request.operation, request.task_hub)
            status, body = as_response(answer, request.view)
        else:
            status, body = await self._send_http(request)
        return request.read(status, body)

    async def _send_list(self, request: Request) -> list[Any]:
        """All pages of a listing, one after the other."""
        if self._carrier() is None or self._is_replaced():
            first: list[Any] = await self._send(request)
            return first
        found: list[Any] = []
        operation: Operation = request.operation
        while True:
            answer = await self._ask(operation)
            status, body = as_response(answer, request.view)
            found += request.read(status, body)
            if not isinstance(answer, Listed) or answer.continuation is None:
                return found
            operation = msgspec.structs.replace(operation, continuation=answer.continuation)

    async def _send_http(self, request: Request) -> Any:
        if request.verb == "GET":
            return await self._get_async_request(request.url)
        if request.verb == "DELETE":
            return await self._delete_async_request(request.url)
        if request.traced:
            parent, state = span_headers()
            return await self._post_async_request(
                request.url, request.data, parent, state, self._function_invocation_id
            )
        return await self._post_async_request(
            request.url, request.data, function_invocation_id=self._function_invocation_id
        )

    async def _ask(self, operation: Operation) -> OperationAnswer:
        """The hub's answer to an operation that has no form of SDK 1.x."""
        carrier = self._carrier()
        if carrier is None:
            raise NoTaskHub(f"{type(operation).__name__} needs a client inside a function that perdure runs")
        return await carrier.call(operation)


class BlockingCore(ClientCore):
    """Sends without an event loop: every coroutine of a client then runs to its end at once."""

    async def _send(self, request: Request) -> Any:
        carrier = self._carrier()
        if carrier is not None:
            status, body = as_response(carrier.call_sync(request.operation, request.task_hub), request.view)
        else:
            status, body = request_sync(request.verb, request.url, request.data)
        return request.read(status, body)

    async def _ask(self, operation: Operation) -> OperationAnswer:
        carrier = self._carrier()
        if carrier is None:
            raise NoTaskHub(f"{type(operation).__name__} needs a client inside a function that perdure runs")
        return carrier.call_sync(operation)
