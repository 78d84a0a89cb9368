"""Many hosts on one seeded heap of virtual time, with faults: the same task hub core that runs in production.

One seed decides everything: how many hosts there are, which clients do what, which faults come when, how long each
call takes. A seed that fails replays exactly. Faults stop after a while; then everything that was acknowledged has to
reach its right end.

    python -m perdure.testing.simulation --seeds 1000
"""

from __future__ import annotations

import argparse
import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.commit_plan import CommitAnswer, CommitBatch
from perdure.model.execution import (
    ActivityOutcome,
    ActivityRequest,
    EntityOutcome,
    EntityRequest,
    TurnDecided,
    TurnOutcome,
    TurnRequest,
)
from perdure.model.history import EventRaised
from perdure.model.operations import Done, Found, Operation, OperationAnswer, RaiseEvent, Refused
from perdure.sdk.codes import EntityCode, OrchestratorCode
from perdure.sdk.entity import run_batch
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions
from perdure.storage.memory import Fate, MemoryDatabase, MemoryStore
from perdure.storage.provider import Callback, StoreError
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub
from perdure.taskhub.interfaces import Clock, Wakes
from perdure.taskhub.options import HubOptions
from perdure.testing.client_scripts import Client, Sender, Violation
from perdure.testing.clock import VirtualClock, VirtualTime
from perdure.testing.entity_workloads import ENTITIES
from perdure.testing.executor import InProcessExecutor, TurnRunner
from perdure.testing.invariants import ALIVE, LIVE, Monitor
from perdure.testing.workloads import ACTIVITIES, CLIENTS, ORCHESTRATORS, run_activity

FAULTS = (
    "crash",
    "pause",
    "stop",
    "worker death",
    "eviction",
    "outage",
    "slow store",
    "failed calls",
    "lost answers",
    "lost wakes",
    "skewed clocks",
    "drain",
)


class Settings(Struct, frozen=True):
    """What a seed stands for. Times in virtual seconds. `hot` False: no sessions, every turn is a replay."""

    seed: int
    hosts: int
    clients: tuple[str, ...]
    faults: tuple[str, ...]
    hot: bool = True
    faults_end: float = 90.0
    limit: float = 1200.0


def settings_of(seed: int, *, hot: bool | None = None) -> Settings:
    """The settings that a seed stands for: some hosts, some clients, some kinds of faults."""
    random = Random(seed)
    kinds = list(CLIENTS)
    clients = tuple(random.choice(kinds) for _ in range(random.randint(4, 14)))
    faults = tuple(fault for fault in FAULTS if random.random() < 0.5)
    is_hot = random.random() < 0.75
    return Settings(seed, random.randint(1, 4), clients, faults, is_hot if hot is None else hot)


_CODE = {name.lower(): OrchestratorCode(function, name=name) for name, function in ORCHESTRATORS.items()}
_ENTITY_CODE = {name.lower(): EntityCode(function, name) for name, function in ENTITIES.items()}


class WatchedSessions:
    """Sessions that tell the monitor what they are used for."""

    def __init__(self, monitor: Monitor, options: SdkOptions, evicted: Callable[[int], None]) -> None:
        self._monitor = monitor
        self._sessions = Sessions(lambda name: _CODE.get(name.lower()), options, evicted)
        self._last: dict[int, TurnRequest] = {}

    def run(self, request: TurnRequest) -> TurnOutcome:
        outcome = self._sessions.run(request)
        if isinstance(outcome, TurnDecided):
            last = self._last.get(request.n)
            if last is not None and last.base_turn + 1 == request.base_turn and not outcome.replayed:
                self._monitor.session_continues(request, last)
            self._monitor.turn_decided(request, outcome)
            self._last[request.n] = request
        return outcome

    def drop(self, n: int) -> None:
        self._sessions.drop(n)
        self._last.pop(n, None)

    def close(self) -> None:
        self._sessions.close()


class WatchedFunctions:
    """The workloads' code, under the eyes of the monitor."""

    def __init__(self, monitor: Monitor, options: SdkOptions) -> None:
        self._monitor, self._options = monitor, options

    def sessions(self, evicted: Callable[[int], None]) -> TurnRunner:
        return WatchedSessions(self._monitor, self._options, evicted)

    def run_activity(self, request: ActivityRequest, now: int) -> ActivityOutcome:
        self._monitor.activity_starts(request)
        outcome = run_activity(request, now)
        self._monitor.activity_ran(request, outcome)
        return outcome

    def run_entity(self, request: EntityRequest) -> EntityOutcome:
        return run_batch(_ENTITY_CODE[request.name.lower()], request, self._options)


class WatchedStore(MemoryStore):
    """A host's connection; the monitor sees commits as they become visible, and hosts as they are declared dead."""

    monitor: Monitor
    world: World

    def declare_dead(self, token: int, seen_beat: int, done: Callback[bool]) -> None:
        def judged(answer: bool | StoreError) -> None:
            if answer is True:
                self.world.declared_dead(token)
            done(answer)

        super().declare_dead(token, seen_beat, judged)

    def _apply(self, batch: CommitBatch, seq: Any, passed_over: frozenset[int]) -> CommitAnswer:
        known = self.database.tables.hosts.get(batch.token)
        repeated = known is not None and known.number >= batch.number
        answer = super()._apply(batch, seq, passed_over)
        if not repeated:
            self.monitor.committed(batch, answer)
        return answer


class Host:
    """One host process, over its restarts."""

    hub: TaskHub
    client: HubClient
    clock: VirtualClock
    executor: InProcessExecutor

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.up = False
        self.incarnation = 0
        self.since = self.paused_until = 0

    def start(self) -> None:
        """Start the process."""
        world = self.world
        self.incarnation += 1
        seed = f"{world.settings.seed}/{self.name}/{self.incarnation}"
        skew = world.random.uniform(-300, 300) if world.faulty("skewed clocks") else 0.0
        self.clock = VirtualClock(world.time, seed, skew)
        store = world.store(self)
        functions = WatchedFunctions(world.monitor, world.sdk_options)
        self.executor = InProcessExecutor(self.clock, functions, slots=4, delay=world.code_delay)
        world.executors.append(self.executor)
        address = f"{self.name}/{self.incarnation}"
        options = HubOptions(address=address, host_instance=address, names=_NAMES)
        self.hub = world.hub(store, self.executor, self.clock, HostWakes(world, self), options)
        self.client = HubClient(self.hub)
        self.up = True
        self.since = world.time.now
        incarnation = self.incarnation
        self.hub.start(lambda *_: world.trace(f"{self.name}/{incarnation} is ready with token {self.token}"))
        world.trace(f"{address} starts")

    @property
    def token(self) -> int:
        return self.hub.token

    def crash(self) -> None:
        """kill -9."""
        self.world.trace(f"{self.name}/{self.incarnation} is killed")
        self.up = False
        self.clock.stop()
        self.executor.close()

    def stop(self) -> None:
        """SIGTERM: drain, then end."""
        self.world.trace(f"{self.name}/{self.incarnation} drains")
        self.up = False
        hub, clock, executor = self.hub, self.clock, self.executor

        def stopped() -> None:
            self.world.trace(f"{self.name} has stopped")
            clock.stop()
            executor.close()

        hub.retire()
        clock.later(clock.random(), lambda: hub.drain(lambda: hub.stop(stopped)))

    def drain(self) -> None:
        """Take nothing new, until `resume`."""
        self.world.trace(f"{self.name}/{self.incarnation} drains for a while")
        self.hub.drain(lambda: None)

    def resume(self) -> None:
        """Take work again."""
        if self.up:
            self.world.trace(f"{self.name}/{self.incarnation} resumes")
            self.hub.resume(lambda: None)


_NAMES = {
    "orchestration": tuple(name.lower() for name in ORCHESTRATORS),
    "activity": tuple(name.lower() for name in ACTIVITIES),
    "entity": tuple(name.lower() for name in ENTITIES),
}


class HostWakes:
    """Wakes over a network that loses, delays and repeats them; a `taskhub.interfaces.Wakes`."""

    def __init__(self, world: World, sender: Host) -> None:
        self.world, self.sender = world, sender

    def wake(self, token: int, n: int = 0) -> None:
        world = self.world
        random = world.random
        for host in world.hosts:
            if host is self.sender or not host.up or (token and host.token != token):
                continue
            copies = random.choice([0, 1, 2]) if world.faulty("lost wakes") else 1
            for _ in range(copies):
                delay = random.uniform(0, 2.0) if world.faulty("lost wakes") else random.uniform(0, 0.005)
                host.clock.later(delay, partial(host.hub.woken, n))


class Clientele:
    """A client program, run one operation after the other against hosts that are up."""

    def __init__(self, world: World, name: str, script: Callable[[str, Random, Sender], Client]) -> None:
        self.world, self.name = world, name
        self.done = False
        self.sender = Sender()
        self._host: Host | None = None
        self._waits = 0
        self._script = script(name, Random(f"{world.settings.seed}/{name}"), self.sender)

    def resume(self, answer: OperationAnswer | None) -> None:
        """Give the script its answer (None: none came, or it slept), and do what it asks for next."""
        self._waits += 1
        try:
            wish = self._script.send(answer) if self._waits > 1 else next(self._script)
        except StopIteration:
            self.done = True
            self.world.trace(f"{self.name} is content")
            return
        if isinstance(wish, (int, float)):
            self._later(wish, lambda: self.resume(None))
        else:
            self._ask(wish)

    def _ask(self, operation: Operation) -> None:
        world = self.world
        up = [host for host in world.hosts if host.up]
        if not up:
            self._later(1.0, lambda: self._ask(operation))
            return
        if self._host is None or not self._host.up:
            self._host = world.random.choice(up)
        host = self._host
        self.sender.name = f"{host.name}/{host.incarnation}"
        waits = self._waits

        def answered(answer: OperationAnswer | None) -> None:
            if self._waits != waits:
                return
            if answer is None or world.random.random() < 0.1:
                self._host = None
            world.trace(f"{self.name}: {_short(operation)} at {host.name} -> {_short(answer)}")
            if isinstance(answer, Done) and isinstance(operation, RaiseEvent):
                world.monitor.event_acknowledged(
                    operation.instance_id, EventRaised(operation.name, operation.input, operation.client)
                )
            self.resume(answer)

        self._later(30.0, lambda: answered(None))
        host.client.call(operation, answered)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self.world.time.at(self.world.time.now + round(seconds * 1_000_000), call)


class World:
    """One simulation. `hub` builds the task hub of a host (mutation tests plant their faults here)."""

    store_class: type[WatchedStore] = WatchedStore
    hub: Callable[[MemoryStore, InProcessExecutor, Clock, Wakes, HubOptions], TaskHub] = staticmethod(TaskHub)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.random = Random(settings.seed)
        self.time = VirtualTime()
        self.lines: deque[str] = deque(maxlen=400)
        self.database = MemoryDatabase(VirtualClock(self.time))
        self.sdk_options = SdkOptions(max_sessions=10000 if settings.hot else 0)
        replaying = SdkOptions(max_sessions=10)
        self.monitor = Monitor(
            self.database.tables,
            lambda: Sessions(lambda name: _CODE.get(name.lower()), replaying),
            self.database.clock.now,
        )
        self.healthy = False
        self.executors: list[InProcessExecutor] = []
        self.outage_until = 0
        #: an outage leaves what only reads
        self.readable = False
        self.hosts = [Host(self, f"host{number}") for number in range(settings.hosts)]
        self.clients = [
            Clientele(self, f"{kind}-{number}", CLIENTS[kind]) for number, kind in enumerate(settings.clients)
        ]

    def trace(self, text: str) -> None:
        """Remember a line for the report of a failure."""
        self.lines.append(f"{(self.time.now - self.time.start) / 1e6:12.6f} {text}")

    def faulty(self, fault: str) -> bool:
        """Whether this kind of fault happens now."""
        return not self.healthy and fault in self.settings.faults

    # -- parts of hosts

    def store(self, host: Host) -> MemoryStore:
        """A connection to the store for one incarnation of a host."""
        store = self.store_class(self.database, host.clock, lambda call: self._fate(host, call))
        store.monitor, store.world = self.monitor, self
        return store

    def declared_dead(self, token: int) -> None:
        """A host learned that another is dead. A live one must not be, only because the store was out for a while."""
        host = next((host for host in self.hosts if host.up and host.token == token), None)
        now = self.time.now
        if host is None or now - host.paused_until < _TTL or now - host.since < _TTL:
            return
        if self.outage_until and now - self.outage_until < _TTL:
            seconds = (now - self.outage_until) / 1_000_000
            text = f"{host.name} (token {token}) lives, and the store was out until {seconds} s ago"
            raise Violation(ALIVE, text)

    def code_delay(self, kind: str) -> float:
        """How long user code takes."""
        if kind == "activity":
            return self.random.choice([0.0, 0.001, 0.01, 0.5])
        return self.random.choice([0.0, 0.0, 0.001, 0.02])

    def _fate(self, host: Host, call: str) -> Fate:
        random = self.random
        slow = self.faulty("slow store") and random.random() < 0.2
        begin, visible, answer = (random.uniform(0, 1.5 if slow else 0.002) for _ in range(3))
        fate = Fate(begin, visible, answer)
        if self.time.now < self.outage_until and not (self.readable and call in _READING):
            fate = Fate(begin, visible, answer, "the store is out", lost=True, applied=False)
        elif self.faulty("lost answers") and random.random() < 0.03:
            fate = Fate(begin, visible, answer + random.choice([0.0, 3.0]), "connection lost", lost=True)
        elif self.faulty("failed calls") and random.random() < 0.03:
            fate = Fate(begin, visible, answer, "connection lost", lost=True, applied=False)
        if fate.error and call == "claim_work":
            fate = replace(fate, applied=False)
        if fate.error or call in ("commit", "claim", "claim_ready", "claim_work"):
            what = f" -> {fate.error}{', applied' if fate.applied else ''}" if fate.error else ""
            self.trace(f"{host.name}: {call}{what}")
        return fate

    # -- the course of events

    def run(self) -> None:
        """Run to the end. Raises `Violation`."""
        try:
            self._run()
        finally:
            for executor in self.executors:
                executor.close()

    def _run(self) -> None:
        settings = self.settings
        for host in self.hosts:
            self._at(self.random.uniform(0, 0.5), host.start)
        for client in self.clients:
            self._at(self.random.uniform(0, 30), lambda client=client: client.resume(None))  # type: ignore[misc]
        for fault in settings.faults:
            if fault in _BREAK:
                self._at(self.random.uniform(0, 30), lambda fault=fault: self._break(fault))  # type: ignore[misc]
        self._at(settings.faults_end, self._heal)
        if not self.time.run_until(lambda: self.healthy and all(c.done for c in self.clients), within=settings.limit):
            waiting = [client.name for client in self.clients if not client.done]
            text = f"after {settings.limit} s still not content: {', '.join(waiting)}\n"
            raise Violation(LIVE, text + "\n".join(self.monitor.standing(waiting)))
        self.time.advance(60.0)
        self.monitor.settled()

    def _at(self, seconds: float, call: Callable[[], None]) -> None:
        self.time.at(self.time.now + round(seconds * 1_000_000), call)

    def _break(self, fault: str) -> None:
        if self.healthy:
            return
        up = [host for host in self.hosts if host.up]
        if up:
            _BREAK[fault](self, self.random.choice(up))
        self._at(self.random.expovariate(1 / 12), lambda: self._break(fault))

    def _restart(self, host: Host) -> None:
        if not host.up:
            host.start()

    def crash(self, host: Host) -> None:
        host.crash()
        self._at(self.random.uniform(0.1, 20), lambda: self._restart(host))

    def pause(self, host: Host) -> None:
        seconds = self.random.choice([0.5, 3.0, 8.0, 15.0, 40.0])
        self.trace(f"{host.name} is paused for {seconds} s")
        host.clock.pause(seconds)
        host.paused_until = host.clock.paused_until

    def stop(self, host: Host) -> None:
        host.stop()
        self._at(self.random.uniform(5, 30), lambda: self._restart(host))

    def drain(self, host: Host) -> None:
        host.drain()
        self._at(self.random.choice([0.0, 0.01, 0.5, 3.0, 20.0]), host.resume)

    def kill_worker(self, host: Host) -> None:
        if host.executor.suspicion() >= HubOptions().max_worker_deaths:
            # one death more, and its failure would be the right output
            return
        self.trace(f"{host.name}: the worker dies")
        host.executor.die()

    def evict(self, host: Host) -> None:
        for n in host.executor.evictable():
            if self.random.random() < 0.5:
                host.executor.evict(n)

    def outage(self, host: Host) -> None:
        seconds = self.random.choice([0.5, 5.0, 20.0, 60.0])
        self.readable = self.random.random() < 0.4
        self.trace(f"the store {'takes nothing' if self.readable else 'is out'} for {seconds} s")
        self.outage_until = self.time.now + round(seconds * 1_000_000)

    def _heal(self) -> None:
        self.trace("faults stop")
        self.healthy = True
        self.outage_until = min(self.outage_until, self.time.now)
        for host in self.hosts:
            self._restart(host)
            host.resume()


#: calls that change nothing
_READING = frozenset({"hosts", "time", "waiting", "due_timers", "find", "read_inbox", "read_history", "recorded"})
#: of hosts, in microseconds
_TTL = round(HubOptions().host_ttl * 1_000_000)

_BREAK: dict[str, Callable[[World, Host], None]] = {
    "crash": World.crash,
    "pause": World.pause,
    "stop": World.stop,
    "drain": World.drain,
    "worker death": World.kill_worker,
    "eviction": World.evict,
    "outage": World.outage,
}


def _short(value: object) -> str:
    """A value for the trace."""
    if isinstance(value, Found):
        record = value.record
        return f"{record.status.label} n={record.n} turn={record.turn} owner={record.owner}"
    if isinstance(value, Refused):
        return f"refused, {value.code.value}"
    text = repr(value).replace(", client=False", "").replace(", with_history=False", "")
    return text if len(text) <= 120 else text[:117] + "..."


class Failure(Exception):
    """A seed whose simulation found something; the text is the report."""


def simulate(settings: Settings, *scripts: Callable[[str, Random, Sender], Client]) -> World:
    """Run one seed, with more clients if given. Raises `Failure` with seed, invariant and the end of the trace."""
    world = World(settings)
    world.clients += [Clientele(world, f"script-{number}", script) for number, script in enumerate(scripts)]
    try:
        world.run()
    except Exception as error:  # whatever a seed brings to light is reported with its trace
        tail = "\n".join(list(world.lines)[-60:])
        name = str(error) if isinstance(error, Violation) else f"{type(error).__name__}: {error}"
        raise Failure(f"{tail}\nseed {settings.seed} {settings}\n{name}") from error
    return world


def main() -> None:
    """Run seeds from the command line."""
    parser = argparse.ArgumentParser(prog="python -m perdure.testing.simulation", description=simulate.__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--keep-going", action="store_true", help="run the other seeds after a failure")
    arguments = parser.parse_args()
    failed, turns, hours = 0, 0, 0.0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        try:
            world = simulate(settings_of(seed))
        except Failure as failure:
            failed += 1
            print(failure, flush=True)
            if not arguments.keep_going:
                sys.exit(1)
            continue
        turns += world.monitor.turns
        hours += (world.time.now - world.time.start) / 3.6e9
    print(f"{arguments.seeds} seeds, {failed} failed; {turns} turns in {hours:.1f} simulated hours")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
