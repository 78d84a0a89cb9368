"""How host and workers are: the latency of each worker's channel and what each process takes of the CPUs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

from msgspec import Struct

from perdure.taskhub.interfaces import Clock, Timer

#: seconds between two samples, and samples that are kept: those of the time between two reports
SAMPLE, HISTORY = 2.0, 5
#: seconds that workers get to answer before a report
_ANSWER = 0.25


class Watched(Protocol):
    """A worker process."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...

    def ping(self, answered: Callable[[float], None]) -> None:
        """Ask it for the CPU seconds that it has used so far; it answers over its channel, or never."""


class WorkerStatus(Struct, frozen=True, rename="camel"):
    """`latency` in milliseconds: from a ping to its answer, or since the ping that has not been answered."""

    id: str
    process_id: int
    latency: int


class ProcessLoad(Struct, frozen=True, rename="camel"):
    """Per cent of all processors that this host may use, oldest sample first."""

    process_id: int
    history: tuple[int, ...]
    avg_cpu_load: int
    max_cpu_load: int


class Figures(Struct, frozen=True, rename="camel"):
    """What is known at one moment."""

    workers: tuple[WorkerStatus, ...]
    processes: tuple[ProcessLoad, ...]
    aggregate_cpu_load: int


def report(figures: Figures) -> list[str]:
    """The lines of the log."""
    lines = [f"[HostMonitor] Checking worker statuses (Count={len(figures.workers)})"]
    lines += [f"[HostMonitor] Worker status: ID={w.id}, Latency={w.latency}ms" for w in figures.workers]
    for load in figures.processes:
        history = ",".join(map(str, load.history))
        lines.append(
            f"[HostMonitor] Host process CPU stats (PID {load.process_id}): History=({history}), "
            f"AvgCpuLoad={load.avg_cpu_load}, MaxCpuLoad={load.max_cpu_load}"
        )
    return [*lines, f"[HostMonitor] Host aggregate CPU load {figures.aggregate_cpu_load}"]


class _Process:
    """The samples of one process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.shares: deque[float] = deque(maxlen=HISTORY)
        self.latency = 0.0
        #: when a ping was sent that is not answered yet
        self.asked: float | None = None
        self._used: tuple[float, float] | None = None

    def sample(self, cpu: float, now: float, cpus: int) -> None:
        """The process has used `cpu` seconds of its processors by `now`."""
        if self._used is not None and now > self._used[1]:
            share = (cpu - self._used[0]) / (now - self._used[1]) / cpus * 100
            self.shares.append(min(100.0, max(0.0, share)))
        self._used = cpu, now

    @property
    def average(self) -> float:
        return sum(self.shares) / len(self.shares) if self.shares else 0.0

    def load(self) -> ProcessLoad:
        highest = max(self.shares, default=0.0)
        return ProcessLoad(self.pid, tuple(map(round, self.shares)), round(self.average), round(highest))


class HostMonitor:
    """Samples while it is started, and reports after every `HISTORY` samples."""

    def __init__(
        self,
        clock: Clock,
        workers: Callable[[], Iterable[Watched]],
        write: Callable[[str], None],
        *,
        pid: int,
        cpus: int,
        own_cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._workers, self._write = clock, workers, write
        self._cpus, self._own_cpu = cpus, own_cpu
        self._host = _Process(pid)
        self._known: dict[str, _Process] = {}
        self._samples = 0
        self._timers: list[Timer] = []

    def start(self) -> None:
        """Begin to sample."""
        self._sample()

    def stop(self) -> None:
        """Sample no more."""
        for timer in self._timers:
            timer.cancel()

    def _sample(self) -> None:
        now = self._clock.monotonic()
        self._host.sample(self._own_cpu(), now, self._cpus)
        known, self._known = self._known, {}
        for worker in self._workers():
            process = self._known[worker.name] = known.get(worker.name) or _Process(worker.pid)
            if process.asked is None:
                process.asked = now
                worker.ping(partial(self._answered, process))
        self._timers = [self._clock.later(SAMPLE, self._sample)]
        if self._samples and self._samples % HISTORY == 0:
            self._timers.append(self._clock.later(_ANSWER, self._report))
        self._samples += 1

    def _answered(self, process: _Process, cpu: float) -> None:
        now = self._clock.monotonic()
        assert process.asked is not None
        process.latency, process.asked = now - process.asked, None
        process.sample(cpu, now, self._cpus)

    def _report(self) -> None:
        for line in report(self.figures()):
            self._write(line)

    def figures(self) -> Figures:
        """What is known now."""
        now = self._clock.monotonic()
        processes = [self._host, *self._known.values()]
        return Figures(
            tuple(
                WorkerStatus(
                    name, process.pid, round(1000 * (process.latency if process.asked is None else now - process.asked))
                )
                for name, process in self._known.items()
            ),
            tuple(process.load() for process in processes),
            round(sum(process.average for process in processes)),
        )
