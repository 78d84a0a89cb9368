"""The file: opening and checking it, its schema, connections with the settings of design 6.2."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

from perdure.storage.provider import StoreError
from perdure.storage.sqlite import errors
from perdure.storage.sqlite.locks import FileLock
from perdure.storage.sqlite.mounts import network_file_system
from perdure.storage.sqlite.statements import INDEXES, MIGRATIONS, OLDEST_WRITER, SCHEMA, SQL, VIEWS

_OLDEST_LIBRARY = (3, 35, 0)
#: bytes that the write-ahead log may keep after it was started over
WAL_LIMIT = 64 * 1024 * 1024
#: seconds to wait for another program that writes
BUSY = 5.0
#: seconds to wait at opening, before the file counts as held
BUSY_AT_OPENING = 2.0
# who waits looks often at first: the holder comes back for the next commit within a fraction of a millisecond
_SHORTEST_PAUSE, _LONGEST_PAUSE, _OFTEN = 0.0001, 0.005, 0.05

Connect = Callable[..., sqlite3.Connection]


class WriteLock:
    """The advisory lock file beside the database: whoever writes or checkpoints holds it, in every process."""

    def __init__(self, database: Path) -> None:
        """Open the lock file. Raises OSError."""
        self._lock = FileLock(database.with_name(database.name + ".lock"))

    def acquire(self, seconds: float = BUSY) -> None:
        """Take the lock. Raises `StoreError` when another process keeps it longer than `seconds`."""
        if self._lock.try_acquire():
            return
        pause, began = _SHORTEST_PAUSE, time.monotonic()
        while not self._lock.try_acquire():
            waited = time.monotonic() - began
            if waited > seconds:
                raise StoreError(
                    f"another process has been writing the store for more than {seconds:g} s (it holds "
                    f"{self._lock.path}): nothing can be written until it goes on or ends"
                )
            time.sleep(pause)
            if waited > _OFTEN:
                pause = min(pause * 2, _LONGEST_PAUSE)

    def release(self) -> None:
        self._lock.release()

    def close(self) -> None:
        self._lock.close()


class Database:
    """One database file. `open` checks it; `writer` and `reader` connect to it."""

    def __init__(self, path: Path, connect: Connect = sqlite3.connect) -> None:
        self.path = path
        self._connect = connect

    def open(self, hub_name: str) -> int:
        """Make or migrate the schema; the number of the hub. Raises `StoreUnusable`."""
        path = self.path
        if sqlite3.sqlite_version_info < _OLDEST_LIBRARY:
            raise errors.old_library(sqlite3.sqlite_version, ".".join(map(str, _OLDEST_LIBRARY)))
        kind = network_file_system(path)
        if kind is not None:
            raise errors.network_file_system(path, kind)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise errors.no_folder(path.parent, problem.strerror or str(problem)) from problem
        if path.exists() and not os.access(path, os.W_OK):
            raise errors.not_writable(path, "permission denied")
        try:
            lock = WriteLock(path)
        except OSError as problem:
            raise errors.not_writable(path, (problem.strerror or str(problem)).lower()) from problem
        try:
            lock.acquire(BUSY_AT_OPENING)
            connection = self.writer(BUSY_AT_OPENING)
            try:
                self._prepare(connection)
                connection.executescript(INDEXES)
                return self.hub(connection, hub_name)
            finally:
                connection.close()
        except StoreError as problem:
            raise errors.held_exclusively(path) from problem
        except sqlite3.Error as problem:
            raise errors.opening_failed(path, problem) from problem
        finally:
            lock.close()

    def writer(self, busy: float = BUSY) -> sqlite3.Connection:
        """The connection that writes and checkpoints. Raises `sqlite3.Error`."""
        connection = self._open(busy)
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchone()
            connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}").fetchone()
            connection.execute("PRAGMA cache_size = -16384")
            if sys.platform == "darwin":
                connection.execute("PRAGMA fullfsync = 1")
                connection.execute("PRAGMA checkpoint_fullfsync = 1")
            if sys.version_info >= (3, 12):
                connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        except BaseException:
            connection.close()
            raise
        return connection

    def reader(self) -> sqlite3.Connection:
        """A connection that only reads. Raises `sqlite3.Error`."""
        connection = self._open(BUSY)
        connection.execute("PRAGMA query_only = 1")
        connection.execute("PRAGMA cache_size = -8192")
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        return connection

    def _open(self, busy: float) -> sqlite3.Connection:
        connection = self._connect(
            self.path, timeout=busy, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        connection.create_function("durable_key", 1, str.lower, deterministic=True)
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Bring the schema to this version."""
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "hub" not in tables:
            raise errors.foreign(self.path)
        if tables:
            (needed,) = connection.execute("SELECT max(min_writer) FROM hub").fetchone()
            if needed is not None and needed > SCHEMA:
                raise errors.newer_version(self.path, found, SCHEMA)
        if found >= SCHEMA:
            return
        steps = "\n".join(MIGRATIONS[found:])
        versions = (
            "UPDATE hub SET schema = {0}, min_reader = {1}, min_writer = {1};"
            if found
            else "INSERT INTO hub (number, name, schema, min_reader, min_writer) VALUES (0, '', {0}, {1}, {1});"
        ).format(SCHEMA, OLDEST_WRITER)
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{steps}\n{VIEWS}\n{versions}\nPRAGMA user_version = {SCHEMA};\nCOMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute(SQL.rollback)
            raise

    @staticmethod
    def hub(connection: sqlite3.Connection, name: str) -> int:
        """The number of a hub, which is made when it is not there. Upper and lower case are one."""
        row = connection.execute(SQL.hub_of_name, (name,)).fetchone()
        if row is None:
            connection.execute(SQL.add_hub, (name,))
            row = connection.execute(SQL.hub_of_name, (name,)).fetchone()
        return int(row[0])
