"""Which instances are parked, and by which code: a host with other code tries them again.

The list is a setting of the hub, written before an instance is parked and deleted after it goes on, so an entry may be
left over but none is missing.
"""

from __future__ import annotations

from collections.abc import Callable

from perdure.storage.provider import StoreError
from perdure.taskhub.interfaces import Clock, Store

_KIND = "parked"
_RETRY_SECONDS = 0.5


class ParkedList:
    """The parked instances of a hub, by the fingerprint of the app that could not go on with them.

    `fingerprint` is that of this host's app, which may be loaded anew.
    """

    def __init__(self, store: Store, clock: Clock, fingerprint: str = "") -> None:
        self._store, self._clock, self.fingerprint = store, clock, fingerprint

    def others(self, found: Callable[[list[int]], None]) -> None:
        """The instances that other code parked."""

        def listed(answer: list[tuple[str, str]] | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self.others(found))
            else:
                found([int(key) for key, by in answer if by != self.fingerprint])

        self._store.list_settings(_KIND, listed)

    def count(self, done: Callable[[int | StoreError], None]) -> None:
        """How many instances are parked, by whatever code."""

        def listed(answer: list[tuple[str, str]] | StoreError) -> None:
            done(answer if isinstance(answer, StoreError) else len(answer))

        self._store.list_settings(_KIND, listed)

    def add(self, n: int, done: Callable[[], None]) -> None:
        """Note that this code cannot go on with `n`."""
        self._set(n, self.fingerprint, done)

    def remove(self, n: int) -> None:
        """The instance goes on, or is gone."""
        self._set(n, None, lambda: None)

    def _set(self, n: int, value: str | None, done: Callable[[], None]) -> None:
        def read(before: str | StoreError | None) -> None:
            if isinstance(before, StoreError):
                self._clock.later(_RETRY_SECONDS, lambda: self._set(n, value, done))
            elif before == value:
                done()
            else:
                self._store.put_setting(_KIND, str(n), value, before, written)

        def written(answer: bool | StoreError) -> None:
            if answer is True:
                done()
            else:
                self._clock.later(_RETRY_SECONDS, lambda: self._set(n, value, done))

        self._store.get_setting(_KIND, str(n), read)
