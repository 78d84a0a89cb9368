"""How a host tells others that something waits for them: gathered, then by the database or by datagrams.

Wakes may be lost; every host looks for itself from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from perdure.host.loop import NoWakes
from perdure.storage.provider import HostRow, Provider, StoreError
from perdure.taskhub.interfaces import Clock, Timer, Wakes

#: seconds between two wakes of one host
_PAUSE = 0.005
#: instances that one datagram names; with more, the host is told to look for itself
_MOST_NAMED = 500
#: seconds for which the list of hosts is taken as it is
_FRESH = 1.0
_LOOPBACK = "127.0.0.1"

#: hosts to wake (0: all), and instances with the host that owned them (0: nobody did)
Tell = Callable[[set[int], dict[int, int]], None]
#: gets the numbers of instances for which something waits; an empty list says only that there is something
Woken = Callable[[list[int]], None]


class GatheredWakes:
    """The `Wakes` port: what comes within 5 ms is told at once."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock, self._tell = clock, tell
        self._hosts: set[int] = set()
        self._instances: dict[int, int] = {}
        self._told = -_PAUSE
        self._waits = False
        self._timer: Timer | None = None

    def wake(self, token: int, n: int = 0) -> None:
        """See `taskhub.interfaces.Wakes`."""
        if n:
            self._instances[n] = token
        else:
            self._hosts.add(token)
        if not self._waits:
            self._waits = True
            pause = self._told + _PAUSE - self._clock.monotonic()
            if pause > 0:
                self._timer = self._clock.later(pause, self.flush)
            else:
                self._clock.soon(self.flush)

    def flush(self) -> None:
        """Tell what was gathered."""
        self._waits = False
        hosts, instances = self._hosts, self._instances
        if hosts or instances:
            self._hosts, self._instances = set(), {}
            self._told = self._clock.monotonic()
            self._tell(hosts, instances)


class Datagram(msgspec.Struct, frozen=True, array_like=True):
    """What travels: the hub, the token that is meant, instance numbers (none: anything)."""

    hub: str
    token: int
    numbers: list[int]


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Datagram] = msgspec.json.Decoder(Datagram)


class Datagrams(asyncio.DatagramProtocol):
    """Wakes between hosts of one machine: datagrams on loopback to the port that stands in the host row."""

    def __init__(self, hub: str, provider: Any, clock: Clock, token: Callable[[], int], woken: Woken) -> None:
        self._hub, self._provider, self._clock = hub, provider, clock
        self._token, self._woken = token, woken
        self._transport: asyncio.DatagramTransport | None = None
        self._ports: dict[int, int] = {}
        self._listed = -_FRESH

    async def open(self, port: int) -> bool:
        """Listen at this port of loopback, or (0) only send. False: another program has the port."""
        loop = asyncio.get_running_loop()
        try:
            await loop.create_datagram_endpoint(lambda: self, local_addr=(_LOOPBACK, port))
        except OSError:
            if port:
                await self.open(0)
            return False
        return True

    def close(self) -> None:
        """Listen no longer."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: Any) -> None:
        """The socket is open."""
        self._transport = transport

    def error_received(self, exc: Exception) -> None:
        """Nobody is at that port any more: wakes may be lost."""

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Another host says that something waits."""
        try:
            datagram = _decoder.decode(data)
        except msgspec.DecodeError:
            # not one of ours
            return
        if datagram.hub.lower() == self._hub.lower() and datagram.token == self._token():
            # so that it looks more often while there are others
            self._provider.look()
            self._woken(datagram.numbers)

    def tell(self, hosts: set[int], instances: dict[int, int]) -> None:
        """Wake these hosts; `Tell`."""
        targets = hosts | set(instances.values())
        fresh = self._clock.monotonic() - self._listed < _FRESH
        if targets <= (self._ports.keys() | {0} if fresh else self._ports.keys()):
            self._send(hosts, instances)
        else:
            self._provider.hosts(lambda answer: self._listed_hosts(answer, hosts, instances))

    def _listed_hosts(self, answer: list[HostRow] | StoreError, hosts: set[int], instances: dict[int, int]) -> None:
        if not isinstance(answer, StoreError):
            self._listed = self._clock.monotonic()
            self._ports = {row.token: port for row in answer if row.names and (port := _port(row.address))}
            self._send(hosts, instances)

    def _send(self, hosts: set[int], instances: dict[int, int]) -> None:
        own = self._token()
        for token, port in self._ports.items():
            if token == own or self._transport is None or self._transport.is_closing():
                continue
            numbers = [n for n, owner in instances.items() if owner in (token, 0)]
            anything = token in hosts or 0 in hosts or len(numbers) > _MOST_NAMED
            if numbers and len(numbers) <= _MOST_NAMED:
                self._transport.sendto(_encode(Datagram(self._hub, token, numbers)), (_LOOPBACK, port))
            if anything:
                self._transport.sendto(_encode(Datagram(self._hub, token, [])), (_LOOPBACK, port))


def _port(address: str) -> int:
    """The port of `host:port`, 0 for a client's."""
    port = address.rpartition(":")[2]
    return int(port) if port.isdigit() else 0


class OpenWakes:
    """The wakes of one host or client, and how to close them."""

    def __init__(self, wakes: Wakes, close: Callable[[], None]) -> None:
        self.wakes = wakes
        self.close = close


async def open_wakes(
    kind: str, hub: str, provider: Provider, clock: Clock, token: Callable[[], int], woken: Woken, port: int = 0
) -> OpenWakes:
    """The wakes that fit a store of this kind. `port`: where this host listens for datagrams, 0: nowhere."""
    if kind == "postgres":
        return OpenWakes(GatheredWakes(clock, _by_store(provider)), _nothing)
    if kind == "sqlite":
        datagrams = Datagrams(hub, provider, clock, token, woken)
        await datagrams.open(port)
        return OpenWakes(GatheredWakes(clock, datagrams.tell), datagrams.close)
    return OpenWakes(NoWakes(), _nothing)


def _by_store(store: Any) -> Tell:
    def tell(hosts: set[int], instances: Iterable[int]) -> None:
        store.wake(list(hosts), list(instances))

    return tell


def _nothing() -> None:
    """Nothing is open."""
