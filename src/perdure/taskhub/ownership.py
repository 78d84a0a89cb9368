"""Who is alive: this host's token and beat, the watch over other hosts, and the scan for what nobody owns."""

from __future__ import annotations

from collections.abc import Callable

from perdure.engine.catalog import Catalog
from perdure.storage.provider import HostRegistration, HostRow, Loaded, Registered, StoreError
from perdure.taskhub.dispatcher import Dispatcher
from perdure.taskhub.interfaces import Timer
from perdure.taskhub.options import HubOptions
from perdure.taskhub.shift import Shift
from perdure.taskhub.timers import TimerWindow

_RETRY_SECONDS = 0.2
#: instances claimed by one scan
_SCAN = 200
#: beats in one TTL, and looks at the others: a beat that is seen late makes the takeover as late
_BEATS, _LOOKS = 3, 18


class Ownership:
    """Registers, beats, watches and scans. A host is declared dead only when its beat stood still for the TTL on this
    host's own monotonic clock while the store answered, took this host's own beat, and was looked at (invariant 11)."""

    def __init__(self, shift: Shift, dispatcher: Dispatcher, timers: TimerWindow) -> None:
        self._store, self._clock, self._committer = shift.store, shift.clock, shift.committer
        self._registry, self._dispatcher, self._timers = shift.registry, dispatcher, timers
        self._options, self._telemetry, self._shift = shift.options, shift.telemetry, shift
        self._token = 0
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked = 0.0
        self._others: tuple[int, ...] = ()
        self._ticks: list[Timer] = []
        self._next_look: Timer | None = None
        self._scanning = False
        self._scan_again = False
        self._left_behind = False
        self._passed_over: tuple[str, ...] = ()
        #: the functions that this host had when it registered
        self.listed: dict[str, tuple[str, ...]] = {}
        #: others may have left activities that nobody runs
        self.on_abandoned_work: Callable[[], None] = lambda: None
        #: the store raised the beat: this host is alive for all to see
        self.on_beat: Callable[[], None] = lambda: None
        self.on_alone: Callable[[bool], None] = lambda alone: None

    def app_changed(self, options: HubOptions) -> None:
        """What counts of the app from now on, and what the next registration says of it."""
        self._options = options

    def register(self, done: Callable[[Registered], None]) -> None:
        """Get a token; tried again until the store answers."""
        options = self._options
        registration = HostRegistration(
            options.address, options.host_instance, options.names, options.fingerprint, options.host_ttl
        )

        def registered(answer: Registered | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._telemetry.store_failed(str(answer))
                self._clock.later(_RETRY_SECONDS, lambda: self.register(done))
                return
            self._telemetry.registered(answer.token)
            self.listed = registration.names
            done(answer)

        self._store.register(registration, registered)

    def begin(self, token: int) -> None:
        """Start watching under a token."""
        self.end()
        self._token = token
        self._seen, self._others, self._scanning = {}, (), False
        self._looked = self._clock.monotonic()
        self._look()
        self.scan()
        self._tick(self._options.host_ttl / _BEATS, self._beat)
        self._tick(self._scan_pause(), self._scan_tick)

    def end(self) -> None:
        """Stop watching."""
        self._token = 0
        for timer in self._ticks:
            timer.cancel()
        self._ticks = []
        if self._next_look is not None:
            self._next_look.cancel()

    @property
    def others(self) -> tuple[int, ...]:
        """Tokens of the other live hosts."""
        return self._others

    def _tick(self, seconds: float, call: Callable[[], None]) -> None:
        self._ticks = self._ticks[-6:]
        self._ticks.append(self._clock.later(seconds, call))

    def _beat(self) -> None:
        token, asked = self._token, self._clock.monotonic()

        def beaten(answer: bool | StoreError) -> None:
            if token != self._token:
                return
            if answer is False:
                self._committer.on_dead()
            elif answer is True:
                self._committer.succeeded(asked)
                self.on_beat()
            else:
                # it may be read, and takes nothing: nobody's beat can rise
                self.start_anew()

        def timed(answer: int | StoreError) -> None:
            if token == self._token and not isinstance(answer, StoreError):
                # the store's clock may have been set, this machine may have slept
                self._committer.observe_time(answer, asked)
                self._timers.look_at_the_clock()

        self._store.beat(token, beaten)
        self._store.time(timed)
        self._registry.warm.sweep()
        self._tick(self._options.host_ttl / _BEATS, self._beat)

    def _look(self) -> None:
        """Look at the others; rarely when there are none, as whoever comes wakes this host."""
        self.watch()
        self._look_later()

    def _look_later(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
        self._next_look = self._clock.later(self._options.host_ttl / (_LOOKS if self._others else _BEATS), self._look)

    def watch(self) -> None:
        """Ask the store who else is alive."""
        token = self._token

        def listed(answer: list[HostRow] | StoreError) -> None:
            if token != self._token:
                return
            now = self._clock.monotonic()
            unseen, self._looked = now - self._looked, now
            blind = isinstance(answer, StoreError) or not self._committer.is_current()
            if blind or unseen > self._options.host_ttl / 2:
                self.start_anew()
            if not isinstance(answer, StoreError):
                self._observe(answer)

        self._store.hosts(listed)

    def start_anew(self) -> None:
        """Nobody can be told dead by a store that does not answer, nor by a host that slept: all have a TTL again."""
        self._seen = {}

    def _observe(self, hosts: list[HostRow]) -> None:
        now = self._clock.monotonic()
        seen: dict[int, tuple[int, float]] = {}
        for host in hosts:
            if host.token == self._token:
                continue
            before = self._seen.get(host.token)
            if before is not None and before[0] == host.beat:
                seen[host.token] = before
                left = before[1] + self._options.host_ttl - now
                if left <= 0:
                    self._declare_dead(host)
                elif left < self._options.host_ttl / _LOOKS:
                    self._tick(left, self.watch)
            else:
                seen[host.token] = (host.beat, now)
        self._seen = seen
        others = tuple(sorted(seen))
        if others != self._others:
            # whoever is gone may have been declared dead by others, or here by a call whose answer was lost
            self._others = others
            self._look_later()
            self._registry.live = frozenset(others)
            self.on_abandoned_work()
            self.scan()
            self._timers.refill()
        self.on_alone(not others)
        names: dict[str, list[str]] = {}
        for host in hosts:
            for kind, listed in host.names.items():
                names.setdefault(kind, []).extend(listed)
        for kind, own in self._options.names.items():
            names.setdefault(kind, []).extend(own)
        app = self._options
        self._shift.catalog = Catalog(names, app.default_version, app.names, app.threadless)
        self._passed_over = self._shift.catalog.elsewhere()

    def _declare_dead(self, host: HostRow) -> None:
        token = self._token

        def declared(answer: bool | StoreError) -> None:
            if token == self._token and answer is True:
                self._seen.pop(host.token, None)
                self._others = tuple(sorted(self._seen))
                self._registry.live = frozenset(self._others)
                self.on_abandoned_work()
                self.scan()
                self._timers.refill()

        self._store.declare_dead(host.token, host.beat, declared)

    def _scan_pause(self) -> float:
        return self._options.scan_interval * (0.5 + self._clock.random())

    def _scan_tick(self) -> None:
        self.scan()
        self._registry.look()
        if self._others:
            self._timers.refill()
            self.on_abandoned_work()
        self._tick(self._scan_pause(), self._scan_tick)

    def left_behind(self) -> None:
        """An instance was created without an owner."""
        self._left_behind = True

    def starved(self) -> None:
        """This host has few instances to run: take what it left behind before."""
        if self._left_behind:
            self._left_behind = False
            self.scan()

    def scan(self) -> None:
        """Claim what is ready and owned by nobody, until there is nothing left or enough to do here."""
        if self._scanning or not self._token or self._registry.full:
            self._scan_again = self._scanning
            return
        self._scanning = True
        token = self._token

        def claimed(answer: list[Loaded] | StoreError) -> None:
            if token != self._token:
                return
            self._scanning = False
            if isinstance(answer, StoreError):
                self._telemetry.store_failed(str(answer))
                return
            self._registry.adopt_all(answer)
            if len(answer) >= _SCAN or self._scan_again:
                self._scan_again, self._left_behind = False, True
                if not self._busy():
                    self._clock.soon(self.starved)

        if self._busy():
            self._scanning, self._left_behind = False, True
            return
        self._store.claim_ready(token, _SCAN, claimed, passing_over=self._passed_over)

    def _busy(self) -> bool:
        return self._dispatcher.queued > _SCAN
