"""A pooler for tests where pgbouncer is not on the machine: it lends a connection of the server for one transaction.

Each transaction gets the connection that has not been used for longest, so whatever is left on one is missed on the
next. What the server sends unasked (notifications) is dropped, and the process number of the server is kept back.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102

Frame = tuple[bytes, bytes]


class Backend:
    """A connection to the server, with what it said when it began."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.greeting = b""


class TransactionPooler:
    """Listens on a free port of loopback, on a thread of its own."""

    def __init__(self, server_port: int, size: int = 6) -> None:
        self._server_port, self._size = server_port, size
        self._loop = asyncio.new_event_loop()
        self._pools: dict[bytes, asyncio.Queue[Backend | None]] = {}
        self.port = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        listening = self._loop.run_until_complete(asyncio.start_server(self._client, "127.0.0.1", 0))
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        listening.close()
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            startup = await self._startup(reader, writer)
            if startup is not None:
                await self._serve(startup, reader, writer)
        writer.close()

    async def _startup(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        while True:
            length, code = struct.unpack("!II", await reader.readexactly(8))
            rest = await reader.readexactly(length - 8)
            if code == _CANCEL:
                return None
            if code not in (_SSL, _GSS):
                return struct.pack("!II", length, code) + rest
            writer.write(b"N")

    async def _serve(self, startup: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pool = self._pools.get(startup)
        if pool is None:
            pool = self._pools[startup] = asyncio.Queue()
            for _ in range(self._size):
                pool.put_nowait(None)
        backend = await self._borrow(pool, startup, writer)
        if backend is None:
            return
        pool.put_nowait(backend)
        writer.write(backend.greeting)
        asked: asyncio.Queue[Frame] = asyncio.Queue()
        listening = asyncio.ensure_future(_listen(reader, asked))
        try:
            while (first := await asked.get())[0] != b"X":
                backend = await self._borrow(pool, startup, writer)
                if backend is None:
                    return
                over = False
                try:
                    over = await _transaction(first, asked, writer, backend)
                finally:
                    if not over:
                        backend.writer.close()
                    pool.put_nowait(backend if over else None)
                if not over:
                    return
        finally:
            listening.cancel()

    async def _borrow(
        self, pool: asyncio.Queue[Backend | None], startup: bytes, writer: asyncio.StreamWriter
    ) -> Backend | None:
        """A connection of the server; None when it refuses, as the client has been told."""
        backend = await pool.get()
        if backend is not None and not backend.reader.at_eof():
            return backend
        try:
            backend = Backend(*await asyncio.open_connection("127.0.0.1", self._server_port))
            backend.writer.write(startup)
            while True:
                kind, body = await _frame(backend.reader)
                if kind == b"E":
                    writer.write(_packed(kind, body))
                    break
                # the process number is not the server's
                body = struct.pack("!II", 7, 7) if kind == b"K" else body
                backend.greeting += _packed(kind, body)
                if kind == b"Z":
                    return backend
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        pool.put_nowait(None)
        return None


async def _listen(reader: asyncio.StreamReader, asked: asyncio.Queue[Frame]) -> None:
    """What the client sends; at its end as if it had said so."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            asked.put_nowait(await _frame(reader))
    asked.put_nowait((b"X", b""))


async def _transaction(
    first: Frame, asked: asyncio.Queue[Frame], writer: asyncio.StreamWriter, backend: Backend
) -> bool:
    """Pass on what both say until the server is between two transactions; False when one of them went away."""
    backend.writer.write(_packed(*first))
    syncs = int(first[0] in (b"Q", b"S"))
    from_server = asyncio.ensure_future(_frame(backend.reader))
    from_client = asyncio.ensure_future(asked.get())
    try:
        while True:
            await asyncio.wait([from_client, from_server], return_when=asyncio.FIRST_COMPLETED)
            if from_server.done():
                if from_server.exception() is not None:
                    return False
                kind, body = from_server.result()
                if kind not in (b"A", b"N"):
                    # notifications and notices are for whoever listened
                    writer.write(_packed(kind, body))
                syncs -= kind == b"Z"
                if kind == b"Z" and body == b"I" and not syncs and not from_client.done():
                    return True
                from_server = asyncio.ensure_future(_frame(backend.reader))
            if from_client.done():
                kind, body = from_client.result()
                if kind == b"X":
                    return False
                backend.writer.write(_packed(kind, body))
                syncs += kind in (b"Q", b"S")
                from_client = asyncio.ensure_future(asked.get())
    finally:
        from_client.cancel()
        from_server.cancel()


async def _frame(reader: asyncio.StreamReader) -> Frame:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body
