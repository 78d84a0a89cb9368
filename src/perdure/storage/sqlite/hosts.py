"""Tokens: given out, kept alive, declared dead, and what the dead had claimed."""

from __future__ import annotations

import sqlite3

import msgspec

from perdure.storage.provider import HostRegistration, HostRow, Registered, StoreError
from perdure.storage.sqlite.locks import HostLocks
from perdure.storage.sqlite.rows import host_row_of
from perdure.storage.sqlite.statements import SQL


def register(
    connection: sqlite3.Connection, hub: int, locks: HostLocks, registration: HostRegistration, now: int
) -> Registered:
    """A new token, whose lock file is held before any other host can see the row."""
    bury_gone(connection, hub, locks)
    names = _listed(registration.names)
    values = (hub, registration.address, registration.instance_id, names, registration.fingerprint, registration.ttl)
    token = connection.execute(SQL.add_host, values).lastrowid or 0
    try:
        locks.hold(token)
    except OSError as problem:
        raise StoreError(f"the lock file of host {token} cannot be taken ({problem})") from problem
    return Registered(token, hub, now)


def bury_gone(connection: sqlite3.Connection, hub: int, locks: HostLocks) -> None:
    """Mark hosts dead whose process has ended: the kernel freed their lock."""
    for token in living(connection, hub):
        if locks.is_gone(token):
            bury(connection, token)


def living(connection: sqlite3.Connection, hub: int) -> list[int]:
    """The tokens that are alive."""
    return [row[0] for row in connection.execute(SQL.living_tokens, (hub,))]


def holding(connection: sqlite3.Connection, hub: int) -> list[int]:
    """The tokens that are alive and keep their instances."""
    return [row[0] for row in connection.execute(SQL.holding_tokens, (hub,))]


def leave(connection: sqlite3.Connection, token: int) -> None:
    """Let others have the instances of this host: it lists no function any more, not even an empty table."""
    connection.execute(SQL.list_functions, ("", token))


def come_back(connection: sqlite3.Connection, token: int, names: dict[str, tuple[str, ...]]) -> bool:
    """The host lists its functions again; False when it is dead."""
    return connection.execute(SQL.list_functions, (_listed(names), token)).rowcount == 1


def _listed(names: dict[str, tuple[str, ...]]) -> str:
    return msgspec.json.encode(names).decode()


def is_alive(connection: sqlite3.Connection, token: int) -> bool:
    host = connection.execute(SQL.host, (token,)).fetchone()
    return host is not None and not host[0]


def hosts(connection: sqlite3.Connection, hub: int, locks: HostLocks) -> list[HostRow]:
    """All hosts of the hub that are alive."""
    bury_gone(connection, hub, locks)
    return [host_row_of(row) for row in connection.execute(SQL.living_hosts, (hub,))]


def beat(connection: sqlite3.Connection, token: int, now: int) -> bool:
    """Raise the beat; False when the token is dead."""
    return connection.execute(SQL.beat, (now, token)).rowcount == 1


def bury(connection: sqlite3.Connection, token: int) -> None:
    """Mark a host dead."""
    connection.execute(SQL.bury, (token,))


def declare_dead(connection: sqlite3.Connection, token: int, seen_beat: int) -> bool:
    """Mark a host dead if its beat still is `seen_beat`; whether it is dead now."""
    connection.execute(SQL.bury_silent, (token, seen_beat))
    return not is_alive(connection, token)


class Sweep:
    """Frees the activities that dead hosts had claimed, a window of them at a time."""

    __slots__ = ("_window",)

    def __init__(self, window: int = 2000) -> None:
        self._window = window

    def step(self, connection: sqlite3.Connection) -> bool:
        """Free a window of what one dead host had; whether there is more to look at."""
        host = connection.execute(SQL.unswept_hosts).fetchone()
        if host is None:
            return False
        token, hub = host
        rows = connection.execute(SQL.claimed_by, (hub, token, self._window)).fetchall()
        connection.executemany(SQL.free_work, rows)
        if len(rows) < self._window:
            connection.execute(SQL.mark_swept, (token,))
        return True


def delete_hub(connection: sqlite3.Connection, hub: int, who: str, result: str, now: int) -> bool:
    """Forget a hub without instances that no host with functions uses; whether it is gone. Its number and those that
    its rows had are never used again."""
    row = connection.execute(SQL.hub_name, (hub,)).fetchone()
    if (
        connection.execute(SQL.using_hosts, (hub,)).fetchone()
        or connection.execute(SQL.any_instance, (hub,)).fetchone()
    ):
        return False
    connection.execute(SQL.keep_counter)
    for statement in (SQL.drop_settings, SQL.drop_hub_audit, SQL.drop_hosts, SQL.drop_hub):
        connection.execute(statement, (hub,))
    if row is not None and who:
        connection.execute(SQL.add_audit, (0, 0, row[0], now, "deleteTaskHub", who, None, result))
    return True
