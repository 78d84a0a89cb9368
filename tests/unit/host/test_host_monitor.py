"""What the log and the status say of the processes of a host, on a clock of the test's."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from perdure.host.telemetry.host_monitor import HostMonitor
from perdure.testing.clock import VirtualClock, VirtualTime


class FakeWorker:
    """Uses `share` of one processor and takes `latency` seconds to answer; None: it does not."""

    def __init__(self, clock: VirtualClock, name: str, pid: int, share: float, latency: float | None) -> None:
        self._clock = clock
        self.name, self.pid, self.share, self.latency = name, pid, share, latency
        self.pings = 0

    def ping(self, answered: Callable[[float], None]) -> None:
        self.pings += 1
        if self.latency is not None:
            self._clock.later(self.latency, lambda: answered(self._clock.monotonic() * self.share))


class Site:
    def __init__(self, cpus: int = 2, share: float = 0.5) -> None:
        self.time = VirtualTime()
        self.clock = VirtualClock(self.time)
        self.workers: list[FakeWorker] = []
        self.lines: list[str] = []
        self.share = share
        self.monitor = HostMonitor(
            self.clock,
            lambda: self.workers,
            self.lines.append,
            pid=4711,
            cpus=cpus,
            own_cpu=lambda: self.clock.monotonic() * self.share,
        )

    def worker(self, name: str, pid: int, share: float, latency: float | None) -> FakeWorker:
        self.workers.append(FakeWorker(self.clock, name, pid, share, latency))
        return self.workers[-1]


def test_every_ten_seconds_word_by_word() -> None:
    site = Site()
    site.worker("worker-1", 4712, 1.0, 0.001)
    site.worker("worker-2", 4713, 0.0, 0.0124)
    site.monitor.start()
    site.time.advance(10.0)
    assert site.lines == []
    site.time.advance(0.3)
    lines = [
        "[HostMonitor] Checking worker statuses (Count=2)",
        "[HostMonitor] Worker status: ID=worker-1, Latency=1ms",
        "[HostMonitor] Worker status: ID=worker-2, Latency=12ms",
        "[HostMonitor] Host process CPU stats (PID 4711): History=(25,25,25,25,25), AvgCpuLoad=25, MaxCpuLoad=25",
        "[HostMonitor] Host process CPU stats (PID 4712): History=(50,50,50,50,50), AvgCpuLoad=50, MaxCpuLoad=50",
        "[HostMonitor] Host process CPU stats (PID 4713): History=(0,0,0,0,0), AvgCpuLoad=0, MaxCpuLoad=0",
        "[HostMonitor] Host aggregate CPU load 75",
    ]
    assert site.lines == lines
    site.time.advance(10.0)
    assert site.lines == lines * 2
    site.time.advance(9.0)
    assert site.lines == lines * 2
    site.monitor.stop()
    site.time.advance(60.0)
    assert site.lines == lines * 2


def test_the_history_is_of_the_last_ten_seconds() -> None:
    site = Site(cpus=1, share=0.0)
    used = [0.0]
    site.monitor._own_cpu = lambda: used[0]
    site.monitor.start()
    for seconds in (0.2, 0.0, 1.0, 2.0, 0.4, 0.6):
        site.time.advance(1.0)
        used[0] += seconds
        site.time.advance(1.0)
    assert site.lines[1] == (
        "[HostMonitor] Host process CPU stats (PID 4711): History=(10,0,50,100,20), AvgCpuLoad=36, MaxCpuLoad=100"
    )
    (load,) = site.monitor.figures().processes
    assert load.history == (0, 50, 100, 20, 30)


def test_a_worker_that_does_not_answer_is_asked_once_and_its_silence_counts() -> None:
    site = Site()
    silent = site.worker("worker-1", 4712, 1.0, None)
    site.monitor.start()
    site.time.advance(10.25)
    assert silent.pings == 1
    assert site.lines[1] == "[HostMonitor] Worker status: ID=worker-1, Latency=10250ms"
    assert site.lines[3].endswith("(PID 4712): History=(), AvgCpuLoad=0, MaxCpuLoad=0")


def test_workers_come_and_go() -> None:
    site = Site()
    site.worker("worker-1", 4712, 1.0, 0.001)
    site.monitor.start()
    site.time.advance(7.0)
    site.workers = []
    site.worker("worker-2", 4713, 2.0, 0.001)
    site.time.advance(3.3)
    assert site.lines[:2] == [
        "[HostMonitor] Checking worker statuses (Count=1)",
        "[HostMonitor] Worker status: ID=worker-2, Latency=1ms",
    ]
    assert site.lines[3].endswith("(PID 4713): History=(100), AvgCpuLoad=100, MaxCpuLoad=100")


def test_the_same_figures_for_the_status() -> None:
    site = Site()
    site.worker("worker-1", 4712, 1.0, 0.003)
    assert msgspec.to_builtins(site.monitor.figures())["aggregateCpuLoad"] == 0
    site.monitor.start()
    site.time.advance(5.0)
    assert msgspec.to_builtins(site.monitor.figures()) == {
        "workers": ({"id": "worker-1", "processId": 4712, "latency": 3},),
        "processes": (
            {"processId": 4711, "history": (25, 25), "avgCpuLoad": 25, "maxCpuLoad": 25},
            {"processId": 4712, "history": (50, 50), "avgCpuLoad": 50, "maxCpuLoad": 50},
        ),
        "aggregateCpuLoad": 75,
    }
