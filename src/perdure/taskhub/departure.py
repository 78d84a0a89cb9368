"""Leaving a hub and coming back: no new turns, no new activities, the instances free to other hosts."""

from __future__ import annotations

from collections.abc import Callable

from perdure.storage.provider import StoreError
from perdure.taskhub.shift import Shift

_RETRY_SECONDS = 0.2


class Departure:
    """Drains one host, and ends that again.

    Whether others may have the instances is told to the store one call at a time; the last wish counts. `on_back` is
    called when the instances that nobody took meanwhile are this host's again.
    """

    def __init__(self, shift: Shift, stop_turns: Callable[[Callable[[], None]], None]) -> None:
        self._shift, self._stop_turns = shift, stop_turns
        self.on_away: Callable[[], None] = lambda: None
        self.on_back: Callable[[], None] = lambda: None
        #: the host is to take nothing new
        self.wanted = False
        self._drains = 0
        self._token = 0
        self._away = self._telling = False

    def begin(self, token: int) -> None:
        """Start under a token whose instances are its own; 0: none is held."""
        self._token = token
        self._away = self._telling = False

    def drain(self, done: Callable[[], None]) -> None:
        """Take nothing new; `done` when what runs has ended and is durable."""
        self.wanted = True
        self._drains += 1
        drain = self._drains

        def no_more_turns() -> None:
            if drain == self._drains and self.wanted:
                self._write_results()
                self._shift.activities.drain(done)
                self._away = True
                self._tell()

        self._stop_turns(no_more_turns)

    def resume(self) -> bool:
        """Take work again. False: the instances were given away, and `on_back` says when that is undone."""
        self.wanted = False
        if not self._away and not self._telling:
            return True
        self._tell()
        return False

    def _write_results(self) -> None:
        """What is in memory alone becomes rows, for whoever goes on with the instances."""
        for instance in self._shift.registry.warm.all():
            for row in instance.inbox:
                if row.seq == 0 and not row.writing:
                    self._shift.activities.write_result(row, instance.state.n)

    def _tell(self) -> None:
        if self._telling or not self._token:
            return
        self._telling = True
        token, leaving = self._token, self.wanted

        def told(answer: bool | StoreError | None) -> None:
            if token != self._token:
                return
            self._telling = False
            if isinstance(answer, StoreError):
                self._shift.telemetry.store_failed(str(answer))
                self._shift.clock.later(_RETRY_SECONDS, self._tell_again)
            elif answer is False:
                self._shift.committer.on_dead()
            elif leaving != self.wanted:
                self._tell()
            elif leaving:
                self.on_away()
            else:
                self._away = False
                self.on_back()

        if leaving:
            self._shift.store.leave(token, told)
        else:
            self._shift.store.come_back(token, self._shift.options.names, told)

    def _tell_again(self) -> None:
        if self._away:
            self._tell()
