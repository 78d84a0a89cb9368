"""Does a step stay as cheap as it was? Ratios of one run; ends with 1 when one is beyond its bound.

python -m bench.growth [--waiting 100000] [--steps 5000]
"""

from __future__ import annotations

import argparse
import statistics
import sys

from rich.console import Console
from rich.table import Table

from bench.measure import Bench, bench

FLATNESS, BESIDE_SLEEPERS, IDLE = 1.3, 1.1, 1.2
console = Console()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--waiting", type=int, default=100_000, help="instances that wait for an event")
    parser.add_argument("--steps", type=int, default=5_000, help="activities of the long chain")
    asked = parser.parse_args()
    table = Table("check", "before", "after", "ratio", "bound", title="growth")
    failed: list[str] = []

    def check(name: str, before: float, after: float, bound: float, unit: str) -> None:
        ratio = after / before
        table.add_row(name, f"{before:.3g} {unit}", f"{after:.3g} {unit}", f"{ratio:.2f}", f"{bound}")
        if ratio > bound:
            failed.append(name)

    with bench() as host:
        host.run("hello3", 300)
        check("a step of one long chain, its first and last tenth", *long_chain(host, asked.steps), FLATNESS, "ms")
        chain, idle, memory = _chain(host), host.wakeups(5), host.memory()
        prefix = host.start("waiting", asked.waiting)
        check(f"a chain beside {asked.waiting} waiting instances", chain, _chain(host), BESIDE_SLEEPERS, "ms")
        check("wake-ups per second while idle", idle, host.wakeups(5), IDLE, "")
        grown = (host.memory() - memory) / asked.waiting
        table.add_row("memory per waiting instance", "", f"{grown:.0f} bytes", "", "")
        assert host.open(prefix) == asked.waiting
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


def _chain(host: Bench) -> float:
    """Milliseconds of wall time per chain of three, 1,000 at once: the median of five runs."""
    return statistics.median(1000 / host.run("hello3", 1000).rate for _ in range(5))


if __name__ == "__main__":
    sys.exit(main())
