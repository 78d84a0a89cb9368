"""The running hub: its parts, put together; start, wake, drain, stop."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from perdure.engine.catalog import Catalog
from perdure.storage.provider import Registered, StoreError
from perdure.taskhub.activities import Activities
from perdure.taskhub.committer import Committer
from perdure.taskhub.departure import Departure
from perdure.taskhub.dispatcher import Dispatcher
from perdure.taskhub.interfaces import Clock, Executor, Store, Wakes
from perdure.taskhub.options import HubOptions
from perdure.taskhub.ownership import Ownership
from perdure.taskhub.registry import Registry
from perdure.taskhub.shift import Shift
from perdure.taskhub.telemetry import Telemetry
from perdure.taskhub.timers import TimerWindow

#: options that may change while the hub runs
_OF_THE_APP = ("names", "fingerprint", "dialect", "coroutines", "max_activities", "max_turns", "max_entity_batches")


class TaskHub:
    """One host's share of a hub, over its ports. Everything happens on one thread, in callbacks."""

    def __init__(
        self,
        store: Store,
        executor: Executor,
        clock: Clock,
        wakes: Wakes,
        options: HubOptions,
        telemetry: Telemetry | None = None,
    ) -> None:
        told = telemetry or Telemetry()
        self.store, self.options, self.clock = store, options, clock
        self.timers = TimerWindow(store, clock)
        self.committer = Committer(store, clock, options, told)
        self.registry = Registry(store, clock, executor, wakes, self.timers, options)
        self.activities = Activities(store, clock, executor, self.registry, self.committer, options, told)
        self.shift = Shift(store, clock, executor, self.registry, self.committer, self.activities, options, told)
        self.dispatcher = Dispatcher(self.shift)
        self.ownership = Ownership(self.shift, self.dispatcher, self.timers)
        self.departure = Departure(self.shift, self.dispatcher.drain, self.dispatcher.give_away)
        self.wakes, self.telemetry, self._executor = wakes, told, executor
        self.token = 0
        self.accepting = False
        self._resumed: list[Callable[[], None]] = []
        self.shift.catalog = Catalog(options.names, options.default_version, threadless=options.threadless)
        self.registry.on_ready = self.dispatcher.ready
        self.registry.on_control = self.dispatcher.interrupt
        self.timers.on_due = self._due
        self.committer.on_dead = self._token_lost
        self.ownership.on_alone = self._alone
        self.ownership.on_beat = self.activities.resume
        self.ownership.on_abandoned_work = self.activities.look
        self.dispatcher.left_behind(self.left_behind)
        self.activities.on_left = lambda: wakes.wake(0)
        self.dispatcher.on_starved = self.ownership.starved
        executor.on_room = self.activities.resume
        self.departure.on_away, self.departure.on_back = self._away, self._back

    def start(self, done: Callable[[], None]) -> None:
        """Register and go to work; `done` when a token is held."""

        def registered(registered: Registered) -> None:
            self._begin(registered)
            done()

        self.ownership.register(registered)

    def _begin(self, registered: Registered) -> None:
        self.token = registered.token
        self.committer.begin(registered.token, registered.time)
        self.registry.begin(registered.token, self.committer.time)
        self.activities.begin(registered.token)
        self.shift.begin(registered.token)
        self.dispatcher.begin()
        self.timers.begin(registered.token, self.committer.time)
        self.departure.begin(registered.token, self.ownership.listed)
        self.accepting = True
        self.ownership.begin(registered.token)
        self.activities.look()
        # others look more often at who is alive while they are not alone
        self.wakes.wake(0)
        if self.departure.wanted:
            # the token was lost meanwhile
            self.drain(lambda: None)
        else:
            self._take_up()

    def _token_lost(self) -> None:
        """Others took this host for dead: whatever it had in memory is theirs. Start again under a new token."""
        if not self.token:
            return
        lost, self.token, self.accepting = self.token, 0, False
        self.telemetry.token_lost(lost)
        for instance in self.registry.warm.all():
            self._executor.drop_session(instance.state.n)
        self.ownership.end()
        self.departure.begin(0, {})
        self.committer.stop()
        self.registry.begin(0, self.committer.time)
        self.timers.begin(0, self.committer.time)
        self.start(lambda: None)

    def _alone(self, alone: bool) -> None:
        self.activities.alone = alone
        if not alone:
            self.registry.alone = False
        elif not self.registry.alone:
            # the others are gone, what they sent last may still have to be fetched
            self.registry.look(self._nobody_else)

    def _nobody_else(self) -> None:
        self.registry.alone = self.activities.alone

    def woken(self, n: int = 0) -> None:
        """Another host says that something waits here: a message for instance `n`, or (0) anything."""
        if not self.token:
            return
        if self.registry.leaving:
            if n:
                self.registry.pass_on(n)
        elif n:
            self.registry.refresh(n)
        else:
            if self.activities.alone:
                # it is no longer
                self.ownership.watch()
            self.registry.look()
            self.ownership.scan()
            self.activities.look()

    def left_behind(self, not_before: int) -> None:
        """An instance was created without an owner, to begin at `not_before` (0: now)."""
        if not_before > self.committer.time():
            self.timers.add(not_before, 0, 0)
            return
        self.ownership.left_behind()
        if not self.registry.alone:
            self.wakes.wake(0)

    def _due(self, seq: int, n: int) -> None:
        """The time of a message has come, or (0) of a start for later: whoever scans first has it."""
        if n:
            self.registry.timer_due(seq, n)
        else:
            self.ownership.scan()

    def app_changed(self, options: HubOptions) -> None:
        """The app was loaded anew: these are its names and its limits now."""
        self.options = replace(self.options, **{field: getattr(options, field) for field in _OF_THE_APP})
        self.shift.options = self.options
        self.shift.catalog = Catalog(options.names, options.default_version, threadless=options.threadless)
        self.shift.lanes.limit(options.max_turns, options.max_entity_batches)
        self.ownership.app_changed(self.options)
        self.activities.app_changed(self.options)
        if self.token:
            self.departure.app_changed()
            self.dispatcher.app_changed(options.fingerprint)

    def retire(self) -> None:
        """Where other hosts are up, take nothing new and let them have the instances; clients are still served."""
        if self.ownership.others:
            self.departure.drain(lambda: None)

    def drain(self, done: Callable[[], None]) -> None:
        """Take nothing new; `done` when what runs has ended and is durable. The instances are free to others."""
        self.accepting = False
        self.departure.drain(done)

    def resume(self, done: Callable[[], None]) -> None:
        """Take work again after `drain`, over or not; what runs goes on. `done` when this host accepts work."""
        self._resumed.append(done)
        if not self.departure.wanted or self.departure.resume():
            self._take_up()

    def _away(self) -> None:
        self.registry.leaving = True
        self.wakes.wake(0)

    def _back(self) -> None:
        """What is in memory may have gone on elsewhere: the instances that are still this host's are loaded anew."""
        self.registry.begin(self.token, self.committer.time)
        self.timers.begin(self.token, self.committer.time)
        self._take_up()
        self.registry.look()
        self.ownership.scan()

    def _take_up(self) -> None:
        if not self.accepting and self.token:
            self.accepting = True
            self.dispatcher.end_drain()
            self.activities.end_drain()
        if self.accepting:
            resumed, self._resumed = self._resumed, []
            for done in resumed:
                done()

    def end_grace(self) -> None:
        """Do not wait for running activities any longer: their claims go back."""
        self.activities.give_back_running()

    def stop(self, done: Callable[[], None]) -> None:
        """Close the token, so that others can take over at once."""
        token, self.token, self.accepting = self.token, 0, False
        self.ownership.end()
        self.departure.begin(0, {})
        self.committer.stop()
        self.timers.begin(0, self.committer.time)
        if not token:
            done()
            return

        def closed(answer: StoreError | None) -> None:
            if isinstance(answer, StoreError):
                self.telemetry.store_failed(str(answer))
            # what it owned is free now
            self.wakes.wake(0)
            done()

        self.store.close(token, closed)
