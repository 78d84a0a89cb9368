"""Does a purge of very many instances leave a host alone? Latency of chains beside it, and the host's memory.

python -m bench.purging [--instances 1000000] [--store sqlite|postgres] [--by http|command|retention]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import APP, QUIET
from tests.acceptance.host import WEBHOOK, Host
from tests.postgres_server import PostgresServer

#: what a copy has of its own in each table; `k.i` numbers the copies
OLD = "1767225600000000 + k.i"
UNTIL = "2026-01-01T00:10:00Z"
TABLES = {
    "instance": {"n": "{n}", "id": "'old-' || k.i", "created": OLD, "completed": OLD},
    "history": {"n": "{n}"},
    "attempt": {"n": "{n}"},
}
N = "(99 * 4294967296) + k.i"
console = Console()


class Store:
    """The database under the host, for statements of our own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def run(self, *statements: str) -> list[Any]:
        """The rows of the last one."""
        if self.url.startswith("sqlite"):
            with contextlib.closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                return [connection.execute(statement).fetchall() for statement in statements][-1]

        async def run() -> list[Any]:
            import asyncpg

            connection = await asyncpg.connect(self.url, command_timeout=900)
            await connection.execute("SET search_path = perdure")
            rows = [await connection.fetch(statement) for statement in statements][-1]
            await connection.close()
            return rows

        return asyncio.run(run())

    def columns(self, table: str) -> list[str]:
        if self.url.startswith("sqlite"):
            return [row[1] for row in self.run(f"PRAGMA table_info({table})")]
        text = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'perdure' AND table_name = '{}'"
        return [row[0] for row in self.run(text.format(table))]

    def fill(self, count: int) -> None:
        """Copies of the finished instance `seed`, with its history and attempts."""
        ((seed,),) = self.run("SELECT n FROM instance WHERE id = 'seed'")
        numbers = (
            f"(WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < {count}) SELECT i FROM k) k"
        )
        if not self.url.startswith("sqlite"):
            numbers = f"generate_series(1, {count}) AS k (i)"
        for table, own in TABLES.items():
            columns = self.columns(table)
            names = ", ".join(f'"{column}"' for column in columns)
            values = ", ".join(own.get(column, f'"{column}"').format(n=N) for column in columns)
            self.run(f"INSERT INTO {table} ({names}) SELECT {values} FROM {numbers}, {table} WHERE n = {seed}")

    def left(self) -> int:
        return int(self.run("SELECT count(*) FROM instance WHERE id LIKE 'old-%'")[0][0])


class Chains:
    """Starts one chain after the other, and keeps how long each took."""

    def __init__(self, host: Host) -> None:
        self._host, self._stop = host, threading.Event()
        self.seconds: list[float] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            begun = time.perf_counter()
            answer = self._host.post(f"{WEBHOOK}/orchestrators/hello3?timeout=60&pollingInterval=0.01", timeout=90)
            assert answer.status_code == 200, answer.text
            self.seconds.append(time.perf_counter() - begun)
            self._stop.wait(0.02)

    def __enter__(self) -> Chains:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def at(self, part: float) -> float:
        """Milliseconds of the chain at this part of all, sorted."""
        times = sorted(self.seconds)
        return times[min(len(times) - 1, int(len(times) * part))] * 1000


def resident(pid: int) -> float:
    """Megabytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Memory:
    """The most memory that a process had while this was open, in megabytes."""

    def __init__(self, pid: int) -> None:
        self._pid, self._stop, self.most = pid, threading.Event(), 0.0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with contextlib.suppress(OSError):
                self.most = max(self.most, resident(self._pid))

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def by_http(host: Host, store: Store) -> None:
    # what runs beside it stays
    answer = host.delete(f"{WEBHOOK}/instances?createdTimeFrom=2000-01-01&createdTimeTo={UNTIL}", timeout=3600)
    assert answer.status_code == 200, answer.text


def by_command(host: Host, store: Store) -> None:
    command = [sys.executable, "-m", "perdure", "durable", "purge-history", "--yes", "--created-before", UNTIL]
    command += ["--script-root", str(host.app)]
    environment = {**os.environ, "PERDURE_STORE": store.url}
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL) as process:
        with Memory(process.pid) as memory:
            assert process.wait(3600) == 0
        console.print(f"the command took {memory.most:.0f} MB at most")


def by_retention(host: Host, store: Store) -> None:
    while store.left():
        time.sleep(0.5)


WAYS: dict[str, Callable[[Host, Store], None]] = {
    "http": by_http,
    "command": by_command,
    "retention": by_retention,
}


@contextlib.contextmanager
def opened(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder}/bench.db"
        return
    server = PostgresServer(fsync=True)
    server.make()
    try:
        yield server.url
    finally:
        server.remove()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--by", choices=tuple(WAYS), default="http")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perdure-bench-", dir=os.environ.get("BENCH_TMP")) as made:
        folder = Path(made)
        with opened(asked.store, folder) as url:
            store = Store(url)
            host = Host(APP, folder, settings={**QUIET, "PERDURE_STORE": url})
            try:
                measure(host, store, asked.instances, asked.by)
            finally:
                host.close()
    return 0


def measure(host: Host, store: Store, count: int, way: str) -> None:
    host.start()
    host.begin_webhook("hello3", None, "seed")
    host.finished("seed")
    host.stop()
    store.fill(count)
    if not store.url.startswith("sqlite"):
        store.run("ANALYZE instance", "ANALYZE history")
    host.start()
    assert host.process is not None
    with Chains(host) as before:
        time.sleep(8)
    memory = resident(host.process.pid)
    if way == "retention":
        host.stop()
        host.settings["AzureFunctionsJobHost__extensions__perdure__retention__Completed"] = "00:00:01"
        host.start()
    begun = time.perf_counter()
    with Memory(host.process.pid) as most, Chains(host) as beside:
        WAYS[way](host, store)
    seconds = time.perf_counter() - begun
    left = store.left()
    table = Table("", "before", "beside the purge", title=f"{count} instances by {way} on {store.url.split(':')[0]}")
    for name, part in (("chain, median", 0.5), ("chain, p99", 0.99), ("chain, slowest", 1.0)):
        table.add_row(name, f"{before.at(part):.1f} ms", f"{beside.at(part):.1f} ms")
    table.add_row("host memory", f"{memory:.0f} MB", f"{most.most:.0f} MB at most")
    table.add_row("purged", "", f"{count - left} in {seconds:.0f} s: {(count - left) / seconds:.0f} a second")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
