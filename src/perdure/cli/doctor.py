"""`perdure doctor`: is this machine fit, and does this app load?"""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from perdure.cli.errors import DONE, FAILED
from perdure.host.errors import StartError
from perdure.host.settings.config import Flags, HostConfig, load_config
from perdure.portable import open_files_limit

_SLOW_SYNC = 0.02
_LOAD_SECONDS = 60.0
_LOADS = (
    "import json, sys, os; out = os.dup(1); os.dup2(2, 1); from perdure import azure_names; azure_names.install(); "
    "from perdure.host.worker.indexing import load_app, prepare_paths; root = sys.argv[1]; prepare_paths(root); "
    "app = load_app(root); os.write(out, json.dumps({'functions': [f.indexed.name for f in app.functions], "
    "'errors': [e.text for e in app.errors], 'warnings': app.warnings}).encode())"
)


class Finding(NamedTuple):
    """What a check found: `ok`, `warning` or `error`, and a sentence."""

    state: str
    text: str


def doctor_command(
    script_root: Annotated[str | None, typer.Option("--script-root", "--prefix", metavar="DIR")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Check this machine and the app in this folder; exit code 1 when something is wrong."""
    found = list(machine())
    config: HostConfig | None = None
    try:
        config = load_config(Flags(script_root=script_root), os.environ, Path.cwd())
    except StartError as error:
        found.append(Finding("error", str(error)))
    if config is not None:
        checks: tuple[Callable[[HostConfig], Iterator[Finding]], ...] = (settings, store, port, app)
        for check in checks:
            found += check(config)
    if as_json:
        print(json.dumps([finding._asdict() for finding in found], indent=2, ensure_ascii=False))
    else:
        for state, text in found:
            print(f"{state:<8} {text}")
    raise typer.Exit(FAILED if any(finding.state == "error" for finding in found) else DONE)


def machine() -> Iterator[Finding]:
    """Interpreter, libraries, limits."""
    version = sys.version_info[:2]
    fits = (3, 10) <= version <= (3, 14)
    text = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("ok" if fits else "error", text if fits else f"{text}. Expected Python 3.10 to 3.14.")
    fits = sqlite3.sqlite_version_info >= (3, 35, 0)
    text = f"SQLite {sqlite3.sqlite_version}"
    yield Finding("ok" if fits else "error", text if fits else f"{text}. Expected 3.35.0 or later.")
    try:
        yield Finding("ok", f"azure-functions {metadata.version('azure-functions')}")
    except metadata.PackageNotFoundError:
        yield Finding("error", "azure-functions is not installed here: pip install azure-functions.")
    try:
        other = metadata.version("azure-functions-durable")
        yield Finding("ok", f"azure-functions-durable {other} is installed; perdure serves its names.")
    except metadata.PackageNotFoundError:
        pass
    most = open_files_limit()
    if most is not None and most < 1024:
        yield Finding("warning", f"At most {most} open files: many connections will be refused (ulimit -n 4096).")


def settings(config: HostConfig) -> Iterator[Finding]:
    """host.json, local.settings.json, environment."""
    yield Finding("ok", f"App in {config.script_root}, task hub {config.hub_name}")
    for level, text in config.notes:
        yield Finding("ok" if level == "Information" else "warning", text)


def store(config: HostConfig) -> Iterator[Finding]:
    """Can state be kept, and how fast?"""
    found = config.store
    if found.kind != "sqlite":
        yield Finding("ok" if found.kind == "postgres" else "warning", f"State is kept in {found}.")
        return
    path = Path(found.location)
    folder = next(parent for parent in path.parents if parent.exists())
    if not os.access(folder, os.W_OK):
        yield Finding("error", f"State is kept in {path}, and {folder} cannot be written.")
        return
    if path.exists():
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2.0) as connection:
                (instances,) = connection.execute("SELECT count(*) FROM instance").fetchone()
            yield Finding("ok", f"State is kept in {path}: {path.stat().st_size / 1e6:.1f} MB, {instances} instances.")
        except sqlite3.Error as error:
            yield Finding("error", f"The store {path} cannot be read: {error}.")
    else:
        yield Finding("ok", f"State will be kept in {path}.")
    free = shutil.disk_usage(folder).free
    if free < 1e9:
        yield Finding("warning", f"Only {free / 1e6:.0f} MB are free in {folder}.")
    seconds = _sync_seconds(folder)
    text = f"A durable write takes {seconds * 1000:.1f} ms in {folder}"
    yield Finding(
        "warning" if seconds > _SLOW_SYNC else "ok", text + (": a slow disk." if seconds > _SLOW_SYNC else ".")
    )


def _sync_seconds(folder: Path) -> float:
    times = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".perdure-doctor-") as file:
        for _ in range(9):
            file.write(b"x" * 4096)
            file.flush()
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


def port(config: HostConfig) -> Iterator[Finding]:
    """Is the port free?"""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.address if config.address != "localhost" else "127.0.0.1", config.port))
            yield Finding("ok", f"Port {config.port} is free.")
        except OSError:
            yield Finding("warning", f"Port {config.port} is in use: a host may be up, or give another with --port.")


def app(config: HostConfig) -> Iterator[Finding]:
    """Does the app load, and what is in it?"""
    package = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        ended = subprocess.run(
            [config.worker_python or sys.executable, "-c", _LOADS, config.script_root],
            capture_output=True,
            env={**os.environ, **config.environment, "PYTHONPATH": paths},
            timeout=_LOAD_SECONDS,
            check=False,
        )
        loaded = json.loads(ended.stdout)
    except subprocess.TimeoutExpired:
        yield Finding("error", f"The app did not load within {_LOAD_SECONDS:g} s.")
        return
    except (OSError, ValueError):
        yield Finding("error", f"The app does not load: {ended.stderr.decode('utf-8', 'replace').strip()[-2000:]}")
        return
    for text in loaded["errors"]:
        yield Finding("error", text)
    for text in loaded["warnings"]:
        yield Finding("warning", text)
    names = loaded["functions"]
    yield Finding(
        "ok" if names else "warning", f"{len(names)} function{'s' * (len(names) != 1)}: {', '.join(names) or 'none'}"
    )
