"""The scaling table: a fan-out of 100 activities of one second on one to four hosts, on PostgreSQL and on one SQLite
file.

    python -m bench.scaling_table [runs of each row, 3] [postgres|sqlite|both]

The ideal is the number of rounds. A gap is the time between the end of one activity and the begin of the next in the
same slot while work waits, from the times that the activities recorded. Needs the PostgreSQL binaries of the machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.host import WEBHOOK, free_port
from tests.postgres_server import PostgresServer

APP = Path(__file__).parent / "scaling_app"
COUNT = 100
#: hosts, maxConcurrentActivityFunctions, worker processes, threads of each
ROWS = [(1, 1, 1, 1), (1, 2, 2, 1), (4, 2, 2, 1), (1, 16, 1, 16)]
PUBLISHED = {(1, 1, 1, 1): "100 s", (1, 2, 2, 1): "50 s", (4, 2, 2, 1): "30 s"}


class Cluster:
    """Hosts on one store."""

    def __init__(self, folder: Path, store: str, hosts: int, limit: int, processes: int, threads: int) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self.urls: list[str] = []
        for number in range(hosts):
            app = folder / f"app{number}"
            shutil.copytree(APP, app)
            port = free_port()
            environment = {
                **os.environ,
                "PERDURE_STORE": store,
                "HOST_NAME": f"host{number}",
                "FUNCTIONS_WORKER_PROCESS_COUNT": str(processes),
                "PYTHON_THREADPOOL_THREAD_COUNT": str(threads),
                "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": str(limit),
            }
            log = (folder / f"host{number}.log").open("wb")
            self._processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "perdure", "start", "--port", str(port)],
                    cwd=app,
                    env=environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
            log.close()
            self.urls.append(f"http://127.0.0.1:{port}")
        for url in self.urls:
            self._wait(url)
        # each host learns of the others within a third of the time to live
        time.sleep(3.5 if hosts > 1 else 0.5)

    def _wait(self, url: str) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/admin/host/status", timeout=2).json().get("state") == "Running":
                    return
            time.sleep(0.05)
        raise RuntimeError(f"{url} does not start")

    def run(self, instance_id: str) -> tuple[float, list[list[Any]]]:
        """Seconds from the start to the end of one fan-out, and what its activities said."""
        begun = time.monotonic()
        httpx.post(f"{self.urls[0]}{WEBHOOK}/orchestrators/fan/{instance_id}", json=COUNT).raise_for_status()
        while True:
            status = httpx.get(f"{self.urls[0]}{WEBHOOK}/instances/{instance_id}").json()
            if status["runtimeStatus"] == "Completed":
                return time.monotonic() - begun, status["output"]
            if status["runtimeStatus"] not in ("Pending", "Running"):
                raise RuntimeError(str(status))
            time.sleep(0.02)

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(30)


def gaps(runs: list[list[Any]], slots: int) -> list[float]:
    """Seconds that slots of one process stood idle while activities waited: from an end to the next start there, as
    all activities are there from the first moment on."""
    found: list[float] = []
    by_process: dict[int, list[tuple[float, float]]] = {}
    for _, process, begun, ended in runs:
        by_process.setdefault(process, []).append((begun, ended))
    for times in by_process.values():
        free: list[float] = []
        for begun, ended in sorted(times):
            if len(free) >= slots:
                free.sort()
                found.append(begun - free.pop(0))
            free.append(ended)
    return found


@contextlib.contextmanager
def store(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty store."""
    if kind == "sqlite":
        (folder / "shared").mkdir()
        yield f"sqlite:///{folder}/shared/hub.db"
        return
    server = PostgresServer(fsync=True)
    server.make()
    try:
        yield server.url
    finally:
        server.remove()


def measure(kind: str, row: tuple[int, int, int, int], times: int) -> str:
    """One line of the table."""
    hosts, limit, processes, threads = row
    slots = hosts * min(limit, processes * threads)
    ideal = -(-COUNT // slots)
    with tempfile.TemporaryDirectory(prefix="perdure-scaling-") as name, store(kind, Path(name)) as url:
        cluster = Cluster(Path(name), url, *row)
        try:
            results = [cluster.run(f"run{number}") for number in range(times)]
        finally:
            cluster.stop()
    seconds = sorted(taken for taken, _ in results)
    idle = [gap for _, runs in results for gap in gaps(runs, min(limit, threads))]
    allowed = ideal * 1.04 + 0.5
    verdict = "ok" if seconds[-1] <= allowed else "MISSED"
    return (
        f"| {kind} | {hosts} x {limit} x {processes} ({threads} threads) | {PUBLISHED.get(row, '')} | {ideal} s "
        f"| {allowed:.2f} s | {', '.join(f'{one:.2f}' for one in seconds)} s | {statistics.median(idle) * 1000:.1f} ms "
        f"| {verdict} |"
    )


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    kinds = {"postgres": ["postgres"], "sqlite": ["sqlite"]}.get(
        sys.argv[2] if len(sys.argv) > 2 else "", ["postgres", "sqlite"]
    )
    print("| store | hosts x concurrency x processes | Azure | ideal | allowed | measured | median gap | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        for row in ROWS:
            print(measure(kind, row, times), flush=True)


if __name__ == "__main__":
    main()
