"""URLs that clients hand out and call: the binding's JSON, the link payload, the requests of SDK 1.x."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlsplit

from perdure.sdk.types import DATETIME_STRING_FORMAT, EntityId, FunctionContext, OrchestrationRuntimeStatus


class DurableOrchestrationBindings:
    """The JSON of a durable client binding. Unknown keys are attributes of `client_data`."""

    def __init__(
        self,
        taskHubName: str,
        creationUrls: dict[str, str],
        managementUrls: dict[str, str],
        rpcBaseUrl: str | None = None,
        **kwargs: Any,
    ) -> None:
        self._task_hub_name = taskHubName
        self._creation_urls = creationUrls
        self._management_urls = managementUrls
        self._rpc_base_url = rpcBaseUrl
        self._client_data = FunctionContext(**kwargs)

    @property
    def task_hub_name(self) -> str:
        """The task hub."""
        return self._task_hub_name

    @property
    def creation_urls(self) -> dict[str, str]:
        """URL templates that start instances."""
        return self._creation_urls

    @property
    def management_urls(self) -> dict[str, str]:
        """URL templates that manage the instance with the placeholder id."""
        return self._management_urls

    @property
    def rpc_base_url(self) -> str | None:
        """Base of the requests of SDK 1.x, with a trailing slash."""
        return self._rpc_base_url

    @property
    def client_data(self) -> FunctionContext:
        """Further keys of the binding."""
        return self._client_data

    @classmethod
    def from_json(cls, json_string: str) -> DurableOrchestrationBindings:
        """The binding from its JSON text. Raises `TypeError` when a required key is missing."""
        return cls(**json.loads(json_string))


def utc_text(time: datetime) -> str:
    """A time in the published format; an aware one is converted to UTC, a naive one is taken as UTC."""
    return (time.astimezone(timezone.utc) if time.tzinfo is not None else time).strftime(DATETIME_STRING_FORMAT)


class RpcManagementOptions:
    """The query of one management request; `to_url` builds it."""

    def __init__(
        self,
        instance_id: str | None = None,
        task_hub_name: str | None = None,
        connection_name: str | None = None,
        show_history: bool | None = None,
        show_history_output: bool | None = None,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: list[OrchestrationRuntimeStatus] | None = None,
        show_input: bool | None = None,
        operation_name: str | None = None,
        entity_Id: EntityId | None = None,
        instance_id_prefix: str | None = None,
    ) -> None:
        self._instance_id = instance_id
        self._task_hub_name = task_hub_name
        self._connection_name = connection_name
        self._show_history = show_history
        self._show_history_output = show_history_output
        self._created_time_from = created_time_from
        self._created_time_to = created_time_to
        self._runtime_status = runtime_status
        self._show_input = show_input
        self.operation_name = operation_name
        self.entity_Id = entity_Id
        self._instance_id_prefix = instance_id_prefix

    def to_url(self, base_url: str | None) -> str:
        """The URL below `base_url`. Raises `ValueError` without one."""
        if base_url is None:
            raise ValueError("orchestration bindings has not RPC base url")
        if self.entity_Id:
            path = f"entities/{_segment(self.entity_Id.name)}/{_segment(self.entity_Id.key)}"
        else:
            path = f"instances/{_segment(self._instance_id or '')}"
        pairs: list[tuple[str, Any]] = [
            ("taskHub", self._task_hub_name),
            ("connectionName", self._connection_name),
            ("showInput", self._show_input),
            ("showHistory", self._show_history),
            ("showHistoryOutput", self._show_history_output),
            ("createdTimeFrom", self._created_time_from and utc_text(self._created_time_from)),
            ("createdTimeTo", self._created_time_to and utc_text(self._created_time_to)),
            ("op", self.operation_name),
        ]
        if not self.entity_Id and not self._instance_id:
            pairs.append(("instanceIdPrefix", self._instance_id_prefix))
        pairs.append(("runtimeStatus", ",".join(status.value for status in self._runtime_status or [])))
        return base_url + path + query_text(pairs)


def _segment(text: str) -> str:
    """A path segment; what the published client sends bare stays bare."""
    return quote(text, safe="@:!$&'()*+,;=~")


def query_text(pairs: list[tuple[str, Any]]) -> str:
    """``?a=1&b=2`` of the pairs that have a value; empty when none has."""
    parts = [f"{name}={quote(str(value), safe=_QUERY_SAFE)}" for name, value in pairs if value]
    return "?" + "&".join(parts) if parts else ""


_QUERY_SAFE = "/:,@!$'()*;~"


def instance_url(base_url: str | None, instance_id: str, operation: str = "", query: str = "") -> str:
    """The URL of an operation on one instance."""
    path = f"instances/{_segment(instance_id)}"
    return f"{base_url}{path}/{operation}{query}" if operation else f"{base_url}{path}{query}"


def start_url(base_url: str | None, name: str, instance_id: str | None, version: str | None) -> str:
    """The URL that starts an instance."""
    path = f"orchestrators/{_segment(name)}" + (f"/{_segment(instance_id)}" if instance_id is not None else "")
    return f"{base_url}{path}" + (f"?version={quote(version)}" if version is not None else "")


def links(
    bindings: DurableOrchestrationBindings,
    request_url: str | None,
    instance_id: str,
    *,
    headers: Mapping[str, str] | None = None,
    failed_is_error: bool = False,
) -> dict[str, str]:
    """The management links of an instance; scheme and host are those of the request when there is one.

    `headers` are looked at for the forwarded host only when the binding says ``useForwardedHost``.
    """
    origin = _origin(request_url) if request_url else ""
    if origin and headers is not None and getattr(bindings.client_data, "useForwardedHost", False):
        origin = _forwarded_origin(headers) or origin
    placeholder = bindings.management_urls["id"]
    result = {}
    for key, value in bindings.management_urls.items():
        own = _origin(value) if origin else ""
        result[key] = (value.replace(own, origin) if own else value).replace(placeholder, instance_id)
    if failed_is_error:
        url = result["statusQueryGetUri"]
        result["statusQueryGetUri"] = f"{url}{'&' if '?' in url else '?'}returnInternalServerErrorOnFailure=true"
    return result


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/" if parts.netloc else ""


def _forwarded_origin(headers: Mapping[str, str]) -> str:
    """From ``X-Forwarded-Host`` and ``X-Forwarded-Proto`` (both, first values), else from ``Forwarded``."""
    host, scheme = headers.get("x-forwarded-host"), headers.get("x-forwarded-proto")
    if not (host and scheme):
        first = (headers.get("forwarded") or "").split(",")[0]
        fields = dict(part.strip().lower().partition("=")[::2] for part in first.split(";") if "=" in part)
        host, scheme = fields.get("host", "").strip('"'), fields.get("proto", "").strip('"')
    if not (host and scheme):
        return ""
    return f"{scheme.split(',')[0].strip()}://{host.split(',')[0].strip()}/"
