"""How a host hears that others sent something: by notification, or by asking."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Any

import asyncpg

from perdure.storage.postgres.connections import Connection, Server
from perdure.storage.postgres.errors import CANNOT_CONNECT
from perdure.storage.postgres.migrations import quoted

#: seconds until a notification of our own must be back, and between two attempts to listen
_ECHO, _RETRY = 2.0, 5.0
#: seconds between two questions, at first and at most
_POLL, _POLL_LONGEST = 0.2, 2.0


def channel_of(schema: str, token: int | str) -> str:
    """The channel of a host."""
    return f"perdure_{zlib.crc32(schema.encode()):08x}_{token}"


class Listener:
    """Listens under one token for as long as it is not stopped; while it cannot, it asks for the wake counter.

    `told` gets whether notifications arrive, and a line about it, as often as it is tried.
    """

    def __init__(
        self,
        server: Server,
        listening: Server,
        schema: str,
        token: int,
        woken: Callable[[list[int]], None],
        told: Callable[[bool, str], None],
    ) -> None:
        self._server, self._listening, self._token = server, listening, token
        self._table, self._channel = f"{quoted(schema)}.host", channel_of(schema, token)
        self._woken, self._told = woken, told
        self._broken = asyncio.Event()
        self._echo = asyncio.Event()
        #: notifications do not arrive
        self._deaf = asyncio.Event()
        self._deaf.set()
        #: others still send them
        self._stale = False
        self._telling = asyncio.Lock()
        self._tasks = [asyncio.ensure_future(self._listen()), asyncio.ensure_future(self._poll())]

    def end(self) -> None:
        """Listen no longer."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End, and wait for it."""
        self.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            connection: Connection = None
            try:
                if self._listening is not self._server:
                    await self._listening.find_out()
                if self._listening.pooled:
                    # what is listened to would stay with a connection that others are lent
                    raise asyncpg.InterfaceError("this is a pooler; PERDURE_STORE_LISTEN can name a direct connection")
                connection = await self._listening.connect()
                await self._hear(connection)
            except CANNOT_CONNECT as problem:
                reason = " ".join(str(problem).split()) or type(problem).__name__
                if self._listening is not self._server:
                    reason = f"PERDURE_STORE_LISTEN: {reason}"
                self._told(
                    False,
                    f"Wakes: asking the database up to every {_POLL * 1000:.0f} ms, as it cannot be listened to"
                    f" ({reason}).",
                )
            finally:
                self._stale = self._stale or not self._deaf.is_set()
                self._deaf.set()
                _leave(connection)
            if self._server.pooled and self._listening is self._server:
                return
            await asyncio.sleep(_RETRY)

    async def _hear(self, connection: Connection) -> None:
        self._broken.clear()
        self._echo.clear()
        connection.add_termination_listener(lambda _: self._broken.set())
        await connection.add_listener(self._channel, self._notified)
        await self._begin_hearing()
        self._deaf.clear()
        self._told(True, "Wakes: LISTEN/NOTIFY.")
        # for what was sent before
        self._woken([])
        await self._broken.wait()

    async def _tell_others(self, connection: Connection, listens: bool) -> None:
        await connection.execute(f"UPDATE {self._table} SET listens = $2 WHERE token = $1", self._token, listens)

    async def _begin_hearing(self) -> None:
        """Send a notification by another connection, as behind some poolers listening seems to work and hears nothing;
        when it comes, let others send more."""
        sender = await self._server.connect()
        try:
            await sender.execute("SELECT pg_catalog.pg_notify($1, 'echo')", self._channel)
            await asyncio.wait_for(self._echo.wait(), _ECHO)
            async with self._telling:
                await self._tell_others(sender, True)
                self._stale = False
        except asyncio.TimeoutError:
            raise asyncpg.InterfaceError(
                "notifications do not arrive, as behind a pooler; PERDURE_STORE_LISTEN can name a direct connection"
            ) from None
        finally:
            _leave(sender)

    def _notified(self, connection: Any, process: int, channel: str, payload: str) -> None:
        if payload == "echo":
            self._echo.set()
        else:
            numbers = [int(number) for number in payload.split(",")]
            self._woken([] if 0 in numbers else numbers)

    async def _poll(self) -> None:
        connection: Connection = None
        pause, seen = _POLL, -1
        try:
            while True:
                await asyncio.sleep(pause)
                if not self._deaf.is_set():
                    _leave(connection)
                    await self._deaf.wait()
                    pause = _POLL
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._server.connect()
                    async with self._telling:
                        if self._stale:
                            await self._tell_others(connection, False)
                            self._stale = False
                    counter = await connection.fetchval(
                        f"SELECT wakes FROM {self._table} WHERE token = $1", self._token
                    )
                except CANNOT_CONNECT:
                    # the calls of the store tell that it is away
                    _leave(connection)
                    counter = seen
                pause = min(pause * 1.5, _POLL_LONGEST) if counter == seen else _POLL
                if counter != seen:
                    seen = counter
                    self._woken([])
        finally:
            _leave(connection)


def _leave(connection: Connection) -> None:
    if connection is not None and not connection.is_closed():
        connection.terminate()
