"""Starts a host on the fan-out example, runs one orchestration over HTTP and follows it to the end.

What `make demo` runs. State is kept in a temporary folder; the host ends with the demo.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

APP = Path(__file__).resolve().parents[1] / "examples" / "fan_out"
COUNT = 40
TERMINAL = ("Completed", "Failed", "Terminated", "Canceled")
console = Console()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def running_host(folder: Path) -> Iterator[str]:
    """The URL of a host that is ready; it is stopped afterwards."""
    port, log = free_port(), folder / "host.log"
    command = [sys.executable, "-m", "perdure", "start", "--port", str(port), "--script-root", str(APP)]
    console.print(f"$ perdure start --port {port} --script-root {APP.relative_to(APP.parents[1])}", style="bold")
    begun = time.monotonic()
    with log.open("wb") as out:
        env = {**os.environ, "PERDURE_STORE": f"sqlite:///{folder / 'demo.db'}"}
        host = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        url = f"http://localhost:{port}"
        while not answers(url):
            if host.poll() is not None or time.monotonic() - begun > 30:
                console.print(log.read_text(errors="replace"))
                sys.exit("the host did not start")
            time.sleep(0.02)
        console.print(f"host ready in {time.monotonic() - begun:.2f} s: {url}\n")
        yield url
    finally:
        if host.poll() is None:
            host.send_signal(signal.SIGTERM)
        host.wait(30)


def answers(url: str) -> bool:
    try:
        status = httpx.get(f"{url}/admin/host/status", timeout=2)
    except httpx.TransportError:
        return False
    return status.status_code == 200 and status.json().get("state") == "Running"


def follow(status_url: str) -> dict[str, Any]:
    """Shows the progress of the orchestration until it ends; its last status."""
    columns = (TextColumn("{task.description:<10}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress, httpx.Client() as client:
        bar = progress.add_task("Pending", total=COUNT)
        while True:
            status: dict[str, Any] = client.get(status_url, params={"showHistory": "true"}).raise_for_status().json()
            done = sum(event["EventType"] == "TaskCompleted" for event in status.get("historyEvents") or ())
            progress.update(bar, completed=done, description=status["runtimeStatus"])
            if status["runtimeStatus"] in TERMINAL:
                return status
            time.sleep(0.05)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="perdure-demo-") as folder, running_host(Path(folder)) as url:
        start = f"{url}/api/fan-out?count={COUNT}&seconds=0.3"
        console.print(f"$ curl -X POST '{start}'", style="bold")
        links: dict[str, str] = httpx.post(start).raise_for_status().json()
        console.print(f"started instance {links['id']}: {COUNT} activities that sleep 0.3 s each\n", soft_wrap=True)
        status = follow(links["statusQueryGetUri"])
        output = status["output"]
        console.print(f"\noutput: {output}", soft_wrap=True)
        console.print("\nmanagement URLs")
        for name, link in links.items():
            if name != "id":
                console.print(f"{name:<22} {link}", soft_wrap=True, highlight=False)
    return 0 if status["runtimeStatus"] == "Completed" else 1


if __name__ == "__main__":
    sys.exit(main())
