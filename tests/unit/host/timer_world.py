"""Hosts with timers on one setting store, in virtual time."""

from __future__ import annotations

import heapq
import itertools
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any
from zoneinfo import ZoneInfo

from perdure.host.triggers.schedule import SECOND, parse_schedule
from perdure.host.triggers.timer import Firing, Retry, TimerPorts, TimerTrigger
from perdure.host.triggers.timer_listener import TimerListener
from perdure.storage.provider import HostRow, StoreError

BEAT_EVERY = 3.0
TTL = 9.0


class Call:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class World:
    """Real time in seconds, a store with latency, and hosts whose clocks may be wrong."""

    def __init__(self, start: str, zone: str = "UTC") -> None:
        moment = datetime.fromisoformat(start)
        self.epoch = int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()) * SECOND
        self.zone = ZoneInfo(zone)
        self.time = 0.0
        self._heap: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self.settings: dict[str, str] = {}
        self.live: dict[int, int | None] = {}  # the last beat of those that stand still
        self.tokens = itertools.count(1)
        self.runs: list[Run] = []
        self.logs: list[tuple[int, str]] = []
        self.failing = False  # every call fails
        self.lose_answers = 0  # so many writes are applied and answered as lost
        self.calls = 0

    def at(self, delay: float, call: Callable[[], None]) -> Call:
        entry = Call(call)
        heapq.heappush(self._heap, (self.time + max(delay, 0.0), next(self._order), entry))
        return entry

    def run(self, seconds: float) -> None:
        end = self.time + seconds
        while self._heap and self._heap[0][0] <= end:
            self.time, _, entry = heapq.heappop(self._heap)
            if entry.call is not None:
                entry.call()
        self.time = end

    def run_until(self, text: str) -> None:
        self.run(
            (int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp()) * SECOND - self.now()) / SECOND
        )

    def now(self) -> int:
        return self.epoch + round(self.time * SECOND)

    def beat(self) -> int:
        return int(self.time / BEAT_EVERY)

    def host_rows(self) -> list[HostRow]:
        now = self.beat()
        return [
            HostRow(token, now if still is None else still, False, "", "", {}) for token, still in self.live.items()
        ]

    @property
    def record(self) -> dict[str, Any]:
        return json.loads(self.settings["tick"])  # type: ignore[no-any-return]

    def times(self) -> list[str]:
        """Real times of the starts of all runs."""
        return [
            datetime.fromtimestamp(run.real // SECOND, timezone.utc).strftime("%m-%d %H:%M:%S") for run in self.runs
        ]

    def host(self, schedule: str, **options: Any) -> Host:
        return Host(self, schedule, **options)


class Run:
    def __init__(self, host: Host, firing: Firing, done: Callable[[bool], None]) -> None:
        self.host, self.firing, self.done = host, firing, done
        self.real = host.world.now()
        self.payload = json.loads(firing.payload)
        self.past_due: bool = self.payload["IsPastDue"]
        self.ended = False


class Host:
    """One host: clock, store and fire ports of a listener. `duration`: seconds that a run takes, None for ever."""

    def __init__(
        self,
        world: World,
        schedule: str,
        *,
        duration: float | None = 0.5,
        startup: bool = False,
        monitor: bool = True,
        skew: float = 0.0,
        retry: Retry | None = None,
        succeeds: bool = True,
        latency: float = 0.001,
    ) -> None:
        self.world, self.duration, self.skew, self.succeeds, self.latency = world, duration, skew, succeeds, latency
        self.alive = True
        self.token = next(world.tokens)
        world.live[self.token] = None
        trigger = TimerTrigger("tick", parse_schedule(schedule, world.zone), startup, monitor, retry)
        ports = TimerPorts(self, self.now, self, lambda: self.token, self.fire, self.log, world.zone, world.zone.key)  # type: ignore[arg-type]
        self.listener = TimerListener(trigger, ports)
        self.listener.start()

    def kill(self) -> None:
        """The process ends at once; the others learn of it after the time to live."""
        self.alive = False
        self.world.live[self.token] = self.world.beat()
        self.world.at(TTL, lambda: self.world.live.pop(self.token, None))

    def close(self) -> None:
        self.alive = False
        self.world.live.pop(self.token, None)

    # clock
    def now(self) -> int:
        return self.world.now() + round(self.skew * SECOND)

    def later(self, seconds: float, call: Callable[[], None]) -> Call:
        return self.world.at(seconds, lambda: call() if self.alive else None)

    # store
    def _answer(self, done: Callable[[Any], None], work: Callable[[], Any]) -> None:
        self.world.calls += 1

        def begin() -> None:
            answer: Any = StoreError("out of order") if self.world.failing else work()
            self.world.at(self.latency / 2, lambda: done(answer) if self.alive else None)

        self.world.at(self.latency / 2, begin)

    def get_setting(self, kind: str, key: str, done: Callable[[Any], None]) -> None:
        self._answer(done, lambda: self.world.settings.get(key))

    def put_setting(
        self, kind: str, key: str, value: str | None, expected: str | None, done: Callable[[Any], None]
    ) -> None:
        def put() -> bool | StoreError:
            if self.world.settings.get(key) != expected:
                return False
            assert value is not None
            self.world.settings[key] = value
            if self.world.lose_answers:
                self.world.lose_answers -= 1
                return StoreError("connection lost", lost=True)
            return True

        self._answer(done, put)

    def hosts(self, done: Callable[[Any], None]) -> None:
        self._answer(done, self.world.host_rows)

    # function
    def fire(self, firing: Firing, done: Callable[[bool], None]) -> None:
        run = Run(self, firing, done)
        assert all(other.ended or not other.host.alive for other in self.world.runs[-8:]), "runs overlap"
        self.world.runs.append(run)
        if self.duration is not None:
            self.world.at(self.duration, lambda: self.end(run))

    def end(self, run: Run) -> None:
        if self.alive:
            run.ended = True
            run.done(self.succeeds)

    def log(self, level: int, text: str) -> None:
        self.world.logs.append((level, text))
