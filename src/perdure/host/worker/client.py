"""The durable client's way out of a worker: operations go over the channel and are answered by the host."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Sequence

from perdure.host.protocol.messages import ClientCall, ClientReply
from perdure.host.worker.channel import WorkerChannel
from perdure.host.worker.logs import Invocation, current_invocation
from perdure.model.operations import Operation, OperationAnswer
from perdure.sdk.client_trace import with_trace


class _Asked:
    """An operation that a coroutine waits for."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[OperationAnswer] = loop.create_future()


class _AskedByThread:
    """An operation that a thread waits for."""

    __slots__ = ("answer", "answered")

    def __init__(self) -> None:
        self.answered = threading.Event()
        self.answer: OperationAnswer | None = None


class ChannelTransport:
    """The `ClientTransport` of the SDK over the worker's channel. Usable from every thread and event loop.

    What the coroutines of a loop ask in one of its ticks goes out together, and is answered in one tick.
    """

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel
        self._waiting: dict[int, _Asked | _AskedByThread] = {}
        self._numbers = itertools.count(1)
        self._flushing: set[asyncio.AbstractEventLoop] = set()

    async def call(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the host, from a coroutine on any event loop."""
        loop = asyncio.get_running_loop()
        number = next(self._numbers)
        asked = self._waiting[number] = _Asked(loop)
        self._channel.post(ClientCall(number, _traced(operation), task_hub))
        if loop not in self._flushing:
            self._flushing.add(loop)
            loop.call_soon(self._flush, loop)
        try:
            return await asked.future
        except BaseException:
            # cancelled, perhaps with its loop
            self._waiting.pop(number, None)
            self._flushing.discard(loop)
            raise

    def call_sync(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the host and wait on this thread."""
        number, asked = next(self._numbers), _AskedByThread()
        self._waiting[number] = asked
        self._channel.send(ClientCall(number, _traced(operation), task_hub))
        asked.answered.wait()
        assert asked.answer is not None
        return asked.answer

    def deliver(self, replies: Sequence[ClientReply]) -> None:
        """The host answered. On the frames thread."""
        answers: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[OperationAnswer], OperationAnswer]]] = {}
        for reply in replies:
            asked = self._waiting.pop(reply.call, None)
            if isinstance(asked, _Asked):
                answers.setdefault(asked.loop, []).append((asked.future, reply.answer))
            elif asked is not None:
                asked.answer = reply.answer
                asked.answered.set()
        for loop, answered in answers.items():
            with contextlib.suppress(RuntimeError):  # the loop that asked was closed meanwhile
                loop.call_soon_threadsafe(_set_results, answered)

    def _flush(self, loop: asyncio.AbstractEventLoop) -> None:
        self._flushing.discard(loop)
        self._channel.flush()


def _set_results(answered: list[tuple[asyncio.Future[OperationAnswer], OperationAnswer]]) -> None:
    for future, answer in answered:
        if not future.done():
            future.set_result(answer)


def _traced(operation: Operation) -> Operation:
    """With the trace context of whoever asks, on the thread that asks."""
    return with_trace(operation, current_invocation(_not_known).trace)


def _not_known(identifier: str) -> Invocation | None:
    """Who runs is asked for on its own thread, where it is known."""
    return None
