"""W1 to W4 in small, beside the pipeline floor where it is on the machine; prints a table with ratios.

python -m bench.small
"""

from __future__ import annotations

import re
import sys

from rich.console import Console
from rich.table import Table

from bench.measure import Bench, Run, bench, floor

CHAINS, STEPS, FAN = 1000, 2000, 5000


def main() -> int:
    table = Table("workload", "perdure", "CPU, all processes", "floor", "perdure against floor", title="bench-small")
    with bench() as host:
        host.run("hello3", 200)  # both processes are warm afterwards
        chains(host, table)
        latency(host, table)
        long_chain(host, table)
        fan_out(host, table)
    Console().print(table)
    return 0


def chains(host: Bench, table: Table) -> None:
    run = host.run("hello3", CHAINS)
    alone = _number(r"([\d,.]+)/s", floor("hello3", str(CHAINS)))
    _row(table, f"W1 {CHAINS} chains of 3", run, (run.rate, alone), "{:,.0f}/s")


def latency(host: Bench, table: Table) -> None:
    alone = _number(r"p50 ([\d.]+)", floor("lat"))
    for name, steps in (("hello1", 1), ("hello3", 3)):
        run = host.run_alone(name, 100)
        against = alone if steps == 3 else None
        _row(table, f"W3 {steps} at idle, p50", run, (run.percentile(0.5), against), "{:.1f} ms")
        _row(table, f"W3 {steps} at idle, p99", run, (run.percentile(0.99), None), "{:.1f} ms")


def long_chain(host: Bench, table: Table) -> None:
    run = host.run("sequence", 1, STEPS)
    total = _number(r": ([\d.]+) s", floor("seq", "1", str(STEPS)))
    _row(
        table,
        f"W4 chain of {STEPS}",
        run,
        (run.seconds / STEPS * 1000, total and total / STEPS * 1000),
        "{:.2f} ms a step",
    )


def fan_out(host: Bench, table: Table) -> None:
    run = host.run("fan", 1, FAN)
    total = _number(r": ([\d.]+) s", floor("fan", "1", str(FAN)))
    _row(table, f"W2 fan-out of {FAN}", run, (FAN / run.seconds, total and FAN / total), "{:,.0f} activities/s")


def _row(table: Table, name: str, run: Run, figures: tuple[float, float | None], unit: str) -> None:
    ours, alone = figures
    cpu = f"{run.cpu_milliseconds:.2f} ms each" if run.count > 1 else f"{run.cpu:.2f} s"
    table.add_row(name, unit.format(ours), cpu, *((unit.format(alone), f"{ours / alone:.2f} x") if alone else ("", "")))


def _number(pattern: str, text: str | None) -> float | None:
    found = re.search(pattern, text or "")
    return float(found[1].replace(",", "")) if found else None


if __name__ == "__main__":
    sys.exit(main())
