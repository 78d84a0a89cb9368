"""Drives a real host: a process, its log, HTTP, signals and `kill -9`.

`PERDURE_TEST_COMMAND` replaces the command that starts a host (`--port N` is appended), to run the same tests against
another host.
"""

from __future__ import annotations

import contextlib
import os
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
APPS = Path(__file__).resolve().parent / "apps"
WEBHOOK = "/runtime/webhooks/durabletask"
TERMINAL = {"Completed", "Failed", "Terminated", "Canceled"}
REPLAY_ON_EVERY_TURN = {"AzureFunctionsJobHost__extensions__perdure__maxSessions": "0"}

T = TypeVar("T")


def free_port() -> int:
    """A port below those that the system gives to outgoing connections: nobody takes it while a host restarts."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def eventually(look: Callable[[], T | None], seconds: float = 15.0, what: str = "it") -> T:
    """What `look` gives once that is true; fails with its last answer after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s; last seen: {found!r}")
        time.sleep(0.02)


def command() -> list[str]:
    given = os.environ.get("PERDURE_TEST_COMMAND")
    return shlex.split(given) if given else [sys.executable, "-m", "perdure", "start"]


class Host:
    """One host on a copy of an app folder. The port stays the same over restarts, so that URLs stay good."""

    def __init__(
        self, app: Path, folder: Path, *, settings: dict[str, str] | None = None, args: tuple[str, ...] = ()
    ) -> None:
        self.app = folder / "app"
        if not self.app.exists():
            shutil.copytree(app, self.app, ignore=shutil.ignore_patterns("__pycache__", ".perdure", ".venv*"))
        self.log_path = folder / "host.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.args = args
        self.settings = settings or {}
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_seconds = 0.0
        self.http = httpx.Client(timeout=30)

    # ---- process

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the process without waiting for it."""
        env = {key: value for key, value in os.environ.items() if not key.startswith(("PERDURE_", "AzureFunctions"))}
        env.update(PYTHONUNBUFFERED="1", **self.settings)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command(), "--port", str(self.port), *self.args],
                cwd=self.app,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self.process

    def start(self, seconds: float = 30.0) -> Host:
        """Start the process and wait until the host says that it runs."""
        begun = time.monotonic()
        process = self.spawn()
        while not self._running():
            assert process.poll() is None, f"the host ended with {process.returncode}:\n{self.log()}"
            assert time.monotonic() - begun < seconds, f"the host is not ready after {seconds} s:\n{self.log()}"
            time.sleep(0.01)
        self.ready_seconds = time.monotonic() - begun
        return self

    def _running(self) -> bool:
        try:
            answer = self.http.get(f"{self.url}/admin/host/status", timeout=2)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json().get("state", "Running") == "Running"

    def kill(self) -> None:
        """`kill -9` of the whole process group: host and workers at once."""
        assert self.process is not None
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        self._fresh_connections()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Signal the host process alone, as a supervisor does; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._fresh_connections()
        return code

    def close(self) -> None:
        """End whatever is left."""
        if self.process is not None:
            self._signal_group(signal.SIGKILL)
            self.process.wait()
        self.http.close()

    def _signal_group(self, number: int) -> None:
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):  # every process of the group has ended already
            os.killpg(self.process.pid, number)

    def _fresh_connections(self) -> None:
        self.http.close()
        self.http = httpx.Client(timeout=30)

    def log(self) -> str:
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    # ---- HTTP

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        if json is not None:
            more["json"] = json
        return self.request("POST", path, **more)

    def delete(self, path: str, **more: Any) -> httpx.Response:
        return self.request("DELETE", path, **more)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.http.request(method, path if path.startswith("http") else self.url + path, **more)

    def begin(self, path: str, json: Any = None, **more: Any) -> dict[str, str]:
        """Call a starter; the links of its check-status response."""
        answer = self.post(path, json, **more)
        assert answer.status_code == 202, f"{path}: {answer.status_code} {answer.text}\n{self.log()}"
        links: dict[str, str] = answer.json()
        return links

    def begin_webhook(self, name: str, json: Any = None, instance_id: str = "") -> dict[str, str]:
        """Start an orchestration by the webhook API."""
        path = f"{WEBHOOK}/orchestrators/{name}" + (f"/{instance_id}" if instance_id else "")
        return self.begin(path, json)

    def status(self, instance_id: str, **params: str) -> dict[str, Any] | None:
        """The status payload, or None where nobody knows the instance."""
        answer = self.get(f"{WEBHOOK}/instances/{instance_id}", params=params)
        if answer.status_code == 404:
            return None
        found: dict[str, Any] = answer.json()
        return found

    def finished(self, instance_id: str, seconds: float = 30.0) -> dict[str, Any]:
        """The status of the instance once it has ended."""

        def look() -> dict[str, Any] | None:
            found = self.status(instance_id)
            return found if found is not None and found["runtimeStatus"] in TERMINAL else None

        try:
            return eventually(look, seconds, f"the end of {instance_id}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.status(instance_id)}\n{self.log()[-4000:]}") from None

    def completed(self, instance_id: str, seconds: float = 30.0) -> Any:
        """The output of the instance once it has completed."""
        found = self.finished(instance_id, seconds)
        assert found["runtimeStatus"] == "Completed", found
        return found["output"]
