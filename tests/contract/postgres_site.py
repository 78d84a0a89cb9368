"""A PostgreSQL store to run tests against."""

from __future__ import annotations

import asyncio
import queue
import time
from collections.abc import Callable
from typing import Any

import asyncpg

from perdure.storage.postgres import PostgresProvider
from perdure.storage.provider import Provider


class PostgresSite:
    """A schema of its own, a provider for each host, and a clock that can be set forward."""

    def __init__(self, url: str, schema: str, **options: Any) -> None:
        self.url, self.schema = url, schema
        self._options = options
        self._ahead = 0
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._open: list[PostgresProvider] = []

    def connect(self) -> Provider:
        return self.open()

    def open(self, **options: Any) -> PostgresProvider:
        provider = PostgresProvider(
            self.url, "hub", self._posted.put, schema=self.schema, **{**self._options, **options}
        )
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

    def until(self, done: Callable[[], bool], within: float = 30.0) -> None:
        """Run what is posted until `done()`. Raises `queue.Empty` when nothing comes."""
        end = time.monotonic() + within
        while not done():
            self._posted.get(timeout=max(end - time.monotonic(), 0.0))()

    def sql(self, *statements: str) -> list[Any]:
        """Run statements in the schema; the rows of the last one."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url, statement_cache_size=0)
            rows: list[Any] = []
            try:
                async with connection.transaction():
                    await connection.execute(f'SET LOCAL search_path = "{self.schema}"')
                    for statement in statements:
                        rows = await connection.fetch(statement)
            finally:
                await connection.close()
            return rows

        return asyncio.run(run())

    def now(self) -> int:
        return time.time_ns() // 1000 + self._ahead

    def advance(self, microseconds: int) -> None:
        self._ahead += microseconds
        self.sql(
            "CREATE OR REPLACE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$ "
            f"SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + {self._ahead} $$"
        )

    def close(self) -> None:
        for provider in self._open:
            provider.shutdown()
        self.sql(f'DROP SCHEMA IF EXISTS "{self.schema}" CASCADE')
