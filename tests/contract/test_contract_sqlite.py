from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure.storage.provider import Provider
from perdure.storage.sqlite import SqliteProvider
from perdure.testing.provider_contract import ProviderContract


class SqliteSite:
    """A file, opened once by each host, and a clock that can be set forward."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "hub.db"
        self._ahead = 0
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open: list[SqliteProvider] = []

    def connect(self) -> Provider:
        provider = SqliteProvider(self._path, "hub", self._posted.put, now=self.now)
        provider.open()
        self._open.append(provider)
        return provider

    def ask(self, provider: Provider, call: str, *arguments: Any) -> Any:
        answers: list[Any] = []
        getattr(provider, call)(*arguments, answers.append)
        assert answers == [], "answered from inside the call"
        while not answers:
            self._posted.get(timeout=10)()
        (answer,) = answers
        return answer

    def now(self) -> int:
        return time.time_ns() // 1000 + self._ahead

    def advance(self, microseconds: int) -> None:
        self._ahead += microseconds

    def close(self) -> None:
        for provider in self._open:
            provider.shutdown()


class TestSqlite(ProviderContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[SqliteSite]:
        site = SqliteSite(tmp_path)
        yield site
        site.close()
