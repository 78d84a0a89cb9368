"""What any SQL client sees of a store, while hosts run on it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import asyncpg


def read(store: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query, by the URL of the store."""
    if store.startswith("sqlite:///"):
        with contextlib.closing(sqlite3.connect(f"file:{store[len('sqlite:///') :]}?mode=ro", uri=True)) as file:
            return file.execute(query).fetchall()

    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(store)
        try:
            await connection.execute("SET search_path = perdure")
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())
