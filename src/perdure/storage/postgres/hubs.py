"""The hubs of a database, looked up without opening any."""

from __future__ import annotations

import asyncpg

from perdure.storage.postgres import migrations
from perdure.storage.postgres.connections import Server, StoreThread
from perdure.storage.postgres.errors import CANNOT_CONNECT, StoreUnusable


def hub_names(url: str, schema: str = "perdure") -> list[str] | None:
    """Their names; None where the database does not answer: opening it in earnest says what is wrong."""
    thread = StoreThread()
    try:
        names: list[str] = thread.call(_names(url, schema))
        return names
    except (*CANNOT_CONNECT, StoreUnusable):
        return None
    finally:
        thread.stop()


async def _names(url: str, schema: str) -> list[str]:
    server = Server(url)
    # as behind a pooler: nothing is kept on a connection for one question
    server.pooled = True
    connection = await server.connect()
    try:
        rows = await connection.fetch(f"SELECT name FROM {migrations.quoted(schema)}.hub ORDER BY name")
        return [str(name) for (name,) in rows]
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return []
    finally:
        await connection.close()
