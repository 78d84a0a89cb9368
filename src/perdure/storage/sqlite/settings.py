"""What belongs to the hub as a whole: its settings, and a copy of it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from perdure.storage.provider import StoreError
from perdure.storage.sqlite.statements import SQL


def get(connection: sqlite3.Connection, hub: int, kind: str, key: str) -> str | None:
    """A value of the hub."""
    row = connection.execute(SQL.get_setting, (hub, kind, key)).fetchone()
    return None if row is None else str(row[0])


def listed(connection: sqlite3.Connection, hub: int, kind: str) -> list[tuple[str, str]]:
    """All values of a kind, by key."""
    return [(str(key), str(value)) for key, value in connection.execute(SQL.list_settings, (hub, kind))]


def put(connection: sqlite3.Connection, hub: int, kind: str, key: str, value: str | None, expected: str | None) -> bool:
    """Set or delete a value if it is still `expected`; whether it was."""
    if get(connection, hub, kind, key) != expected:
        return False
    if value is None:
        connection.execute(SQL.drop_setting, (hub, kind, key))
    else:
        connection.execute(SQL.put_setting, (hub, kind, key, value))
    return True


def backup(connection: sqlite3.Connection, target: Path) -> None:
    """A copy of the whole database in a new file, on disk when this returns. Raises `StoreError`."""
    if target.exists():
        raise StoreError(f"the backup file {target} exists already: give the name of a new file")
    connection.execute("PRAGMA query_only = 0")
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    finally:
        connection.execute("PRAGMA query_only = 1")
    for path in (target, target.parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
