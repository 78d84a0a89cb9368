"""Connections to one database on a thread of their own: whoever asks is answered by a callback."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from perdure.storage.postgres.errors import CONFLICTS, call_failed
from perdure.storage.postgres.url import for_driver
from perdure.storage.provider import StoreError

Connection = Any
#: what an operation gets is the connection; what it returns is the answer
Operation = Callable[[Connection], Awaitable[Any]]
Done = Callable[[Any], None]
Post = Callable[[Callable[[], None]], None]

#: seconds that one call, and one attempt to connect, may take
CALL, CONNECT = 20.0, 5.0
#: seconds that calls may still take when the store is closed
LAST = 3.0
#: how often a call is repeated when another transaction was in its way
_REPEATS = 5
#: of each direct connection; behind a pooler a session is not ours to set
_SESSION = (
    "SET statement_timeout = '30s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s'; "
    "SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3"
)
_log = logging.getLogger("perdure.storage.postgres")


class Server:
    """How to connect to a database, directly or through a pooler that lends a connection for a transaction."""

    def __init__(self, url: str) -> None:
        """Raises `StoreUnusable` when the URL asks for what the driver cannot do."""
        self._url, timeout = for_driver(url)
        self._timeout = timeout or CONNECT
        self.pooled = False

    async def connect(self) -> Connection:
        """A new connection. Raises what asyncpg raises."""
        # statements that were prepared on one connection of a pooler are unknown on the next
        connection = await self._connect(0 if self.pooled else 100)
        if not self.pooled:
            await connection.execute(_SESSION)
        return connection

    async def _connect(self, statements: int) -> Connection:
        return await asyncpg.connect(
            self._url, timeout=self._timeout, command_timeout=CALL, statement_cache_size=statements
        )

    async def find_out(self) -> None:
        """Connect once, and learn whether there is a pooler: it makes up the process number that it gives."""
        connection = await self._connect(0)
        try:
            given = connection.get_server_pid()
            self.pooled = given != await connection.fetchval("SELECT pg_catalog.pg_backend_pid()")
        finally:
            await connection.close()


class Lane:
    """Operations in the order in which they were asked for, on a few connections that are opened when needed."""

    def __init__(self, server: Server, post: Post, connections: int) -> None:
        self._server, self._post = server, post
        self._queue: asyncio.Queue[tuple[Operation, Done] | None] = asyncio.Queue()
        self._workers = [asyncio.ensure_future(self._work()) for _ in range(connections)]

    def put(self, operation: Operation, done: Done) -> None:
        self._queue.put_nowait((operation, done))

    async def stop(self) -> None:
        """Do what was asked for, then close. What a server that hangs does not answer soon is given up."""
        for _ in self._workers:
            self._queue.put_nowait(None)
        _, hanging = await asyncio.wait(self._workers, timeout=LAST)
        for worker in hanging:
            worker.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)

    async def _work(self) -> None:
        connection: Connection = None
        while True:
            task = await self._queue.get()
            if task is None:
                break
            operation, done = task
            answer: Any
            try:
                if connection is None or connection.is_closed():
                    connection = await self._server.connect()
                answer = await _run(operation, connection)
            except asyncio.CancelledError:
                _leave(connection)
                raise
            except Exception as problem:  # noqa: BLE001 - whatever went wrong is the answer of the operation
                answer = call_failed(problem)
                if answer.lost:
                    _leave(connection)
                elif not isinstance(problem, (StoreError, asyncpg.PostgresError)):
                    _log.error("an operation on the store failed", exc_info=problem)
            self._tell(done, answer)
        if connection is not None and not connection.is_closed():
            await _close(connection)

    def _tell(self, done: Done, answer: Any) -> None:
        self._post(lambda: done(answer))


async def _run(operation: Operation, connection: Connection) -> Any:
    """Run an operation; again when it was rolled back for the sake of another transaction."""
    for repeat in range(_REPEATS):
        try:
            return await operation(connection)
        except CONFLICTS:
            await asyncio.sleep(random.random() * 0.01 * 2**repeat)
    return await operation(connection)


def _leave(connection: Connection) -> None:
    """Have nothing more to do with a connection that may be broken."""
    if connection is not None and not connection.is_closed():
        connection.terminate()


async def _close(connection: Connection) -> None:
    try:
        await connection.close(timeout=2.0)
    except (OSError, asyncio.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


class StoreThread:
    """A thread with an asyncio loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="perdure-store", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine on the thread, and wait for it. Raises what it raises."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def soon(self, call: Callable[[], None]) -> None:
        """Call on the thread."""
        self.loop.call_soon_threadsafe(call)

    def stop(self) -> None:
        """End the thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
