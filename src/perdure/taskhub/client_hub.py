"""A hub as scripts and the command line see it: it commits what clients ask for and never runs an instance."""

from __future__ import annotations

from collections.abc import Callable

from perdure.engine.catalog import Catalog
from perdure.model.commit_plan import Message, MessageVerdict, NewInstance
from perdure.model.instance import instance_number
from perdure.storage.provider import HostRegistration, HostRow, Registered, StoreError
from perdure.taskhub.committer import Committer
from perdure.taskhub.instance import Instance
from perdure.taskhub.interfaces import Clock, Store, Timer, Wakes
from perdure.taskhub.options import HubOptions
from perdure.taskhub.telemetry import Telemetry

_BEATS = 3
_RETRY_SECONDS = 0.2


class UncheckedCatalog(Catalog):
    """No host is up that could say which functions there are: every name may be one."""

    def unknown(self, kind: str, name: str) -> str | None:
        return None


class _Numbers:
    """The numbers of new instances, and the functions that live hosts list."""

    def __init__(self) -> None:
        self.catalog: Catalog = UncheckedCatalog({})
        self._token = self._counter = 0

    def begin(self, token: int) -> None:
        self._token, self._counter = token, 0

    def next_number(self) -> int:
        return instance_number(self._token, self._counter)

    def use_numbers(self, count: int) -> None:
        self._counter += count

    def new_number(self) -> int:
        self._counter += 1
        return instance_number(self._token, self._counter - 1)


class _NoInstances:
    """Nothing is in memory here; messages are brought to the host that owns their instance."""

    def __init__(self, wakes: Wakes) -> None:
        self._wakes = wakes

    def has_room(self) -> bool:
        return False

    def created(self, new: NewInstance) -> None:
        raise AssertionError("a client owns no instance")

    def message_committed(self, message: Message, verdict: MessageVerdict) -> None:
        self._wakes.wake(verdict.owner, verdict.n)

    def arrived(self, n: int) -> None:
        self._wakes.wake(0, n)

    def get(self, n: int) -> Instance | None:
        return None

    def abandon(self, instance: Instance) -> None:
        raise AssertionError("a client owns no instance")


class ClientHub:
    """Registers without functions, so that no host leaves work to it; starts are left to the hosts of the hub."""

    def __init__(
        self, store: Store, clock: Clock, wakes: Wakes, options: HubOptions, telemetry: Telemetry | None = None
    ) -> None:
        self.store, self.clock, self.wakes, self.options = store, clock, wakes, options
        self.telemetry = telemetry or Telemetry()
        self.committer = Committer(store, clock, options, self.telemetry)
        self.committer.on_dead = self._token_lost
        self.shift = _Numbers()
        self.registry = _NoInstances(wakes)
        self.token = 0
        self.accepting = False
        self._tick: Timer | None = None

    def left_behind(self, not_before: int) -> None:
        """Instances are always left to the hosts: tell them that there is one."""
        self.wakes.wake(0)

    def start(self, done: Callable[[StoreError | None], None]) -> None:
        """Get a token and learn which functions the live hosts have."""
        options = self.options
        registration = HostRegistration(options.address, options.host_instance, {}, "", options.host_ttl)

        def registered(answer: Registered | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(answer)
                return
            self.token = answer.token
            self.committer.begin(answer.token, answer.time)
            self.shift.begin(answer.token)
            self._look(listed)

        def listed() -> None:
            self.accepting = True
            self._tick = self.clock.later(options.host_ttl / _BEATS, self._beat)
            done(None)

        self.store.register(registration, registered)

    def _look(self, then: Callable[[], None]) -> None:
        def listed(answer: list[HostRow] | StoreError) -> None:
            if not isinstance(answer, StoreError):
                self.shift.catalog = catalog_of(answer)
            then()

        self.store.hosts(listed)

    def _beat(self) -> None:
        token, asked = self.token, self.clock.monotonic()
        if not token:
            return

        def beaten(answer: bool | StoreError) -> None:
            if token == self.token and answer is False:
                self._token_lost()
            elif token == self.token and answer is True:
                self.committer.succeeded(asked)

        self.store.beat(token, beaten)
        self._look(lambda: None)
        self._tick = self.clock.later(self.options.host_ttl / _BEATS, self._beat)

    def _token_lost(self) -> None:
        """Hosts took this client for dead, as after a long sleep of the machine: go on under a new token."""
        self._end()

        def again(answer: StoreError | None) -> None:
            if answer is not None:
                self.clock.later(_RETRY_SECONDS, lambda: self.start(again))

        self.start(again)

    def _end(self) -> int:
        token, self.token, self.accepting = self.token, 0, False
        if self._tick is not None:
            self._tick.cancel()
        self.committer.stop()
        return token

    def stop(self, done: Callable[[], None]) -> None:
        """Commit what was asked for, then close the token."""
        self.accepting = False

        def idle() -> None:
            token = self._end()
            if token:
                self.store.close(token, lambda answer: done())
            else:
                done()

        if self.token:
            self.committer.when_idle(idle)
        else:
            idle()


def catalog_of(hosts: list[HostRow]) -> Catalog:
    """What the live hosts of a hub can run; anything, when none is up."""
    names: dict[str, list[str]] = {}
    for host in hosts:
        for kind, listed in host.names.items():
            names.setdefault(kind, []).extend(listed)
    return Catalog(names) if any(names.values()) else UncheckedCatalog({})
