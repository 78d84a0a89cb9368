"""Virtual time: one heap of calls, run in order of their time, so that a month of timers takes milliseconds."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

#: where virtual time starts: 2024-01-01T00:00:00Z, in microseconds
START = 1_704_067_200_000_000


class Call:
    """A call in the heap; cancelled ones are passed over, as are those of a process that has ended."""

    __slots__ = ("at", "call", "order", "process")

    def __init__(self, at: int, order: int, call: Callable[[], None], process: VirtualClock | None) -> None:
        self.at = at
        self.order = order
        self.call: Callable[[], None] | None = call
        self.process = process

    def cancel(self) -> None:
        self.call = None

    def __lt__(self, other: Call) -> bool:
        return (self.at, self.order) < (other.at, other.order)


class VirtualTime:
    """The heap. Calls due at the same instant run in the order in which they were asked for."""

    def __init__(self, start: int = START) -> None:
        self.start = start
        self.now = start
        self.steps = 0
        self._order = 0
        self._heap: list[Call] = []

    def at(self, time: int, call: Callable[[], None], process: VirtualClock | None = None) -> Call:
        """Run `call` at `time` (microseconds), at the earliest now; `process`: whose call it is."""
        self._order += 1
        entry = Call(max(time, self.now), self._order, call, process)
        heapq.heappush(self._heap, entry)
        return entry

    def next_at(self) -> int | None:
        """When the next call is due, None when nothing waits."""
        heap = self._heap
        while heap:
            entry = heap[0]
            process = entry.process
            if entry.call is None or (process is not None and process.stopped):
                heapq.heappop(heap)
            elif process is not None and process.paused_until > entry.at:
                entry.at = process.paused_until
                heapq.heapreplace(heap, entry)
            else:
                return entry.at
        return None

    def step(self) -> bool:
        """Advance to the next call and run it; False when nothing waits."""
        if self.next_at() is None:
            return False
        entry = heapq.heappop(self._heap)
        call, entry.call = entry.call, None
        self.now = entry.at
        self.steps += 1
        assert call is not None
        call()
        return True

    def run_until(self, done: Callable[[], bool], *, within: float) -> bool:
        """Step until `done()`; False when `within` virtual seconds pass or nothing is left to happen."""
        limit = self.now + round(within * 1_000_000)
        while not done():
            next_at = self.next_at()
            if next_at is None or next_at > limit:
                self.now = max(self.now, limit)
                return done()
            self.step()
        return True

    def advance(self, seconds: float) -> None:
        """Run everything that comes due within `seconds`, and stand there."""
        self.run_until(lambda: False, within=seconds)


class VirtualClock:
    """One process's view of virtual time; a `taskhub.interfaces.Clock`.

    `skew` (seconds) is how far its wall clock is off. `stop` ends it as the death of its process does: nothing that
    it still had to call is called. `pause` holds it up (SIGSTOP, a swapping machine): its calls come afterwards.
    """

    def __init__(self, time: VirtualTime, seed: int | str = 0, skew: float = 0.0) -> None:
        self.time = time
        self.stopped = False
        self.paused_until = 0
        self._skew = round(skew * 1_000_000)
        self._random = Random(seed)

    def now(self) -> int:
        return self.time.now + self._skew

    def monotonic(self) -> float:
        return (self.time.now - self.time.start) / 1_000_000

    def soon(self, call: Callable[[], None]) -> None:
        self.time.at(self.time.now, call, self)

    def later(self, seconds: float, call: Callable[[], None]) -> Call:
        return self.time.at(self.time.now + round(seconds * 1_000_000), call, self)

    def random(self) -> float:
        return self._random.random()

    def set(self, skew: float) -> None:
        """Set the wall clock to so many seconds off."""
        self._skew = round(skew * 1_000_000)

    def stop(self) -> None:
        self.stopped = True

    def pause(self, seconds: float) -> None:
        self.paused_until = max(self.paused_until, self.time.now + round(seconds * 1_000_000))
