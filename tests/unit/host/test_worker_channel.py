"""Both ends of the channel over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

from perdure.host.protocol.messages import (
    BeginTurn,
    DropSession,
    Heartbeat,
    HttpAnswer,
    HttpInvocation,
    LogLine,
    StopWorker,
)
from perdure.host.supervision.channel import HostChannel
from perdure.host.worker.channel import WorkerChannel
from perdure.model.execution import TurnRequest


async def linked(on_host, on_worker):
    ours, theirs = socket.socketpair()
    worker = WorkerChannel(theirs)
    closed = asyncio.Event()
    host = HostChannel(on_host, closed.set)
    thread = threading.Thread(target=lambda: worker.serve(lambda m: on_worker(worker, m), lambda: 1.0), daemon=True)
    thread.start()
    await host.open(ours)
    return host, worker, thread, closed


def test_messages_of_many_threads_arrive_once_and_in_the_order_of_each() -> None:
    async def scenario() -> None:
        got: list = []
        host, worker, thread, closed = await linked(got.extend, lambda *_: None)

        def talk(name: str) -> None:
            for number in range(300):
                worker.send(LogLine(number, 20, "x" * 200, name))

        talkers = [threading.Thread(target=talk, args=(f"t{number}",)) for number in range(6)]
        for talker in talkers:
            talker.start()
        while len(got) < 1800:
            await asyncio.sleep(0.005)
        for number in range(6):
            assert [line.time for line in got if line.function == f"t{number}"] == list(range(300))
        host.close()
        await closed.wait()
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()

    asyncio.run(scenario())


def test_a_body_of_100_megabytes_there_and_back_while_small_messages_pass() -> None:
    async def scenario() -> None:
        got: list = []

        def on_worker(worker: WorkerChannel, messages) -> None:
            for message in messages:
                if isinstance(message, HttpInvocation):
                    worker.send(HttpAnswer(message.invocation, 200, [], message.body))
                else:
                    worker.send(Heartbeat(message.n))

        host, _, _, _ = await linked(got.extend, on_worker)
        body = b"ab" * (50 * 1024 * 1024)
        host.send(HttpInvocation("i", "f", "POST", "u", [], {}, {}, body))
        await asyncio.sleep(0)
        host.send(DropSession(5))
        while not got:
            await asyncio.sleep(0)
        assert got == [Heartbeat(5)]
        while len(got) < 2:
            await asyncio.sleep(0.005)
        assert got[1].body == body
        host.close()

    asyncio.run(scenario())


def test_a_reader_never_waits_for_a_writer() -> None:
    """Both sides send more than the socket holds before either reads: nobody may stand still."""

    async def scenario() -> None:
        got: list = []
        seen: list = []
        host, worker, _, _ = await linked(got.extend, lambda _, messages: seen.extend(messages))
        big = [b"y" * 100_000]
        for number in range(200):
            host.send(BeginTurn(str(number), TurnRequest(1, 0, 0, "i", "n", 0, [], big)))
        flood = threading.Thread(target=lambda: [worker.send(LogLine(k, 20, "z" * 100_000)) for k in range(200)])
        flood.start()
        time.sleep(0.05)
        while len(got) < 200 or len(seen) < 200:
            await asyncio.sleep(0.005)
        assert [line.time for line in got] == list(range(200))
        assert [begin.invocation for begin in seen] == [str(number) for number in range(200)]
        host.close()

    asyncio.run(scenario())


class Closed(asyncio.Transport):
    """A transport whose end has not been told yet; uvloop's raises when it is written to."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_closing(self) -> bool:
        return True

    def write(self, data: object) -> None:
        raise RuntimeError("the handler is closed")


def test_what_is_sent_to_a_channel_that_is_being_closed_is_thrown_away() -> None:
    troubles: list[dict[str, object]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, trouble: troubles.append(trouble))
        channel = HostChannel(lambda messages: None, lambda: None)
        channel.connection_made(Closed())
        channel.send(StopWorker(1.0))
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert troubles == []


def test_what_is_sent_soon_goes_out_together_without_waiting_for_a_tick() -> None:
    async def scenario() -> None:
        frames: list[int] = []

        def on_worker(worker: WorkerChannel, messages: list) -> None:
            for number in range(100):
                worker.send_soon(Heartbeat(number))

        host, worker, _, _ = await linked(lambda messages: frames.append(len(messages)), on_worker)
        began = time.monotonic()
        host.send(StopWorker(1.0))
        while not frames:
            await asyncio.sleep(0.001)
        assert frames == [100]
        worker.send_soon(Heartbeat(1))
        while len(frames) < 2:
            await asyncio.sleep(0.001)
        assert time.monotonic() - began < 0.9  # the reading thread ticks once a second
        host.close()

    asyncio.run(scenario())
