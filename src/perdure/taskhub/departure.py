"""Leaving a hub and coming back: no new turns, no new activities, the instances free to other hosts."""

from __future__ import annotations

from collections.abc import Callable

from perdure.storage.provider import StoreError
from perdure.taskhub.shift import Shift

_RETRY_SECONDS = 0.2
Names = dict[str, tuple[str, ...]]
#: how long instances wait for the turns under way of others before they are given away one by one
_TURNS_MAY_END = 0.5


class Departure:
    """Drains one host, and ends that again.

    Others may have all instances when the turns under way have ended. Should that take long, they get those for which
    something waits one by one: a long turn keeps its own instance only.

    Whether others may have the instances is told to the store one call at a time; the last wish counts. `on_back` is
    called when the instances that nobody took meanwhile are this host's again. So is what the app consists of, when
    it was loaded anew: other hosts go by what the store has of this one.
    """

    def __init__(
        self, shift: Shift, stop_turns: Callable[[Callable[[], None]], None], give_away: Callable[[], None]
    ) -> None:
        self._shift, self._stop_turns, self._give_away = shift, stop_turns, give_away
        self.on_away: Callable[[], None] = lambda: None
        self.on_back: Callable[[], None] = lambda: None
        #: the host is to take nothing new
        self.wanted = False
        self._drains = 0
        self._token = 0
        self._listed: Names = {}
        self._away = self._telling = False

    def begin(self, token: int, listed: Names) -> None:
        """Start under a token whose instances are its own, and with which the store has listed these functions; 0: none
        is held."""
        self._token, self._listed = token, listed
        self._away = self._telling = False
        self.app_changed()

    def app_changed(self) -> None:
        """Tell which functions this host has now, if that is not known; whoever is away tells it when it comes back."""
        names = self._shift.options.names
        if self._telling or self._away or not self._token or names == self._listed:
            return
        self._telling = True
        token = self._token

        def told(answer: bool | StoreError) -> None:
            if token != self._token:
                return
            self._telling = False
            if isinstance(answer, StoreError):
                self._shift.telemetry.store_failed(str(answer))
                self._shift.clock.later(_RETRY_SECONDS, self._tell_again)
            elif answer:
                self._listed = names
                self._tell_again()
            else:
                self._shift.committer.on_dead()

        self._shift.store.come_back(token, names, told)

    def drain(self, done: Callable[[], None]) -> None:
        """Take nothing new; `done` when what runs has ended and is durable."""
        self.wanted = self._shift.registry.full = True
        self._shift.activities.retire()
        self._drains += 1
        drain = self._drains

        def no_more_turns() -> None:
            if drain == self._drains and self.wanted:
                self._write_results()
                self._shift.activities.drain(done)
                if not self._away:
                    self._away = True
                    self._tell()

        def turns_take_long() -> None:
            if drain == self._drains and self.wanted and not self._away and self._shift.registry.live:
                self._give_away()

        self._stop_turns(no_more_turns)
        self._shift.clock.later(_TURNS_MAY_END, turns_take_long)

    def resume(self) -> bool:
        """Take work again. False: the instances were given away, and `on_back` says when that is undone."""
        self.wanted = self._shift.registry.full = False
        if not self._away:
            return True
        self._tell()
        return False

    def _write_results(self) -> None:
        """What is in memory alone becomes rows, for whoever goes on with the instances. A turn may have taken it that
        waits for the store: for its history, or to be parked."""
        for instance in self._shift.registry.warm.all():
            for row in (*instance.taken, *instance.inbox):
                if row.seq == 0 and not row.writing:
                    self._shift.activities.rows.write(row, instance.state.n)

    def _tell(self) -> None:
        if self._telling or not self._token:
            return
        self._telling = True
        token, leaving, names = self._token, self.wanted, self._shift.options.names

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
                self._away, self._listed = False, names
                self.app_changed()
                self.on_back()

        if leaving:
            self._shift.store.leave(token, told)
        else:
            self._shift.store.come_back(token, names, told)

    def _tell_again(self) -> None:
        if self._away:
            self._tell()
        else:
            self.app_changed()
