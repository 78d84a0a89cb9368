"""Deletes what nobody needs any more, in the background, in small steps: finished orchestrations by age, old keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord, Page
from perdure.storage.provider import StoreError
from perdure.taskhub.hub import Hub
from perdure.taskhub.idempotency import forget_expired
from perdure.taskhub.interfaces import Timer

#: instances looked at in one step, and seconds between two steps
_STEP = 100
_PAUSE = 0.02
#: seconds between two sweeps, at least and at most
_SHORTEST, _LONGEST = 1.0, 60.0
#: seconds between two looks for keys that are no longer remembered
_KEYS = 3600.0
_NEVER = 1 << 62


class RetentionRules(Struct, frozen=True):
    """Ages in microseconds by final status, counted from completion; `by_name` (lower case) wins, status by status."""

    by_status: Mapping[int, int] = {}
    by_name: Mapping[str, Mapping[int, int]] = {}

    def statuses(self) -> tuple[int, ...]:
        """All statuses that some rule names."""
        named = {status for rules in self.by_name.values() for status in rules}
        return tuple(sorted({*self.by_status, *named}))

    def shortest(self) -> int:
        """The shortest age of all rules."""
        ages = [*self.by_status.values(), *(age for rules in self.by_name.values() for age in rules.values())]
        return min(ages, default=_NEVER)

    def is_expired(self, record: InstanceRecord, now: int) -> bool:
        """Whether an instance has been finished for longer than it is kept."""
        own = self.by_name.get(record.name.lower(), {})
        age = own.get(int(record.status), self.by_status.get(int(record.status), _NEVER))
        return record.status.is_terminal and 0 < record.completed <= now - age


class Deleter(Protocol):
    """Deletes these instances; gets how many it were."""

    def __call__(self, records: list[InstanceRecord], then: Callable[[int], None]) -> None: ...


class Retention:
    """Sweeps from time to time, as long as the host has a token."""

    def __init__(self, hub: Hub, delete: Deleter, rules: RetentionRules, told: Callable[[int], None]) -> None:
        """`told` gets how many instances a sweep deleted, when it were any."""
        self._hub, self._delete, self._rules, self._told = hub, delete, rules, told
        self._timers: list[Timer] = []
        self._keys_from = 0.0
        self._ended = False

    def begin(self) -> None:
        """Sweep soon, and again and again."""
        self._later(self._interval() * (0.2 + 0.3 * self._hub.clock.random()), self._sweep)

    def end(self) -> None:
        """Delete nothing more."""
        self._ended = True
        for timer in self._timers:
            timer.cancel()

    def _interval(self) -> float:
        return max(_SHORTEST, min(_LONGEST, self._rules.shortest() / 2e6))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if not self._ended:
            self._timers = [self._hub.clock.later(seconds, call)]

    def _sweep(self) -> None:
        if not self._hub.token:
            self._again(0)
            return
        now = self._hub.clock.monotonic()
        if now >= self._keys_from:
            self._keys_from = now + _KEYS
            forget_expired(self._hub.store, self._hub.committer.time(), lambda count: None)
        if self._rules.statuses():
            self._step(None, 0)
        else:
            self._again(0)

    def _again(self, deleted: int) -> None:
        if deleted:
            self._told(deleted)
        # hosts of one hub do not sweep at the same time
        self._later(self._interval() * (0.75 + 0.5 * self._hub.clock.random()), self._sweep)

    def _step(self, continuation: str | None, deleted: int) -> None:
        time = self._hub.committer.time()
        filter = InstanceFilter(
            created_to=time - self._rules.shortest(),
            statuses=self._rules.statuses(),
            kinds=(int(InstanceKind.ORCHESTRATION),),
        )

        def listed(page: Page | StoreError) -> None:
            if isinstance(page, StoreError) or self._ended:
                self._again(deleted)
                return
            expired = [record for record in page.items if self._rules.is_expired(record, time)]

            def after(count: int) -> None:
                following = page.continuation
                if following is None:
                    self._again(deleted + count)
                else:
                    self._later(_PAUSE, lambda: self._step(following, deleted + count))

            self._delete(expired, after)

        self._hub.store.query(filter, _STEP, continuation, listed, payloads=False)
