"""Suspects run alone: one at a time, in a worker of their own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from perdure.host.supervision.blame import Suspects
from perdure.host.supervision.runs import Run
from perdure.host.supervision.worker_link import WorkerLink
from perdure.host.supervision.worker_set import WorkerSet

_IDLE_SECONDS = 60.0


class Quarantine:
    """Holds back what is suspect and feeds it to the quarantine worker, which is started for it and ended idle."""

    def __init__(self, workers: WorkerSet, give: Callable[[WorkerLink, Run], None]) -> None:
        self._workers = workers
        self._give = give
        self._loop = asyncio.get_running_loop()
        self._suspects = Suspects()
        self._confined: deque[Run] = deque()
        self._idle: asyncio.TimerHandle | None = None

    def add(self, run: Run) -> None:
        """A worker died while this was running."""
        self._suspects.add(run)

    def takes(self, run: Run) -> bool:
        """Whether `run` is suspect; then it runs here as soon as its turn comes."""
        if not self._suspects or not self._suspects.holds(run):
            return False
        self._confined.append(run)
        self.feed()
        return True

    def clear(self, run: Run) -> None:
        """`run` ended well or failed by itself: it is suspect no more."""
        if self._suspects:
            self._suspects.clear(run)

    def take_all(self) -> list[Run]:
        """Everything that still waits; it is held here no longer."""
        waiting = list(self._confined)
        self._confined.clear()
        return waiting

    def feed(self) -> None:
        """Give the next one if nothing runs there."""
        link = self._workers.quarantine
        if not self._confined:
            if link is not None and not link.inflight and self._idle is None:
                self._idle = self._loop.call_later(_IDLE_SECONDS, self._close)
            return
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if link is None:
            self._workers.start_quarantine()
        elif link.is_ready and not link.inflight:
            self._give(link, self._confined.popleft())

    def _close(self) -> None:
        self._idle = None
        if self._workers.quarantine is not None:
            self._workers.dismiss(self._workers.quarantine, 1.0)
