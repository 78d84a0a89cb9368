"""What autoscalers ask: how much waits, and how many hosts that is work for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from perdure.host.exchange import Request, Response, json_response
from perdure.storage.provider import StoreError

PATH = "/runtime/scale"


class Backlog(Protocol):
    """What waits in a hub; see `storage.postgres.provider.Backlog`."""

    @property
    def waiting(self) -> int: ...
    @property
    def running(self) -> int: ...
    @property
    def instances(self) -> int: ...
    @property
    def oldest(self) -> int: ...
    @property
    def hosts(self) -> int: ...


def recommended_hosts(backlog: Backlog, max_activities: int, max_turns: int) -> int:
    """As many as have slots for all open activities and for all instances with something to do; at least one."""
    activities = -(-(backlog.waiting + backlog.running) // max_activities)
    return max(1, activities, -(-backlog.instances // max_turns))


class ScaleSignals:
    """Answers `/runtime/scale`. `ask` is None where hosts share no database: then there is nothing to scale."""

    def __init__(self, ask: Callable[[], Awaitable[Any]] | None, max_activities: int, max_turns: int) -> None:
        self._ask, self._max_activities, self._max_turns = ask, max_activities, max_turns

    async def __call__(self, request: Request) -> Response:
        """The backlog as JSON; 404 without a shared database, 503 while it does not answer."""
        if request.method != "GET":
            return Response(405, b"", [(b"allow", b"GET")])
        if self._ask is None:
            return json_response(404, {"reason": "Only hosts that share a PostgreSQL database can be scaled out."})
        backlog = await self._ask()
        if isinstance(backlog, StoreError):
            return json_response(503, {"reason": str(backlog)})
        return json_response(
            200,
            {
                "activities": {"waiting": backlog.waiting, "running": backlog.running},
                "instances": backlog.instances,
                "oldestWaitingSeconds": backlog.oldest / 1e6,
                "hosts": backlog.hosts,
                "recommendedHosts": recommended_hosts(backlog, self._max_activities, self._max_turns),
            },
        )
