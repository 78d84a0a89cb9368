"""What a client costs that asks another host than the owner's: p50 and p99 of each kind, on two idle hosts.

    python -m bench.cross_host [times of each, 200] [postgres|sqlite|both]

Instances are owned by the first host; the client asks the second, and looks there for what came of it. The time is
from the sending of the request to the answer that shows the effect, over HTTP; of timers it is the lateness. Beside it
stands the same asked of the owner itself.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import perdure
from tests.acceptance.host import APPS, WEBHOOK, Host
from tests.postgres_server import PostgresServer

#: seconds between two of one kind: hosts are idle
PAUSE = 0.01
AHEAD = 0.25


class Client:
    """One connection to a host: a request is two system calls."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        text = None if body is None else json.dumps(body)
        self._connection.request(method, WEBHOOK + path, text, {"Content-Type": "application/json"} if text else {})
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else None

    def until(self, path: str, shows: Callable[[int, Any], bool]) -> None:
        """Ask until the answer shows it."""
        end = time.monotonic() + 10
        while not shows(*self.ask("GET", path)):
            if time.monotonic() > end:
                raise RuntimeError(f"{path}: {self.ask('GET', path)}")


def has(status: str) -> Callable[[int, Any], bool]:
    return lambda code, answer: code < 300 and answer["runtimeStatus"] == status


class Kinds:
    """Each method does one of a kind and gives its seconds. `own` is the owner's host, `other` who is asked."""

    def __init__(self, own: Host, other: Host) -> None:
        self._own, self._other = Client(own.port), Client(other.port)
        self._outside = perdure.client(other.url, sync=True)
        self._entity = f"counter/of-{other.settings['HOST_NAME']}"
        self._sum = 0
        self._own.ask("POST", f"/entities/{self._entity}?op=add", 0)
        self._own.until(f"/entities/{self._entity}", lambda code, answer: code == 200)
        self._own.ask("POST", "/orchestrators/waits/taken", 1)
        self._own.until("/instances/taken", has("Running"))

    def _waiting(self, name: str) -> str:
        self._own.ask("POST", f"/orchestrators/waits/{name}", 1)
        self._own.until(f"/instances/{name}", has("Running"))
        time.sleep(PAUSE)
        return f"/instances/{name}"

    def event(self, name: str) -> float:
        """An event to the end of the orchestration that waited for it."""
        path, begun = self._waiting(name), time.perf_counter()
        self._other.ask("POST", f"{path}/raiseEvent/go", 1)
        self._other.until(path, has("Completed"))
        return time.perf_counter() - begun

    def terminate(self, name: str) -> float:
        """A terminate to the status Terminated."""
        path, begun = self._waiting(name), time.perf_counter()
        self._other.ask("POST", f"{path}/terminate?reason=over")
        self._other.until(path, has("Terminated"))
        return time.perf_counter() - begun

    def signal(self, name: str) -> float:
        """A signal to the state that shows it."""
        time.sleep(PAUSE)
        self._sum += 1
        begun = time.perf_counter()
        self._other.ask("POST", f"/entities/{self._entity}?op=add", 1)
        self._other.until(f"/entities/{self._entity}", lambda code, answer: answer == self._sum)
        return time.perf_counter() - begun

    def call(self, name: str) -> float:
        """The start of an orchestration that calls an entity of the first host, to its end."""
        time.sleep(PAUSE)
        self._sum += 1
        begun = time.perf_counter()
        self._other.ask("POST", f"/orchestrators/calls/{name}", [self._entity.split("/")[1], 1])
        self._other.until(f"/instances/{name}", has("Completed"))
        return time.perf_counter() - begun

    def refused(self, name: str) -> float:
        """The start of a singleton that runs on the first host, to the refusal."""
        time.sleep(PAUSE)
        begun = time.perf_counter()
        code, _ = self._other.ask("POST", "/orchestrators/waits/taken", 1)
        assert code == 500, code
        return time.perf_counter() - begun

    def singleton(self, name: str) -> float:
        """The start of a singleton that has finished on the first host, to its run."""
        path = self._waiting(name)
        self._own.ask("POST", f"{path}/raiseEvent/go", 1)
        self._own.until(path, has("Completed"))
        time.sleep(PAUSE)
        begun = time.perf_counter()
        self._other.ask("POST", f"/orchestrators/waits/{name}", 1)
        self._other.until(path, has("Running"))
        return time.perf_counter() - begun

    def purge(self, name: str) -> float:
        """A purge to the 404."""
        path = self._waiting(name)
        self._own.ask("POST", f"{path}/raiseEvent/go", 1)
        self._own.until(path, has("Completed"))
        time.sleep(PAUSE)
        begun = time.perf_counter()
        code, _ = self._other.ask("DELETE", path)
        assert code == 200, code
        self._other.until(path, lambda code, answer: code == 404)
        return time.perf_counter() - begun

    def start_at(self, name: str) -> float:
        """Lateness of a start that was asked for a quarter of a second later, to its end."""
        due = datetime.now(timezone.utc) + timedelta(seconds=AHEAD)
        self._outside.schedule_new_orchestration("chain", input={"steps": 0}, instance_id=name, start_at=due)
        time.sleep(AHEAD / 2)
        self._other.until(f"/instances/{name}", has("Completed"))
        return datetime.now(timezone.utc).timestamp() - due.timestamp()

    def signal_at(self, name: str) -> float:
        """Lateness of a signal for later."""
        self._sum += 1
        due = datetime.now(timezone.utc) + timedelta(seconds=AHEAD)
        self._outside.signal_entity(perdure.EntityId(*self._entity.split("/")), "add", 1, signal_time=due)
        time.sleep(AHEAD / 2)
        self._other.until(f"/entities/{self._entity}", lambda code, answer: answer == self._sum)
        return datetime.now(timezone.utc).timestamp() - due.timestamp()


KINDS = {
    "event, to the end of the orchestration": Kinds.event,
    "terminate": Kinds.terminate,
    "signal, to the state": Kinds.signal,
    "start, entity call, end": Kinds.call,
    "singleton that runs: refused": Kinds.refused,
    "singleton that has finished: runs anew": Kinds.singleton,
    "purge": Kinds.purge,
    "start for later: lateness": Kinds.start_at,
    "signal for later: lateness": Kinds.signal_at,
}


@contextlib.contextmanager
def pair(kind: str) -> Iterator[list[Host]]:
    """Two hosts on one fresh store."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="perdure-cross-")))
        url = f"sqlite:///{folder}/shared/hub.db"
        (folder / "shared").mkdir()
        if kind == "postgres":
            server = PostgresServer(fsync=True)
            stack.callback(server.remove)
            server.make()
            url = server.url
        hosts = []
        for name in ("own", "other"):
            (folder / name).mkdir()
            settings = {
                "PERDURE_STORE": url,
                "HOST_NAME": name,
                "RUNS_FILE": str(folder / "runs"),
                "AzureFunctionsJobHost__logging__logLevel__default": "Warning",
            }
            hosts.append(Host(APPS / "cluster", folder / name, settings=settings))
            stack.callback(hosts[-1].close)
            hosts[-1].start(60)
        time.sleep(2)
        yield hosts


def measure(kind: str, times: int) -> None:
    """Print a row for each kind of request."""
    with pair(kind) as (own, other):
        apart, together = Kinds(own, other), Kinds(own, own)
        for number, (title, one) in enumerate(KINDS.items()):
            columns = []
            for name, kinds in (("apart", apart), ("own", together)):
                taken = sorted(one(kinds, f"{name}{number}-{turn}") * 1000 for turn in range(times))
                columns.append(f"{taken[len(taken) // 2]:.1f} ms | {taken[int(len(taken) * 0.99)]:.1f} ms")
            print(f"| {kind} | {title} | {' | '.join(columns)} |", flush=True)


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    asked = sys.argv[2] if len(sys.argv) > 2 else "both"
    print("| store | asked of another host than the owner's | p50 | p99 | asked of the owner: p50 | p99 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("postgres", "sqlite") if asked == "both" else (asked,):
        measure(kind, times)


if __name__ == "__main__":
    main()
