"""The durable client's way out of a worker: operations go over the channel and are answered by the host."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable

from perdure.host.messages import ClientCall, ClientReply
from perdure.host.worker_channel import WorkerChannel
from perdure.model.operations import Operation, OperationAnswer


class ChannelTransport:
    """`perdure.sdk.client.ClientTransport` over the worker's channel. Usable from every thread and event loop."""

    def __init__(self, channel: WorkerChannel) -> None:
        self._channel = channel
        self._waiting: dict[int, Callable[[OperationAnswer], None]] = {}
        self._numbers = itertools.count(1)

    async def call(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the host, from a coroutine on any event loop."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[OperationAnswer] = loop.create_future()

        def set_result(answer: OperationAnswer) -> None:
            if not future.done():
                future.set_result(answer)

        def deliver(answer: OperationAnswer) -> None:
            with contextlib.suppress(RuntimeError):  # the loop that asked was closed meanwhile
                loop.call_soon_threadsafe(set_result, answer)

        number = self._send(operation, task_hub, deliver)
        try:
            return await future
        finally:
            self._waiting.pop(number, None)

    def call_sync(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the host and wait on this thread."""
        answers: list[OperationAnswer] = []
        answered = threading.Event()

        def deliver(answer: OperationAnswer) -> None:
            answers.append(answer)
            answered.set()

        self._send(operation, task_hub, deliver)
        answered.wait()
        return answers[0]

    def deliver(self, reply: ClientReply) -> None:
        """The host answered. On the frames thread."""
        waiter = self._waiting.pop(reply.call, None)
        if waiter is not None:
            waiter(reply.answer)

    def _send(self, operation: Operation, task_hub: str, deliver: Callable[[OperationAnswer], None]) -> int:
        number = next(self._numbers)
        self._waiting[number] = deliver
        self._channel.send(ClientCall(number, operation, task_hub))
        return number
