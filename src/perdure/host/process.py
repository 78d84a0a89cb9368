"""From a configuration to a host in this process: its sockets, console, log file and event loop."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Callable
from typing import Any

import perdure
from perdure.host.app_loading import tell_notes
from perdure.host.cycles import look_rarely
from perdure.host.errors import StartError
from perdure.host.http.server import open_sockets
from perdure.host.logs.console import Console
from perdure.host.logs.log import WARNING, HostLog
from perdure.host.logs.log_file import LogFile, log_path
from perdure.host.runtime import Host
from perdure.host.settings.config import HostConfig


def run_host(config: HostConfig, began: float) -> int:
    """Run a host in this process until it is told to stop; the exit code. Raises `StartError`."""
    sockets = open_sockets(config.address, config.port)
    console = Console(sys.stdout, config.flags.log_format)
    config = config.on_port(sockets[0].getsockname()[1])
    try:
        _log_to_file(config, console)
        _print_banner(console)
        return _run_on_loop(lambda: Host(config, console, began).run(sockets))
    except StartError:
        tell_notes(config, HostLog.of(config, console.record))
        raise
    finally:
        console.close()
        for opened in sockets:
            opened.close()


def _log_to_file(config: HostConfig, console: Console) -> None:
    """What the console shows is also kept in a file, for `perdure logs`."""
    path = log_path(config.script_root, config.hub_name)
    try:
        console.copy_to(LogFile(path).write)
    except OSError as error:
        text = f"There is no log file: {path} cannot be written ({error.strerror or error})."
        HostLog.of(config, console.record).write("perdure", WARNING, text)


def _print_banner(console: Console) -> None:
    """What stands above everything else."""
    console.text("")
    console.text("perdure")
    console.text(f"perdure Version:          {perdure.__version__} (Python {platform.python_version()})", "gray")
    console.text("Function Runtime Version: 4 (Durable Functions for Python)", "gray")
    console.text("")


def _run_on_loop(work: Callable[[], Any]) -> int:
    async def whole() -> int:
        code: int = await work()
        return code

    look_rarely()
    try:
        import uvloop
    except ImportError:
        return asyncio.run(whole())
    if hasattr(uvloop, "run"):
        return uvloop.run(whole())
    uvloop.install()
    return asyncio.run(whole())
