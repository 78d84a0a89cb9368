"""Hosts under load while they are killed, paused, stopped and started, and the database is restarted.

    python -m tests.chaos [seconds, 600] [hosts, 4] [postgres|sqlite] [seed]

Everything that was acknowledged must complete once, with the right output; the histories are read at the end. Prints
how long an instance of a killed host takes to go on. Exits with 1 when something is wrong.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.host import APPS, WEBHOOK, Host
from tests.postgres_server import PostgresServer

PAUSE_SECONDS = 6.0
#: seconds between two faults
EVERY = (1.0, 4.0)
SETTLE_SECONDS = 120.0


class Load:
    """Starts work on any host, and keeps what was acknowledged with what must come of it."""

    def __init__(self, hosts: list[Host], seed: int) -> None:
        self._hosts, self._random = hosts, random.Random(seed)
        self.chains: dict[str, int] = {}
        self.waits: list[str] = []
        #: what was answered that cannot be
        self.wrong: list[str] = []
        self.signals: Counter[str] = Counter()
        self.doubtful: Counter[str] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(3)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def post(self, path: str, body: Any) -> int | None:
        """Ask some host; the status of its answer, None where none came."""
        host = self._random.choice(self._hosts)
        try:
            return httpx.post(host.url + path, json=body, timeout=5).status_code
        except httpx.TransportError:
            return None

    def _run(self, worker: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"{worker}-{count}"
            kind = self._random.randrange(3)
            if kind == 0:
                steps = self._random.randrange(1, 12)
                path = f"{WEBHOOK}/orchestrators/chain/c{name}"
                if self.post(path, {"steps": steps, "seconds": self._random.random() * 0.2}) == 202:
                    self.chains[f"c{name}"] = steps
            elif kind == 1:
                if self.post(f"{WEBHOOK}/orchestrators/waits/w{name}", 2) == 202:
                    self.waits.append(f"w{name}")
                    self._raise_two(f"w{name}")
            else:
                key = f"k{self._random.randrange(5)}"
                if self.post(f"{WEBHOOK}/entities/counter/{key}?op=add", 1) == 202:
                    self.signals[key] += 1
                else:
                    self.doubtful[key] += 1
            time.sleep(0.02)

    def _raise_two(self, name: str) -> None:
        """Both events that the instance waits for: who got no answer asks again."""
        sent, doubtful = 0, False
        while sent < 2:
            status = self.post(f"{WEBHOOK}/instances/{name}/raiseEvent/go", sent)
            if status == 202:
                sent += 1
            elif status in (None, 503):
                doubtful = True
            else:
                # 410 is right where one was taken whose answer was lost: asked again, it was the second already
                if status != 410 or not doubtful:
                    self.wrong.append(f"{name}: {status} for event {sent + 1} of 2")
                return


class Faults:
    """What is done to the hosts, one thing after the other."""

    def __init__(self, hosts: list[Host], server: PostgresServer | None, seed: int) -> None:
        self._hosts, self._server, self._random = hosts, server, random.Random(seed)
        self.done: Counter[str] = Counter()
        self.resumed: list[float] = []

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(self._random.uniform(*EVERY))
            faults = [self._kill, self._kill, self._pause, self._stop] + ([self._restart] if self._server else [])
            fault = self._random.choice(faults)
            fault()
            self.done[fault.__name__.strip("_")] += 1

    def _kill(self) -> None:
        victim, witness = self._random.sample(self._hosts, 2)
        name = f"probe{len(self.resumed)}-{self._random.random()}"
        started = False
        with contextlib.suppress(httpx.TransportError):
            started = victim.post(f"{WEBHOOK}/orchestrators/waits/{name}", json=1).status_code == 202
        victim.kill()
        if started:
            begun = time.monotonic()
            self._until(lambda: witness.post(f"{WEBHOOK}/instances/{name}/raiseEvent/go", json=0).status_code == 202)
            self._until(lambda: (witness.status(name) or {}).get("runtimeStatus") == "Completed")
            self.resumed.append(time.monotonic() - begun)
        victim.start(60)

    def _pause(self) -> None:
        victim = self._random.choice(self._hosts)
        assert victim.process is not None
        os.killpg(victim.process.pid, signal.SIGSTOP)
        time.sleep(PAUSE_SECONDS)
        os.killpg(victim.process.pid, signal.SIGCONT)

    def _stop(self) -> None:
        victim = self._random.choice(self._hosts)
        victim.stop()
        victim.start(60)

    def _restart(self) -> None:
        assert self._server is not None
        self._server.restart(self._random.choice([signal.SIGQUIT, signal.SIGINT]))

    def _until(self, done: Any, seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(httpx.TransportError):
                if done():
                    return
            time.sleep(0.02)
        raise AssertionError(f"not within {seconds} s")


def check(host: Host, load: Load) -> list[str]:
    """What is wrong with what was acknowledged."""
    wrong = list(load.wrong)
    end = time.monotonic() + SETTLE_SECONDS
    for name in [*load.chains, *load.waits]:
        while (status := host.status(name, showHistory="true")) is None or status["runtimeStatus"] != "Completed":
            if time.monotonic() > end:
                wrong.append(f"{name} is {status and status['runtimeStatus']}")
                break
            time.sleep(0.05)
        else:
            if name in load.chains and len(status["output"]) != load.chains[name]:
                wrong.append(f"{name}: {len(status['output'])} outputs of {load.chains[name]}")
            events = Counter(event["EventType"] for event in status["historyEvents"])
            if events["ExecutionStarted"] != 1 or events["ExecutionCompleted"] != 1:
                wrong.append(f"{name}: {dict(events)}")
            if name in load.chains and events["TaskCompleted"] != load.chains[name]:
                wrong.append(f"{name}: {events['TaskCompleted']} results of {load.chains[name]}")
    for key, least in load.signals.items():
        most = least + load.doubtful[key]
        state = -1
        while time.monotonic() < end:
            state = host.get(f"{WEBHOOK}/entities/counter/{key}").json()
            if least <= state:
                break
            time.sleep(0.1)
        if not least <= state <= most:
            wrong.append(f"counter {key} is {state}, not between {least} and {most}")
    return wrong


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    kind = sys.argv[3] if len(sys.argv) > 3 else "postgres"
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else int(time.time())
    print(f"{count} hosts on {kind} for {seconds:.0f} s, seed {seed}", flush=True)
    server = PostgresServer(fsync=True) if kind == "postgres" else None
    folder = Path(tempfile.mkdtemp(prefix="perdure-chaos-"))
    (folder / "shared").mkdir()
    store = f"sqlite:///{folder}/shared/hub.db"
    if server is not None:
        server.make()
        store = server.url
    hosts: list[Host] = []
    try:
        for number in range(count):
            (folder / f"host{number}").mkdir()
            settings = {
                "PERDURE_STORE": store,
                "HOST_NAME": f"host{number}",
                "RUNS_FILE": str(folder / "runs"),
                "FUNCTIONS_WORKER_PROCESS_COUNT": "1",
            }
            hosts.append(Host(APPS / "cluster", folder / f"host{number}", settings=settings).start(60))
        load, faults = Load(hosts, seed), Faults(hosts, server, seed)
        load.start()
        try:
            faults.run(seconds)
        finally:
            load.stop()
        wrong = check(hosts[0], load)
    finally:
        for host in hosts:
            host.close()
        if server is not None:
            server.remove()
    total = len(load.chains) + len(load.waits)
    print(f"{total} orchestrations and {sum(load.signals.values())} signals acknowledged; faults: {dict(faults.done)}")
    resumed = sorted(faults.resumed)
    if resumed:
        middle = resumed[len(resumed) // 2]
        print(f"resumed after kill -9: p50 {middle:.2f} s, max {resumed[-1]:.2f} s, of {len(resumed)} (hostTtl 3 s)")
    for line in wrong:
        print("WRONG", line)
    if wrong:
        print(f"the hosts' logs are in {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
