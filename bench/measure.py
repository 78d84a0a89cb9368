"""A host under measurement: starts through the bench app's HTTP function, times from the rows of the store."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.host import Host

APP = Path(__file__).resolve().parent / "app"
ROOT = APP.parents[1]
QUIET = {"AzureFunctionsJobHost__logging__logLevel__default": "Warning"}


@dataclass(frozen=True)
class Run:
    """One workload: how many instances, seconds from the first start to the last completion, CPU seconds of all
    processes, latency of each instance in milliseconds, sorted."""

    count: int
    seconds: float
    cpu: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        return self.cpu / self.count * 1000

    def percentile(self, part: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * part))]


class Bench:
    """Workloads on one running host with a SQLite store in a folder of its own."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.database = folder / "bench.db"
        store = {"PERDURE_STORE": f"sqlite:///{self.database}"}
        self.host = Host(APP, folder, settings={**QUIET, **store, **(settings or {})})
        self.runs = 0

    def processes(self) -> list[int]:
        """The host and its descendants: workers live in process groups of their own."""
        assert self.host.process is not None
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                parent = int((entry / "stat").read_text().rsplit(") ", 1)[1].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
        found = [self.host.process.pid]
        for pid in found:
            found.extend(children.get(pid, ()))
        return found

    def cpu(self) -> float:
        """CPU seconds of all processes so far."""
        ticks = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Resident bytes of all processes."""
        pages = 0
        for pid in self.processes():
            with contextlib.suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def wakeups(self, seconds: float) -> float:
        """How often per second a thread of host or workers woke up, while nothing is asked of them."""

        def total() -> int:
            count = 0
            for pid in self.processes():
                for task in Path(f"/proc/{pid}/task").iterdir():
                    with contextlib.suppress(OSError):
                        found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.M)
                        count += int(found[1]) if found else 0
            return count

        before = total()
        time.sleep(seconds)
        return (total() - before) / seconds

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """A read-only look into the store."""
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as store:
            return store.execute(sql, values).fetchall()

    def start(self, name: str, count: int, given: Any = None) -> str:
        """Start instances; the prefix of their ids."""
        self.runs += 1
        prefix = f"run{self.runs}"
        answer = self.host.post(f"/api/start/{name}?n={count}&prefix={prefix}", given, timeout=600)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text}\n{self.host.log()[-2000:]}"
        return prefix

    def finish(self, prefix: str, count: int, seconds: float = 600) -> None:
        """Wait until all instances of a run have completed."""
        end = time.monotonic() + seconds
        while self.open(prefix):
            assert time.monotonic() < end, f"{self.open(prefix)} of {count} instances are open after {seconds} s"
            time.sleep(0.02)

    def open(self, prefix: str) -> int:
        sql = "select count(*) from Instances where id between ? and ? and completed is null"
        return int(self.query(sql, f"{prefix}-", f"{prefix}.")[0][0])

    def waiting(self) -> int:
        """Open instances that have run their first turn, of those named `waiting`."""
        sql = "select count(*) from Instances where name = 'waiting' and started is not null and completed is null"
        return int(self.query(sql)[0][0])

    def run(self, name: str, count: int, given: Any = None) -> Run:
        """Start instances at once and wait for all of them."""
        cpu = self.cpu()
        prefix = self.start(name, count, given)
        self.finish(prefix, count)
        return self.result([prefix], cpu)

    def run_alone(self, name: str, count: int) -> Run:
        """One instance at a time on an idle host: latency."""
        cpu = self.cpu()
        prefixes = []
        for _ in range(count):
            prefixes.append(self.start(name, 1))
            self.finish(prefixes[-1], 1)
        return self.result(prefixes, cpu)

    def result(self, prefixes: list[str], cpu: float) -> Run:
        sql = """select status, julianday(created) * 86400, julianday(completed) * 86400, duration
                 from Instances where id between ? and ?"""
        rows = [row for prefix in prefixes for row in self.query(sql, f"{prefix}-", f"{prefix}.")]
        assert {status for status, *_ in rows} == {"Completed"}, {status for status, *_ in rows}
        begun, ended = min(row[1] for row in rows), max(row[2] for row in rows)
        latencies = sorted(row[3] * 1000 for row in rows)
        return Run(len(rows), ended - begun, self.cpu() - cpu, latencies)


@contextlib.contextmanager
def bench(settings: dict[str, str] | None = None) -> Iterator[Bench]:
    """A host that is ready, on a fresh store (under BENCH_TMP, else the temporary folder)."""
    with tempfile.TemporaryDirectory(prefix="perdure-bench-", dir=os.environ.get("BENCH_TMP")) as folder:
        made = Bench(Path(folder), settings)
        try:
            made.host.start()
            yield made
        finally:
            made.host.close()


def floor(*arguments: str) -> str | None:
    """What the pipeline floor prints for these arguments; None where it is not here (PERDURE_BENCH_FLOOR names it)."""
    script = Path(os.environ.get("PERDURE_BENCH_FLOOR", ROOT.parent / "shared" / "bench" / "pipeline_floor.py"))
    if not script.exists():
        return None
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, check=True).stdout
