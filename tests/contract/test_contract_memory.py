from __future__ import annotations

from typing import Any

import pytest

from perdure.storage.memory import MemoryDatabase, MemoryStore
from perdure.storage.provider import Provider
from perdure.testing.clock import VirtualClock, VirtualTime
from perdure.testing.provider_contract import ProviderContract


class MemorySite:
    def __init__(self) -> None:
        self._time = VirtualTime()
        self._database = MemoryDatabase(VirtualClock(self._time))

    def connect(self) -> Provider:
        return MemoryStore(self._database)

    def ask(self, provider: Provider, call: str, *arguments: Any) -> Any:
        answers: list[Any] = []
        getattr(provider, call)(*arguments, answers.append)
        assert answers == [], "answered from inside the call"
        self._time.advance(0)
        (answer,) = answers
        return answer

    def now(self) -> int:
        return self._time.now

    def advance(self, microseconds: int) -> None:
        self._time.advance(microseconds / 1_000_000)


class TestMemory(ProviderContract):
    @pytest.fixture
    def site(self) -> MemorySite:
        return MemorySite()
