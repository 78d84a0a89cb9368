"""What autoscalers are told, and how many hosts follow from it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from perdure.host.http.exchange import Request
from perdure.host.http.scale_signals import Capacity, ScaleSignals, recommended_hosts
from perdure.storage.provider import Backlog, StoreError


class Store:
    def __init__(self, answer: Backlog | StoreError) -> None:
        self._answer = answer

    def backlog(self, done: Any) -> None:
        done(self._answer)


def asked(answer: Backlog | StoreError, method: str = "GET") -> tuple[int, Any]:
    scope = {"method": method, "path": "/runtime/scale", "raw_path": b"/runtime/scale", "query_string": b""}
    signals = ScaleSignals(Store(answer), lambda: Capacity(4, 10))  # type: ignore[arg-type]

    async def ask() -> tuple[int, Any]:
        response = await signals(Request({**scope, "headers": []}, None, 0))  # type: ignore[arg-type]
        return response.status, json.loads(response.body or b"null")

    return asyncio.run(ask())


def test_the_answer() -> None:
    assert asked(Backlog(waiting=9, running=4, instances=3, oldest=1_500_000, hosts=2)) == (
        200,
        {
            "activities": {"waiting": 9, "running": 4},
            "instances": 3,
            "oldestWaitingSeconds": 1.5,
            "hosts": 2,
            "recommendedHosts": 4,
        },
    )
    assert asked(StoreError("the database is gone")) == (503, {"reason": "the database is gone"})
    assert asked(Backlog(0, 0, 0, 0, 1), "POST")[0] == 405


@pytest.mark.parametrize(
    ("waiting", "running", "instances", "hosts"),
    [(0, 0, 0, 1), (0, 4, 0, 1), (1, 4, 0, 2), (9, 4, 10, 4), (0, 0, 11, 2), (3, 0, 95, 10)],
)
def test_slots_for_all_open_activities_and_all_instances(
    waiting: int, running: int, instances: int, hosts: int
) -> None:
    assert recommended_hosts(Backlog(waiting, running, instances, 0, 1), Capacity(4, 10)) == hosts
