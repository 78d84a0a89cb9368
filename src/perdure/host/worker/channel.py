"""The worker's end of the channel. One thread reads, and writes what could not be written at once; nobody else waits.

Whoever has messages puts them into the outbox and writes it, unless another thread is writing already: that thread
looks again before it leaves. So an idle channel costs no change of threads, and a busy one writes many messages at
once. The reader never waits for a writer: the socket does not block, what it refuses is left to the reading thread.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from perdure.host.protocol.framing import Buffers, Inbox, Outbox
from perdure.host.protocol.messages import HostMessage

_decoder = msgspec.msgpack.Decoder(list[HostMessage])


class WorkerChannel:
    """Messages to and from the host. `send` and `flush` may be called from any thread, `serve` from one."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        #: messages of all threads; single appends need no lock
        self._posted: deque[Any] = deque()
        self._outbox = Outbox()
        self._unsent: Buffers = []
        self._writing = threading.Lock()
        self._blocked = False
        #: the reading thread was called to flush
        self._called = False
        self._wake_receiver, self._wake_sender = socket.socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)

    def send(self, message: Any) -> None:
        """Send one message now."""
        self._posted.append(message)
        self.flush()

    def send_soon(self, message: Any) -> None:
        """Have the reading thread send it with what else comes until it gets to that."""
        self._posted.append(message)
        if not self._called:
            self._called = True
            self.wake()

    def post(self, message: Any) -> None:
        """Send with the next `send` or `flush`; the reading thread flushes at the latest after its next tick."""
        self._posted.append(message)

    def flush(self) -> None:
        """Write what was posted, unless another thread does."""
        while (self._posted or self._outbox) and not self._blocked:
            if not self._writing.acquire(blocking=False):
                return
            try:
                self._write()
            finally:
                self._writing.release()

    def _write(self) -> None:
        """Write until nothing is left or the socket takes no more. Holds the lock."""
        posted, outbox = self._posted, self._outbox
        try:
            while True:
                if not self._unsent:
                    while posted:
                        outbox.put(posted.popleft())
                    self._unsent = outbox.take()
                    if not self._unsent:
                        self._blocked = False
                        return
                self._write_some()
        except (BlockingIOError, InterruptedError):
            if not self._blocked:
                self._blocked = True
                self.wake()
        except OSError:
            # the host is gone: the reading thread sees the end of the channel and ends the process
            posted.clear()
            self._unsent = []

    def _write_some(self) -> None:
        first = self._unsent[0]
        sent = self._socket.send(first)
        if sent == len(first):
            self._unsent.pop(0)
        else:
            self._unsent[0] = memoryview(first)[sent:]

    def wake(self) -> None:
        """Make the reading thread look at its work, from any thread."""
        try:
            self._wake_sender.send(b"\0")
        except (BlockingIOError, InterruptedError):
            return  # it has been woken often enough

    def serve(self, on_messages: Callable[[list[HostMessage]], None], tick: Callable[[], float]) -> None:
        """Read until the host closes the channel.

        `on_messages` gets the messages of each frame. `tick` is called after every wake-up and says after how many
        seconds it wants to be called again.
        """
        inbox = Inbox(_decoder, on_messages)
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            selector.register(self._socket, selectors.EVENT_READ)
            watches_writing = False
            while True:
                if watches_writing != self._blocked:
                    watches_writing = self._blocked
                    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if watches_writing else 0)
                    selector.modify(self._socket, events)
                ready = selector.select(tick())
                for key, events in ready:
                    if key.fileobj is self._wake_receiver:
                        self._wake_receiver.recv(4096)
                        continue
                    if events & selectors.EVENT_WRITE:
                        with self._writing:
                            self._write()
                    if events & selectors.EVENT_READ and not self._read(inbox):
                        return
                self._called = False
                self.flush()

    def _read(self, inbox: Inbox[HostMessage]) -> bool:
        """Read what is there; False at the end of the channel."""
        try:
            count = self._socket.recv_into(inbox.buffer())
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        if count:
            inbox.filled(count)
        return count > 0
