"""Several hosts of the app `cluster` on one store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.host import APPS, Host, eventually

#: the app's hostTtl
TTL = 3.0


class Cluster:
    """Hosts of one app on one store."""

    def __init__(self, new_host: Callable[..., Host], store: str, folder: Path, **settings: str) -> None:
        self._new_host, self._store, self._more = new_host, store, settings
        self.runs_file = folder / "runs"
        self.runs_file.touch()
        (folder / "shared").mkdir(exist_ok=True)

    def start(self, *names: str) -> list[Host]:
        """Start hosts side by side, and wait until each knows of the others."""
        hosts = [self._new_host(APPS / "cluster", settings=self._settings(name)) for name in names]
        for host in hosts:
            host.spawn()
        for host in hosts:
            try:
                eventually(host._running, 30, "the start of a host")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{host.log()}") from None
        # a host asks who else is there three times in a TTL
        time.sleep(TTL / 3 + 0.2)
        return hosts

    def _settings(self, name: str) -> dict[str, str]:
        return {
            "PERDURE_STORE": self._store,
            "HOST_NAME": name,
            "RUNS_FILE": str(self.runs_file),
            "FUNCTIONS_WORKER_PROCESS_COUNT": "1",
            **self._more,
        }

    def runs(self) -> list[list[str]]:
        return [line.split() for line in self.runs_file.read_text().splitlines()]
