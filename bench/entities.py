"""W8: signals per second, latency of calls, and an entity with 100,000 queued signals; prints a table.

python -m bench.entities [queued]
"""

from __future__ import annotations

import itertools
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.measure import Bench, bench
from tests.acceptance.host import WEBHOOK

SIGNALS, CALLS, ALONE, QUEUED = 20_000, 1000, 100, 100_000


def main() -> int:
    queued = int(sys.argv[1]) if len(sys.argv) > 1 else QUEUED
    table = Table("workload", "result", "CPU, all processes", title="bench-entities")
    with bench() as host:
        send(host, "warm", 500, 1)  # both processes are warm afterwards
        signals(host, table, 1)
        signals(host, table, 100)
        calls(host, table)
        backlog(host, table, queued)
    Console().print(table)
    return 0


def signals(host: Bench, table: Table, keys: int) -> None:
    """Through the client of a function, until the last one has taken effect."""
    cpu, begun, key = host.cpu(), time.perf_counter(), f"s{keys}"
    sending = send(host, key, SIGNALS, keys)
    wait(host, key, keys, SIGNALS)
    seconds = time.perf_counter() - begun
    each = (host.cpu() - cpu) / SIGNALS * 1000
    name = f"W8 {SIGNALS:,} signals to {keys} entities"
    table.add_row(name, f"{SIGNALS / seconds:,.0f}/s (sent at {SIGNALS / sending:,.0f}/s)", f"{each:.2f} ms each")


def calls(host: Bench, table: Table) -> None:
    run = host.run_alone("call1", ALONE)
    p50, p99 = run.percentile(0.5), run.percentile(0.99)
    table.add_row("W8 start to end of one call, idle", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", "")
    run = host.run("calls", 1, CALLS)
    table.add_row(
        "W8 call after call", f"{run.seconds / CALLS * 1000:.2f} ms each", f"{run.cpu / CALLS * 1000:.2f} ms each"
    )


def backlog(host: Bench, table: Table, queued: int) -> None:
    """A queue that builds up behind a lock, then works off."""
    prefix = host.start("hold", 1, "queue-0")
    cpu, begun = host.cpu(), time.perf_counter()
    send(host, "queue", queued, 1)
    table.add_row(f"{queued:,} signals behind a lock", f"{queued / (time.perf_counter() - begun):,.0f}/s", "")
    memory = host.memory()
    host.host.post(f"{WEBHOOK}/instances/{prefix}-0/raiseEvent/go", 1)
    begun, marks, reads = time.perf_counter(), [0.0], []
    while len(marks) <= 10:
        asked = time.perf_counter()
        value = read(host, "queue-0")
        reads.append((time.perf_counter() - asked) * 1000)
        while len(marks) <= 10 and value >= queued * len(marks) // 10:
            marks.append(time.perf_counter() - begun)
        time.sleep(0.01)
    tenths = [queued / 10 / max(after - before, 1e-9) for before, after in itertools.pairwise(marks)]
    each = (host.cpu() - cpu) / queued * 1000
    table.add_row(f"{queued:,} queued, worked off", f"{queued / marks[-1]:,.0f}/s", f"{each:.2f} ms each")
    table.add_row("its slowest and fastest tenth", f"{min(tenths):,.0f}/s, {max(tenths):,.0f}/s", "")
    reads.sort()
    table.add_row("reading its state meanwhile", f"p50 {reads[len(reads) // 2]:.1f} ms, max {reads[-1]:.1f} ms", "")
    table.add_row("memory of all processes", f"{memory / 1e6:,.0f} MB queued, {host.memory() / 1e6:,.0f} MB after", "")


def send(host: Bench, key: str, count: int, keys: int) -> float:
    """Send signals; the seconds that it took the function."""
    answer = host.host.post(f"/api/signal/{key}?n={count}&keys={keys}", timeout=600)
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}\n{host.host.log()[-2000:]}"
    seconds: float = answer.json()["seconds"]
    return seconds


def read(host: Bench, key: str) -> int:
    answer = host.host.get(f"{WEBHOOK}/entities/counter/{key}")
    return int(answer.json()) if answer.status_code == 200 else 0


def wait(host: Bench, key: str, keys: int, total: int, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    for number in range(keys):
        while (value := read(host, f"{key}-{number}")) < total // keys:
            assert time.monotonic() < end, f"{key}-{number} is at {value} after {seconds} s"
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main())
