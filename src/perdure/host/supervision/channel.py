"""The host's end of the channel to one worker: an asyncio protocol over a socket pair, batched per loop tick."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

import msgspec

from perdure.host.protocol.framing import Inbox, Outbox
from perdure.host.protocol.messages import WorkerMessage

_decoder = msgspec.msgpack.Decoder(list[WorkerMessage])

#: above this many unsent bytes the channel is congested: nothing more is handed to the transport
HIGH_WATER = 4 * 1024 * 1024


class HostChannel(asyncio.BufferedProtocol):
    """Messages to and from one worker. Everything happens on the loop's thread.

    `on_messages` gets the messages of each frame in order, `on_closed` is called once when the worker is gone.
    """

    def __init__(self, on_messages: Callable[[list[WorkerMessage]], None], on_closed: Callable[[], None]) -> None:
        self._inbox = Inbox(_decoder, on_messages)
        self._outbox = Outbox()
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._closed = False
        #: the transport holds more than `HIGH_WATER` bytes: what is sent now waits in memory
        self.congested = False

    async def open(self, end: socket.socket) -> None:
        """Take over `end`, a connected socket."""
        await self._loop.create_connection(lambda: self, sock=end)

    def send(self, message: Any) -> None:
        """Send with everything else of this tick. After the end of the worker it is thrown away."""
        self._outbox.put(message)
        if not self._scheduled and not self.congested and not self._closed:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """End the connection at once; what waits is thrown away."""
        if self._transport is not None:
            self._transport.abort()

    def _flush(self) -> None:
        self._scheduled = False
        transport = self._transport
        while not self.congested and not self._closed and transport is not None and not transport.is_closing():
            buffers = self._outbox.take()
            if not buffers:
                return
            for buffer in buffers:
                transport.write(buffer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._flush()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._inbox.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._inbox.filled(nbytes)
        except msgspec.DecodeError:
            # whoever writes to the worker's end is not our worker any more; its end is reported as a death
            self.close()

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed:
            self._closed = True
            self._on_closed()
