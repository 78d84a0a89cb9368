"""Binds the ports of the task hub to asyncio: time, and answers as awaitables."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

from perdure.taskhub.interfaces import Timer

T = TypeVar("T")


class LoopClock:
    """The `Clock` port on an asyncio loop."""

    __slots__ = ("_loop", "monotonic", "random")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.monotonic: Callable[[], float] = time.monotonic
        self.random: Callable[[], float] = random.random

    def now(self) -> int:
        """Microseconds since 1970, by this host."""
        return time.time_ns() // 1000

    def soon(self, call: Callable[[], None]) -> None:
        """Call once everything that the loop has ready has run: what arrived together is handed over before it."""
        self._loop.call_soon(call)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call after `seconds`."""
        return self._loop.call_later(seconds, call)


class NoWakes:
    """The `Wakes` port of a host that is alone."""

    def wake(self, token: int, n: int = 0) -> None:
        """Nobody to tell."""


async def answer_of(call: Callable[[Callable[[T], None]], None]) -> T:
    """Await the answer of a call that takes a callback."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(answer: T) -> None:
        # whoever asked may be gone by now
        if not future.done():
            future.set_result(answer)

    call(done)
    return await future
