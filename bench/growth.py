"""Does a step stay as cheap as it was? Ratios of one run; ends with 1 when one is beyond its bound.

python -m bench.growth [--waiting 100000] [--steps 5000]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.measure import Bench, bench

FLATNESS, SETTLING, BESIDE_SLEEPERS, IDLE = 1.3, 1.5, 1.1, 1.2
PAIRS = 15
console = Console()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--waiting", type=int, default=100_000, help="instances that wait for an event")
    parser.add_argument("--steps", type=int, default=5_000, help="activities of the long chain")
    asked = parser.parse_args()
    table = Table("check", "before", "after", "ratio", "bound", title="growth")
    failed: list[str] = []

    def check(name: str, before: float, after: float, ratio: float, bound: float, unit: str) -> None:
        table.add_row(name, f"{before:.3g} {unit}", f"{after:.3g} {unit}", f"{ratio:.2f}", f"{bound}")
        if ratio > bound:
            failed.append(name)

    with bench() as host, bench() as empty:
        for one in (host, empty):
            one.run("hello3", 1000)
        first, last = long_chain(host, asked.steps)
        check("a step of one long chain, its first and last tenth", first, last, last / first, FLATNESS, "ms")
        idle, memory = host.wakeups(5), host.memory()
        started, settled = sleepers(host, asked.waiting)
        name = f"{asked.waiting} instances started, and waiting for their event"
        check(name, asked.waiting / started, asked.waiting / settled, settled / started, SETTLING, "/s")
        check(
            f"a chain on a host without, and beside {asked.waiting} waiting instances",
            *beside(empty, host),
            BESIDE_SLEEPERS,
            "ms",
        )
        after = host.wakeups(5)
        check("wake-ups per second while idle", idle, after, after / idle, IDLE, "")
        grown = (host.memory() - memory) / asked.waiting
        table.add_row("memory per waiting instance", "", f"{grown:.0f} bytes", "", "")
        assert host.waiting() == asked.waiting
    console.print(table)
    if failed:
        console.print(f"beyond their bounds: {', '.join(failed)}", style="red")
    return 1 if failed else 0


def long_chain(host: Bench, steps: int) -> tuple[float, float]:
    """Milliseconds of a step in the first and in the last tenth of one chain, by the times in its history."""
    prefix = host.start("sequence", 1, steps)
    host.finish(prefix, 1)
    sql = "select microseconds from HistoryEvents where instance = ? and event_type = 'TaskCompleted' order by sequence"
    times = [row[0] / 1000 for row in host.query(sql, f"{prefix}-0")]
    assert len(times) == steps
    tenth = steps // 10
    return (times[tenth] - times[0]) / tenth, (times[-1] - times[-1 - tenth]) / tenth


def sleepers(host: Bench, count: int) -> tuple[float, float]:
    """Seconds until so many instances are started, and until all have run their first turn and wait."""
    begun = time.monotonic()
    host.start("waiting", count)
    started = time.monotonic() - begun
    while host.waiting() < count:
        assert time.monotonic() - begun < 600, f"{host.waiting()} of {count} instances wait for their event"
        time.sleep(0.05)
    return started, time.monotonic() - begun


def beside(empty: Bench, host: Bench) -> tuple[float, float, float]:
    """Milliseconds of wall time per chain of three, 1,000 at once, on both hosts in turn: the medians, and the median
    of the ratios, which is the same whatever else the machine does meanwhile."""
    alone, loaded = [], []
    for _ in range(PAIRS):
        alone.append(1000 / empty.run("hello3", 1000).rate)
        loaded.append(1000 / host.run("hello3", 1000).rate)
    ratios = [after / before for before, after in zip(alone, loaded, strict=True)]
    return statistics.median(alone), statistics.median(loaded), statistics.median(ratios)


if __name__ == "__main__":
    sys.exit(main())
