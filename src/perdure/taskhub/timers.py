"""The timer window: the nearest due times in memory, all others only in the store."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable

from perdure.storage.provider import DueTimer, StoreError
from perdure.taskhub.interfaces import Clock, Store, Timer

#: timers read at once, and how many are kept at most before the far ones are left to the store
_WINDOW = 1000
_MOST = 4000
_RETRY_SECONDS = 0.5


class TimerWindow:
    """Fires due messages. Everything due up to the horizon is in memory; one timer is armed, however many sleep."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._heap: list[tuple[int, int, int]] = []
        self._horizon = 0
        self._armed: Timer | None = None
        self._armed_for = 0
        self._reading = False
        self._missed = False
        self._token = 0
        self._time: Callable[[], int] = lambda: 0
        self.on_due: Callable[[int, int], None] = lambda seq, n: None

    def begin(self, token: int, time: Callable[[], int]) -> None:
        """Start under a token with nothing in memory."""
        self._token, self._time = token, time
        self._heap, self._horizon, self._reading = [], 0, False
        self._disarm()
        if token:
            self.refill()

    def add(self, due: int, seq: int, n: int) -> None:
        """A message held back until `due` is durable."""
        if due > self._horizon:
            self._missed = True
            return
        heapq.heappush(self._heap, (due, seq, n))
        if len(self._heap) > _MOST:
            self._heap = heapq.nsmallest(_WINDOW, self._heap)
            self._horizon = self._heap[-1][0]
        self._arm()

    def refill(self) -> None:
        """Read the nearest due times from the store."""
        if self._reading or not self._token:
            return
        self._reading, self._missed = True, False
        token = self._token

        def read(answer: list[DueTimer] | StoreError) -> None:
            if token != self._token:
                return
            self._reading = False
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, self.refill)
                return
            known = set(self._heap)
            for timer in answer:
                entry = (timer.due, timer.seq, timer.n)
                if entry not in known:
                    heapq.heappush(self._heap, entry)
            full = len(answer) >= _WINDOW
            horizon = answer[-1].due if full else sys.maxsize
            if self._missed and not full:
                # something was committed while the store was read: it may or may not be in the answer
                self.refill()
            else:
                self._horizon = horizon
            self._arm()

        self._store.due_timers(token, sys.maxsize, _WINDOW, read)

    def look_at_the_clock(self) -> None:
        """It may have moved otherwise than this process's own."""
        self._disarm()
        self._arm()

    def _arm(self) -> None:
        due = self._heap[0][0] if self._heap else (0 if self._horizon == sys.maxsize else self._horizon)
        if not due:
            self._disarm()
            return
        if self._armed is not None and self._armed_for == due:
            return
        self._disarm()
        self._armed_for = due
        self._armed = self._clock.later(max(0, due - self._time()) / 1e6, self._fire)

    def _disarm(self) -> None:
        if self._armed is not None:
            self._armed.cancel()
            self._armed = None

    def _fire(self) -> None:
        self._armed = None
        now, heap = self._time(), self._heap
        while heap and heap[0][0] <= now:
            _, seq, n = heapq.heappop(heap)
            self.on_due(seq, n)
        if not heap and self._horizon != sys.maxsize:
            self.refill()
        else:
            self._arm()
