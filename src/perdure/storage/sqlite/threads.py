"""The two threads of a store: one writes, with everything that waits in one commit; one reads beside it."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from perdure.storage.provider import StoreError
from perdure.storage.sqlite import errors
from perdure.storage.sqlite.checkpoints import Checkpoints
from perdure.storage.sqlite.database import Database, WriteLock
from perdure.storage.sqlite.statements import SQL

#: what an operation gets is the connection; what it returns is the answer
Operation = Callable[[sqlite3.Connection], Any]
Done = Callable[[Any], None]
Post = Callable[[Callable[[], None]], None]
Task = tuple[Operation, Done]

#: operations that one transaction takes together
GROUP = 64
_log = logging.getLogger("perdure.storage.sqlite")


class Again(Exception):
    """A reading operation needs another slice; whoever waits behind it comes first."""


def _deliver(answers: Sequence[tuple[Done, Any]]) -> None:
    """Hand over answers in order. What a callback raises does not keep the others from theirs."""
    with ExitStack() as stack:
        for done, answer in reversed(answers):
            stack.callback(done, answer)


class _StoreThread:
    """A thread with its own connection, which is opened when first needed and again after it broke."""

    def __init__(self, name: str, database: Database, post: Post) -> None:
        self._database = database
        self._post = post
        self._queue: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, operation: Operation, done: Done) -> None:
        self._queue.put((operation, done))

    def stop(self) -> None:
        """Do what was submitted, then end."""
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _answer(self, answers: Sequence[tuple[Done, Any]]) -> None:
        self._post(lambda: _deliver(answers))

    def _run(self) -> None:
        raise NotImplementedError

    def _failed(self, problem: Exception) -> StoreError:
        """The answer for an operation that failed; a broken connection is closed."""
        if isinstance(problem, StoreError):
            return problem
        if isinstance(problem, sqlite3.Error):
            if errors.breaks_connection(problem):
                self._disconnect()
            return errors.call_failed(self._database.path, problem)
        _log.error("an operation on the store failed", exc_info=problem)
        return StoreError(f"an operation on the store failed: {type(problem).__name__}: {problem}")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class Writer(_StoreThread):
    """Runs writing operations. All that wait are one transaction; if it fails, each becomes one of its own."""

    def __init__(self, database: Database, lock: WriteLock, post: Post, idle: Callable[[sqlite3.Connection], float]):
        """`idle` is called between transactions and says in how many seconds it wants to be called again."""
        super().__init__("perdure-store-writer", database, post)
        self._lock = lock
        self._idle = idle
        self._checkpoints = Checkpoints()
        self._broke = False

    def _run(self) -> None:
        try:
            self._serve()
        finally:
            self._end()

    def _serve(self) -> None:
        wait, going = 0.0, True
        looked = time.monotonic()
        while going:
            try:
                tasks = [self._queue.get(timeout=max(wait - (time.monotonic() - looked), 0.0))]
            except queue.Empty:
                tasks = []
            while tasks and tasks[-1] is not None and len(tasks) < GROUP and not self._queue.empty():
                tasks.append(self._queue.get())
            going = not tasks or tasks[-1] is not None
            group = [task for task in tasks if task is not None]
            if group:
                self._answer(self._group(group))
            if going and time.monotonic() - looked >= wait:
                wait, looked = self._look(), time.monotonic()

    def _group(self, tasks: list[Task]) -> list[tuple[Done, Any]]:
        """One transaction for all, else one for each."""
        try:
            return self._transact(tasks)
        except Exception as problem:  # noqa: BLE001 - whatever went wrong is the answer of the operation
            refused = self._failed(problem)
            if len(tasks) == 1 or refused.lost:
                return [(done, refused) for _, done in tasks]
        return [answer for task in tasks for answer in self._group([task])]

    def _transact(self, tasks: list[Task]) -> list[tuple[Done, Any]]:
        self._lock.acquire()
        try:
            connection = self._connected()
            connection.execute(SQL.begin)
            try:
                answers = [(done, operation(connection)) for operation, done in tasks]
                connection.execute(SQL.commit)
            except BaseException:
                if connection.in_transaction:
                    connection.execute(SQL.rollback)
                raise
            self._checkpoint(connection)
            return answers
        finally:
            self._lock.release()

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """What is committed is committed, whatever becomes of the checkpoint: it is tried again later."""
        try:
            self._checkpoints.committed(connection)
        except sqlite3.Error as problem:
            _log.warning("a checkpoint of the store failed: %s", self._failed(problem))

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._database.writer()
            self._checkpoints.reset()
            if self._broke:
                # pages that were not synced may look clean: write all of the log to the file and sync that
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                self._broke = False
        return self._connection

    def _disconnect(self) -> None:
        self._broke = True
        super()._disconnect()

    def _look(self) -> float:
        """What is done between transactions."""
        try:
            return self._idle(self._connected())
        except Exception as problem:  # noqa: BLE001 - nobody waits for an answer: it is logged, and tried again
            _log.warning("looking at the store failed: %s", self._failed(problem))
            return 1.0

    def _end(self) -> None:
        """Close under the write lock, so that no other process commits meanwhile; leave one file if we are the last."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            self._lock.acquire()
            try:
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                connection.close()
                self._lock.release()
        except (sqlite3.Error, StoreError) as problem:
            _log.warning("the last checkpoint of the store failed: %s", problem)
            connection.close()


class Reader(_StoreThread):
    """Runs reading operations, one at a time, each on its own snapshot."""

    def __init__(self, database: Database, post: Post) -> None:
        super().__init__("perdure-store-reader", database, post)

    def _run(self) -> None:
        while True:
            task = self._queue.get()
            if task is None:
                if self._queue.empty():
                    break
                self._queue.put(None)
                continue
            operation, done = task
            try:
                if self._connection is None:
                    self._connection = self._database.reader()
                answer = operation(self._connection)
            except Again:
                self._queue.put(task)
                continue
            except Exception as problem:  # noqa: BLE001 - whatever went wrong is the answer of the operation
                answer = self._failed(problem)
            self._answer([(done, answer)])
        self._disconnect()
