"""Stores to run tests against."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perdure.storage.provider import Provider
from perdure.storage.sqlite import SqliteProvider


class SqliteSite:
    """A file, opened once by each host, and a clock that can be set forward."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.path = folder / "hub.db"
        self._options = options
        self._ahead = 0
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open: list[SqliteProvider] = []

    def connect(self) -> Provider:
        return self.open()

    def open(self, **options: Any) -> SqliteProvider:
        provider = SqliteProvider(self.path, "hub", self._posted.put, now=self.now, **{**self._options, **options})
        provider.open()
        self._open.append(provider)
        return provider

    def ask(self, provider: Provider, call: str, *arguments: Any) -> Any:
        answers: list[Any] = []
        getattr(provider, call)(*arguments, answers.append)
        assert answers == [], "answered from inside the call"
        self.until(lambda: bool(answers))
        (answer,) = answers
        return answer

    def until(self, done: Callable[[], bool], within: float = 10.0) -> None:
        """Run what is posted until `done()`. Raises `queue.Empty` when nothing comes."""
        end = time.monotonic() + within
        while not done():
            self._posted.get(timeout=max(end - time.monotonic(), 0.0))()

    def now(self) -> int:
        return time.time_ns() // 1000 + self._ahead

    def advance(self, microseconds: int) -> None:
        self._ahead += microseconds

    def close(self) -> None:
        for provider in self._open:
            provider.shutdown()
