"""Small public values: ids, retry policies, statuses, token sources, HTTP request and response of `call_http`."""

from __future__ import annotations

import json
from abc import ABC
from datetime import timedelta
from enum import Enum, IntEnum
from functools import total_ordering
from typing import Any

from perdure.model.instance import entity_scheduler_id

DEFAULT_LOCAL_HOST = "localhost:7071"
DEFAULT_LOCAL_ORIGIN = f"http://{DEFAULT_LOCAL_HOST}"
DATETIME_STRING_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
HTTP_ACTION_NAME = "BuiltIn::HttpActivity"
ORCHESTRATION_TRIGGER = "orchestrationTrigger"
ACTIVITY_TRIGGER = "activityTrigger"
ENTITY_TRIGGER = "entityTrigger"
DURABLE_CLIENT = "durableClient"


class DurableFunctionsCompatibilityWarning(UserWarning):
    """Published category of warnings about the app's shape; perdure never emits it."""


class OrchestrationRuntimeStatus(Enum):
    """The status of an instance as the client reports it."""

    Running = "Running"
    Completed = "Completed"
    ContinuedAsNew = "ContinuedAsNew"
    Failed = "Failed"
    Canceled = "Canceled"
    Terminated = "Terminated"
    Pending = "Pending"
    Suspended = "Suspended"


class HistoryEventType(IntEnum):
    """Numbers of history events in the Durable Task Framework."""

    EXECUTION_STARTED = 0
    EXECUTION_COMPLETED = 1
    EXECUTION_FAILED = 2
    EXECUTION_TERMINATED = 3
    TASK_SCHEDULED = 4
    TASK_COMPLETED = 5
    TASK_FAILED = 6
    SUB_ORCHESTRATION_INSTANCE_CREATED = 7
    SUB_ORCHESTRATION_INSTANCE_COMPLETED = 8
    SUB_ORCHESTRATION_INSTANCE_FAILED = 9
    TIMER_CREATED = 10
    TIMER_FIRED = 11
    ORCHESTRATOR_STARTED = 12
    ORCHESTRATOR_COMPLETED = 13
    EVENT_SENT = 14
    EVENT_RAISED = 15
    CONTINUE_AS_NEW = 16
    GENERIC_EVENT = 17
    HISTORY_STATE = 18
    EXECUTION_SUSPENDED = 19
    EXECUTION_RESUMED = 20


class TaskState(Enum):
    """The state of a task."""

    RUNNING = 0
    SUCCEEDED = 1
    FAILED = 2


class EntityId:
    """Identifies an entity by its name and its key, both kept as given.

    Raises `ValueError` when either is the empty string.
    """

    __slots__ = ("key", "name")

    def __init__(self, name: str, key: str) -> None:
        if name == "":
            raise ValueError("Entity name cannot be empty")
        if key == "":
            raise ValueError("Entity key cannot be empty")
        self.name = name
        self.key = key

    @property
    def entity(self) -> str:
        """The name, as `EntityInstanceId` calls it."""
        return self.name

    @staticmethod
    def get_scheduler_id(entity_id: EntityId) -> str:
        """The instance id of an entity: ``@name@key`` with the name in lower case."""
        return entity_scheduler_id(entity_id.name, entity_id.key)

    @staticmethod
    def get_entity_id(scheduler_id: str) -> EntityId:
        """The entity of a scheduler id. Raises `ValueError` unless it is ``@name@key`` without further ``@``."""
        parts = scheduler_id[1:].split("@")
        if len(parts) != 2:
            raise ValueError("Unexpected format in SchedulerId")
        return EntityId(parts[0], parts[1])

    @staticmethod
    def get_entity_id_url_path(entity_id: EntityId) -> str:
        """The path of the entity in the HTTP API, as given: neither lowered nor quoted."""
        return f"entities/{entity_id.name}/{entity_id.key}"

    def __str__(self) -> str:
        return entity_scheduler_id(self.name, self.key)

    def __repr__(self) -> str:
        return f"EntityId({self.name!r}, {self.key!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntityId) and self.name == other.name and self.key == other.key

    def __hash__(self) -> int:
        return hash((self.name, self.key))


@total_ordering
class EntityInstanceId:
    """Identifies an entity (2.0): the name in lower case. Raises `ValueError` for empty parts or an ``@`` in them."""

    __slots__ = ("entity", "key")

    def __init__(self, entity: str, key: str) -> None:
        for part, value in (("name", entity), ("key", key)):
            if not value:
                raise ValueError(f"Entity {part} cannot be empty")
            if "@" in value:
                raise ValueError(f"Entity {part} cannot contain '@': {value!r}")
        self.entity = entity.lower()
        self.key = key

    @property
    def name(self) -> str:
        """The entity's name, as `EntityId` calls it."""
        return self.entity

    @staticmethod
    def parse(entity_id: str) -> EntityInstanceId:
        """The entity of the text ``@name@key``. Raises `ValueError` on any other text."""
        if not entity_id.startswith("@"):
            raise ValueError(f"Entity id must look like '@name@key', got {entity_id!r}")
        name, separator, key = entity_id[1:].partition("@")
        if not separator:
            raise ValueError(f"Entity id must look like '@name@key', got {entity_id!r}")
        return EntityInstanceId(name, key)

    def __str__(self) -> str:
        return f"@{self.entity}@{self.key}"

    def __repr__(self) -> str:
        return f"EntityInstanceId({self.entity!r}, {self.key!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EntityInstanceId) and str(self) == str(other)

    def __lt__(self, other: object) -> bool:
        return str(self) < str(other) if isinstance(other, EntityInstanceId) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.entity, self.key))


def scheduler_id(entity: EntityId | EntityInstanceId | str) -> str:
    """The instance id of an entity given in any of its spellings. Raises `ValueError` for a text that is none."""
    if isinstance(entity, str):
        name, separator, key = entity[1:].partition("@")
        if not (entity.startswith("@") and name and separator and key):
            raise ValueError(f"Entity id must look like '@name@key', got {entity!r}")
        return entity_scheduler_id(name, key)
    return entity_scheduler_id(entity.name, entity.key)


class RetryPolicy:
    """When to try a failed call again (2.0).

    The delay before attempt k+1 is `first_retry_interval * backoff_coefficient ** (k - 1)`, at most
    `max_retry_interval`; nothing is tried again once `retry_timeout` has passed since the first attempt began.
    Raises `ValueError` on values that make no sense.
    """

    def __init__(
        self,
        *,
        first_retry_interval: timedelta,
        max_number_of_attempts: int,
        backoff_coefficient: float | None = 1.0,
        max_retry_interval: timedelta | None = None,
        retry_timeout: timedelta | None = None,
    ) -> None:
        if first_retry_interval < timedelta(0):
            raise ValueError("first_retry_interval must be >= 0")
        if max_number_of_attempts < 1:
            raise ValueError("max_number_of_attempts must be >= 1")
        if backoff_coefficient is not None and backoff_coefficient < 1:
            raise ValueError("backoff_coefficient must be >= 1")
        if max_retry_interval is not None and max_retry_interval < timedelta(0):
            raise ValueError("max_retry_interval must be >= 0")
        if retry_timeout is not None and retry_timeout < timedelta(0):
            raise ValueError("retry_timeout must be >= 0")
        self._set(first_retry_interval, max_number_of_attempts, backoff_coefficient, max_retry_interval, retry_timeout)

    def _set(
        self,
        first_retry_interval: timedelta,
        max_number_of_attempts: int,
        backoff_coefficient: float | None,
        max_retry_interval: timedelta | None,
        retry_timeout: timedelta | None,
    ) -> None:
        self._first_retry_interval = first_retry_interval
        self._max_number_of_attempts = max_number_of_attempts
        self._backoff_coefficient = 1.0 if backoff_coefficient is None else float(backoff_coefficient)
        self._max_retry_interval = max_retry_interval
        self._retry_timeout = retry_timeout

    @property
    def first_retry_interval(self) -> timedelta:
        """The delay after the first failure."""
        return self._first_retry_interval

    @property
    def max_number_of_attempts(self) -> int:
        """How often the call is tried in all."""
        return self._max_number_of_attempts

    @property
    def backoff_coefficient(self) -> float:
        """The factor from one delay to the next."""
        return self._backoff_coefficient

    @property
    def max_retry_interval(self) -> timedelta | None:
        """The longest delay, None for no limit."""
        return self._max_retry_interval

    @property
    def retry_timeout(self) -> timedelta | None:
        """How long after the first attempt began a retry may start, None for no limit."""
        return self._retry_timeout

    def delay_after(self, failures: int) -> timedelta:
        """The delay between failed attempt `failures` (from 1) and the next."""
        limit = self._max_retry_interval if self._max_retry_interval is not None else _LONGEST_DELAY
        try:
            delay = self._first_retry_interval * self._backoff_coefficient ** (failures - 1)
        except OverflowError:
            return limit
        return min(delay, limit)


_LONGEST_DELAY = timedelta(days=36500)


class RetryOptions(RetryPolicy):
    """When to try a failed call again: a constant interval in milliseconds and a number of attempts.

    The keyword arguments are the rest of the full policy. Raises `ValueError` for an interval that is not positive;
    a number of attempts below 1 counts as 1.
    """

    def __init__(
        self,
        first_retry_interval_in_milliseconds: int,
        max_number_of_attempts: int,
        *,
        backoff_coefficient: float = 1.0,
        max_retry_interval_in_milliseconds: int | None = None,
        retry_timeout_in_milliseconds: int | None = None,
    ) -> None:
        if first_retry_interval_in_milliseconds <= 0:
            raise ValueError("first_retry_interval_in_milliseconds value must be greater than 0.")
        if backoff_coefficient < 1:
            raise ValueError("backoff_coefficient must be >= 1")
        self._first_retry_interval_in_milliseconds = first_retry_interval_in_milliseconds
        self._set(
            timedelta(milliseconds=first_retry_interval_in_milliseconds),
            max_number_of_attempts,
            backoff_coefficient,
            _milliseconds(max_retry_interval_in_milliseconds),
            _milliseconds(retry_timeout_in_milliseconds),
        )

    @property
    def first_retry_interval_in_milliseconds(self) -> int:
        """The first retry interval in milliseconds."""
        return self._first_retry_interval_in_milliseconds

    def to_json(self) -> dict[str, str | int]:
        """The two published fields as a JSON object."""
        return {
            "firstRetryIntervalInMilliseconds": self._first_retry_interval_in_milliseconds,
            "maxNumberOfAttempts": self._max_number_of_attempts,
        }


def _milliseconds(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(milliseconds=value)


class TokenSource(ABC):  # noqa: B024  (published as an ABC without abstract methods)
    """Base of what gives `call_http` a bearer token."""


class ManagedIdentityTokenSource(TokenSource):
    """Tokens of the identity that the app runs under, for `resource`."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._kind = "AzureManagedIdentity"

    @property
    def resource(self) -> str:
        """The resource that the token is for, such as ``https://management.core.windows.net``."""
        return self._resource

    def to_json(self) -> dict[str, str | int]:
        """The token source as a JSON object."""
        return {"resource": self._resource, "kind": self._kind}


class DurableHttpRequest:
    """A request of `call_http`."""

    def __init__(
        self,
        method: str,
        uri: str,
        content: str | None = None,
        headers: dict[str, str] | None = None,
        token_source: TokenSource | None = None,
    ) -> None:
        self._method = method
        self._uri = uri
        self._content = content
        self._headers = headers
        self._token_source = token_source

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self._method

    @property
    def uri(self) -> str:
        """The absolute URL."""
        return self._uri

    @property
    def content(self) -> str | None:
        """The body, None for none."""
        return self._content

    @property
    def headers(self) -> dict[str, str] | None:
        """The request headers."""
        return self._headers

    @property
    def token_source(self) -> TokenSource | None:
        """What gives the bearer token."""
        return self._token_source

    def to_json(self) -> dict[str, Any]:
        """The request as a JSON object."""
        result: dict[str, Any] = {
            "method": self._method,
            "uri": self._uri,
            "content": self._content,
            "headers": self._headers,
        }
        if self._token_source is not None:
            result["tokenSource"] = self._token_source.to_json()  # type: ignore[attr-defined]
        return result


class DurableHttpResponse(dict[str, Any]):
    """The answer to `call_http`: a dict with `statusCode`, `headers` and `content`, and the 2.0 attributes."""

    def __init__(self, status_code: int, content: str | None = None, headers: dict[str, Any] | None = None) -> None:
        super().__init__(statusCode=status_code, headers=dict(headers or {}), content=content)

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return int(self["statusCode"])

    @property
    def headers(self) -> dict[str, Any]:
        """The response headers; a repeated header is a list."""
        headers: dict[str, Any] = self["headers"]
        return headers

    @property
    def content(self) -> str | None:
        """The body as text, not parsed."""
        content: str | None = self["content"]
        return content

    def to_json(self) -> dict[str, Any]:
        """The plain dict."""
        return dict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any] | str) -> DurableHttpResponse:
        """The response from its dict or the JSON text of it."""
        fields = json.loads(data) if isinstance(data, str) else data
        status = fields["statusCode"] if "statusCode" in fields else fields["status_code"]
        return cls(status, fields.get("content"), fields.get("headers"))


class FunctionContext:
    """A bag: every keyword becomes an attribute."""

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update(kwargs)
