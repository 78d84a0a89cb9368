"""What autoscalers ask: how much waits, and how many hosts that is work for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from perdure.host.http.exchange import Request, Response, json_response
from perdure.host.loop import answer_of
from perdure.storage.provider import Backlog, Provider, StoreError

PATH = "/runtime/scale"


class Capacity(NamedTuple):
    """What one host takes at a time."""

    activities: int
    turns: int


def recommended_hosts(backlog: Backlog, capacity: Capacity) -> int:
    """As many as have slots for all open activities and for all instances with something to do; at least one."""
    activities = -(-(backlog.waiting + backlog.running) // capacity.activities)
    return max(1, activities, -(-backlog.instances // capacity.turns))


class ScaleSignals:
    """Answers `/runtime/scale`. `capacity` is this host's: those to come are like it."""

    def __init__(self, store: Provider, capacity: Callable[[], Capacity]) -> None:
        self._store, self._capacity = store, capacity

    async def __call__(self, request: Request) -> Response:
        """The backlog as JSON; 503 while the store does not answer."""
        if request.method != "GET":
            return Response(405, b"", [(b"allow", b"GET")])
        backlog = await answer_of(self._store.backlog)
        if isinstance(backlog, StoreError):
            return json_response(503, {"reason": str(backlog)})
        return json_response(
            200,
            {
                "activities": {"waiting": backlog.waiting, "running": backlog.running},
                "instances": backlog.instances,
                "oldestWaitingSeconds": backlog.oldest / 1e6,
                "hosts": backlog.hosts,
                "recommendedHosts": recommended_hosts(backlog, self._capacity()),
            },
        )
