"""`call_http`: a request carried out as an activity; a 202 answer is polled by durable timers, as SDK 2.0 does."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

from perdure.sdk import determinism
from perdure.sdk.atomic_tasks import ActivityTask, TimerTask
from perdure.sdk.compound_tasks import SequenceTask
from perdure.sdk.execution import Execution
from perdure.sdk.serialization import dumps
from perdure.sdk.tasks import SUCCEEDED, TaskBase
from perdure.sdk.types import HTTP_ACTION_NAME, DurableHttpRequest, DurableHttpResponse

#: never sent on to where a 202 points
_NOT_POLLED_WITH = frozenset({"x-functions-key", "content-type", "content-length"})
#: never sent on to another origin
_CREDENTIALS = frozenset({"authorization", "cookie", "proxy-authorization"})


def call_http(
    execution: Execution, method: str, uri: str, content: Any, headers: Any, token_source: Any, is_raw_str: bool
) -> HttpTask:
    """The task of a request. Raises `TypeError` when raw content is no text."""
    if is_raw_str and not isinstance(content, str):
        raise TypeError(
            "Invalid use of 'is_raw_str' parameter: 'is_raw_str' is set to 'True' but 'content' is not an instance "
            "of type 'str'. Either set 'is_raw_str' to 'False', or ensure your 'content' is of type 'str'."
        )
    body = content if content is None or is_raw_str else json.dumps(content)
    request = DurableHttpRequest(method, uri, body, headers, token_source)
    return HttpTask(execution, request.to_json())


class HttpTask(SequenceTask[DurableHttpResponse]):
    """A request, then as long as the answer is 202 with `Location`: a timer and a GET of that location."""

    __slots__ = ("_current", "request")
    call = "context.call_http"

    def __init__(self, execution: Execution, request: dict[str, Any]) -> None:
        self.request = request
        self._current = _attempt(execution, request)
        super().__init__([self._current], execution)

    def child_settled(self, child: TaskBase[Any]) -> bool:
        execution = self._execution
        assert execution is not None
        self._pending -= 1
        if child is not self._current:  # the pause before the next poll is over
            self._current = _attempt(execution, self.request)
            return self._go_on_with(self._current)
        if child.state is not SUCCEEDED:
            return self._finish(child.state, child._value, child.is_played)
        answer = DurableHttpResponse.from_json(child._value)
        location = _header(answer, "location")
        if answer.status_code != 202 or not location or execution.published_timing:
            return self._finish(SUCCEEDED, answer, child.is_played)
        try:
            self.request = poll_request(self.request, location)
        except ValueError:  # a location that is no URL cannot be polled: the 202 itself is the answer
            return self._finish(SUCCEEDED, answer, child.is_played)
        pause = _pause(_header(answer, "retry-after"), execution.now, execution.options.http_poll_milliseconds)
        return self._go_on_with(TimerTask(execution=execution, fire_at=execution.now + pause))

    def describe(self) -> str:
        return f"context.call_http({self.request['method']!r}, {self.request['uri']!r})"


def _attempt(execution: Execution, request: dict[str, Any]) -> ActivityTask[Any]:
    return ActivityTask(execution, HTTP_ACTION_NAME, dumps(request))


def poll_request(request: dict[str, Any], location: str) -> dict[str, Any]:
    """The GET that asks `location` how `request` is going. Credentials stay within their origin."""
    target = urljoin(request["uri"], location)
    same_origin = _origin(target) == _origin(request["uri"])
    dropped = _NOT_POLLED_WITH if same_origin else _NOT_POLLED_WITH | _CREDENTIALS
    headers = {name: value for name, value in (request.get("headers") or {}).items() if name.lower() not in dropped}
    poll: dict[str, Any] = {"method": "GET", "uri": target}
    if headers:
        poll["headers"] = headers
    if same_origin and "tokenSource" in request:
        poll["tokenSource"] = request["tokenSource"]
    return poll


def _origin(uri: str) -> tuple[str, str, int | None]:
    parts = urlsplit(uri)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or {"http": 80, "https": 443}.get(scheme)


def _header(answer: DurableHttpResponse, name: str) -> str | None:
    for key, value in answer.headers.items():
        if key.lower() == name:
            return value[0] if isinstance(value, list) else str(value)
    return None


def _pause(retry_after: str | None, now: int, default_milliseconds: int) -> int:
    """Microseconds until the next poll: seconds or an HTTP date, else the default."""
    if retry_after is not None:
        text = retry_after.strip()
        if text.isdigit():
            return int(text) * 1_000_000
        try:
            return max(0, determinism.to_microseconds(parsedate_to_datetime(text)) - now)
        except (TypeError, ValueError):
            pass
    return default_milliseconds * 1000
