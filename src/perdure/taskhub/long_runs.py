"""Activities that run for long are written down while they do, so that everybody can see where and since when.

Short ones, which are nearly all, cost the store nothing: they are written once, when they have ended.
"""

from __future__ import annotations

from perdure.model.commit_plan import Attempt, WorkItem
from perdure.taskhub.committer import Committer
from perdure.taskhub.interfaces import Clock, Executor

#: seconds after which a run is long
LONG = 1.0

Key = tuple[int, int, int]


class LongRuns:
    """Watches the activities of one host."""

    def __init__(self, clock: Clock, executor: Executor, committer: Committer) -> None:
        self._clock, self._executor, self._committer = clock, executor, committer
        #: those that are not written down, the oldest first, and since when they run
        self._unwritten: dict[Key, tuple[WorkItem, float]] = {}
        self._looking = False

    def begin(self) -> None:
        """Under a new token nothing runs."""
        self._unwritten.clear()

    def started(self, key: Key, item: WorkItem) -> None:
        """An activity was handed to a worker."""
        self._unwritten[key] = item, self._clock.monotonic()
        if not self._looking:
            self._looking = True
            self._clock.later(LONG, self._look)

    def ended(self, key: Key) -> None:
        """It runs no more."""
        self._unwritten.pop(key, None)

    def _look(self) -> None:
        before = self._clock.monotonic() - LONG
        for key, (item, since) in list(self._unwritten.items()):
            if since > before:
                break
            runs = self._executor.activity_runs(*key)
            if runs is not None:
                del self._unwritten[key]
                process, seconds = runs
                began = self._committer.time() - int(seconds * 1e6)
                self._committer.attempt(
                    Attempt(*key, item.attempt, item.scheduled, began, 0, self._committer.token, process)
                )
        self._looking = bool(self._unwritten)
        if self._looking:
            self._clock.later(LONG, self._look)
