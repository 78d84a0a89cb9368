from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from perdure.host.loop import LoopClock
from perdure.host.wakes import Datagrams, GatheredWakes
from perdure.storage.provider import HostRow
from perdure.testing.clock import VirtualClock, VirtualTime
from tests.acceptance.host import free_port


def test_what_comes_within_five_milliseconds_is_told_at_once() -> None:
    time = VirtualTime()
    told: list[tuple[float, set[int], dict[int, int]]] = []
    wakes = GatheredWakes(VirtualClock(time), lambda hosts, numbers: told.append((time.now, hosts, numbers)))
    begun = time.now
    wakes.wake(7, 70)
    wakes.wake(7, 71)
    wakes.wake(0)
    time.advance(0)
    assert told == [(begun, {0}, {70: 7, 71: 7})]
    wakes.wake(8, 80)
    time.advance(0.004)
    assert len(told) == 1
    wakes.wake(9, 80)
    time.advance(0.001)
    assert told[1:] == [(begun + 5000, set(), {80: 9})]


class Rows:
    """The part of a store that datagrams need."""

    def __init__(self) -> None:
        self.rows: list[HostRow] = []
        self.asked = self.looked = 0

    def hosts(self, done: Callable[[list[HostRow]], None]) -> None:
        self.asked += 1
        asyncio.get_running_loop().call_soon(done, self.rows)

    def look(self) -> None:
        self.looked += 1


def test_datagrams_reach_the_host_that_is_meant() -> None:
    async def run() -> None:
        rows, heard = Rows(), {1: [], 2: []}  # type: ignore[var-annotated]
        clock = LoopClock(asyncio.get_running_loop())
        ports = {1: free_port(), 2: free_port()}
        rows.rows = [HostRow(token, 1, False, f"0.0.0.0:{port}", "h", {"a": ("b",)}) for token, port in ports.items()]
        rows.rows.append(HostRow(3, 1, False, "", "client", {}))
        ends: dict[int, Any] = {}
        for token, port in ports.items():
            ends[token] = Datagrams("hub", rows, clock, lambda token=token: token, heard[token].append)
            assert await ends[token].open(port)
        client = Datagrams("hub", rows, clock, lambda: 3, heard[1].append)
        await client.open(0)
        client.tell(set(), {20: 2, 21: 2})
        await until(lambda: heard[2] == [[20, 21]])
        client.tell({0}, {30: 0})
        await until(lambda: heard[1] == [[30], []] and heard[2][1:] == [[30], []])
        ends[1].tell({0}, {})
        await until(lambda: len(heard[2]) == 4)
        assert len(heard[1]) == 2, "nobody wakes itself"
        client.tell(set(), {n: 2 for n in range(1, 1000)})
        await until(lambda: heard[2][4:] == [[]])
        assert rows.looked == 7
        stranger = Datagrams("other", rows, clock, lambda: 3, heard[1].append)
        await stranger.open(0)
        stranger.tell({2}, {})
        stranger._transport.sendto(b"\xff rubbish", ("127.0.0.1", ports[2]))  # type: ignore[union-attr]
        client.tell({2}, {})
        await until(lambda: len(heard[2]) == 6)
        for one in (*ends.values(), client, stranger):
            one.close()

    asyncio.run(run())


def test_a_taken_port_leaves_a_host_that_sends_only() -> None:
    async def run() -> None:
        rows = Rows()
        clock = LoopClock(asyncio.get_running_loop())
        heard: list[list[int]] = []
        port = free_port()
        first = Datagrams("hub", rows, clock, lambda: 1, heard.append)
        second = Datagrams("hub", rows, clock, lambda: 2, heard.append)
        assert await first.open(port)
        assert not await second.open(port)
        rows.rows = [HostRow(1, 1, False, f"127.0.0.1:{port}", "h", {"a": ("b",)})]
        second.tell({1}, {})
        await until(lambda: heard == [[]])
        first.close()
        second.close()

    asyncio.run(run())


async def until(done: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + 5
    while not done():
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.002)
