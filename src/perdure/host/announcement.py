"""What people read when a host has started: its functions with their URLs, and what to beware of."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator

from perdure.host.functions.function_list import FunctionList, printed_list
from perdure.host.logs.console import Console
from perdure.host.logs.log import INFORMATION, WARNING, HostLog
from perdure.host.settings.config import HostConfig
from perdure.host.settings.environments import other_environment


def announce(config: HostConfig, functions: FunctionList, console: Console, log: HostLog, milliseconds: float) -> None:
    """Print the list of functions and log that the host has started, after that time."""
    for warning in _warnings(config):
        log.write("perdure", WARNING, warning)
    scheme = "https" if config.flags.use_https else "http"
    for text, colour in printed_list(functions, f"{scheme}://localhost:{config.port}"):
        console.text(text, colour)
    if not config.flags.verbose:
        console.text("For detailed output, run perdure with --verbose flag.")
    log.write("Worker", INFORMATION, "Worker process started and initialized.")
    log.write("Host.Startup", INFORMATION, f"Host started ({milliseconds:.0f}ms)")


def _warnings(config: HostConfig) -> Iterator[str]:
    if not is_loopback(config.address):
        yield (
            f"Functions and management are open to everyone who reaches {config.address}: nothing is protected by "
            "keys yet."
        )
    if config.setting("PERDURE_STORE_LISTEN") and config.store.kind != "postgres":
        yield (
            "PERDURE_STORE_LISTEN is without effect: it names a direct connection to a PostgreSQL server, and the "
            f"store is {config.store} (PERDURE_STORE)."
        )
    other = other_environment(config.script_root, config.worker_python, os.environ)
    if other is not None:
        yield other


def is_loopback(address: str) -> bool:
    """Whether only programs on this machine reach the address."""
    return address.lower() == "localhost" or ipaddress.ip_address(address).is_loopback
