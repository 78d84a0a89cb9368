"""The durable client's transport: what is asked together travels together, whoever asks."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from perdure.host.protocol.messages import ClientCall, ClientReply
from perdure.host.worker.client import ChannelTransport
from perdure.model.operations import GetInstance, Started


class Channel:
    """Keeps what is posted; `frames` are what went out together."""

    def __init__(self) -> None:
        self.posted: list[ClientCall] = []
        self.frames: list[list[ClientCall]] = []

    def post(self, message: ClientCall) -> None:
        self.posted.append(message)

    def send(self, message: ClientCall) -> None:
        self.posted.append(message)
        self.flush()

    def flush(self) -> None:
        posted, self.posted = self.posted, []
        if posted:
            self.frames.append(posted)


def linked() -> tuple[Any, ChannelTransport]:
    channel: Any = Channel()
    return channel, ChannelTransport(channel)


def replies(calls: list[ClientCall]) -> list[ClientReply]:
    return [ClientReply(call.call, Started(call.operation.instance_id)) for call in calls]  # type: ignore[union-attr]


def test_what_coroutines_ask_in_one_tick_is_one_frame_and_wakes_their_loop_once() -> None:
    channel, transport = linked()
    woken: list[int] = []

    async def scenario() -> list[Any]:
        loop = asyncio.get_running_loop()
        soon = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *call: woken.append(1) or soon(*call)  # type: ignore[method-assign]
        asked = asyncio.gather(*(transport.call(GetInstance(f"i{k}")) for k in range(50)))
        await asyncio.sleep(0.001)
        transport.deliver(replies(channel.frames[0]))
        return await asked

    answers = asyncio.run(scenario())
    assert [answer.instance_id for answer in answers] == [f"i{k}" for k in range(50)]
    assert len(channel.frames) == 1 and len(woken) == 1


def test_a_call_that_is_cancelled_is_forgotten_and_the_next_goes_out() -> None:
    channel, transport = linked()

    async def cancelled() -> None:
        asked = asyncio.ensure_future(transport.call(GetInstance("i1")))
        await asyncio.sleep(0)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        transport.deliver(replies(channel.frames[0]))
        again = asyncio.ensure_future(transport.call(GetInstance("i2")))
        await asyncio.sleep(0.001)
        transport.deliver(replies(channel.frames[1]))
        assert await again == Started("i2")

    asyncio.run(cancelled())


def test_loops_and_threads_get_their_own_answers() -> None:
    channel, transport = linked()
    got: list[Any] = []
    threads = [
        threading.Thread(target=lambda: got.append(transport.call_sync(GetInstance("thread")))),
        threading.Thread(target=lambda: got.append(asyncio.run(_ask(transport, "loop 1")))),
        threading.Thread(target=lambda: got.append(asyncio.run(_ask(transport, "loop 2")))),
    ]
    for thread in threads:
        thread.start()
    while sum(map(len, channel.frames)) < 3:
        threads[0].join(0.001)
    transport.deliver(replies([call for frame in channel.frames for call in frame]))
    for thread in threads:
        thread.join(5)
    assert sorted(answer.instance_id for answer in got) == ["loop 1", "loop 2", "thread"]


async def _ask(transport: ChannelTransport, name: str) -> Any:
    return await transport.call(GetInstance(name))
