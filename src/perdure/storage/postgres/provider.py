"""The PostgreSQL store (design 6.3): each call is one function of the database, each commit one round trip."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec

from perdure.model.commit_plan import Audit, CommitAnswer, CommitBatch, WorkItem
from perdure.model.instance import InstanceFilter, InstanceRecord, Page
from perdure.model.operations import OpenActivity
from perdure.storage.postgres import batches, listing, migrations
from perdure.storage.postgres.connections import Connection, Lane, Post, Server, StoreThread
from perdure.storage.postgres.errors import CANNOT_CONNECT, StoreUnusable, not_connected
from perdure.storage.postgres.listener import Listener, channel_of
from perdure.storage.postgres.rows import audit_of, host_row_of, inbox_row_of, loaded_of, record_of, work_item_of
from perdure.storage.provider import (
    MOST_COUNTED,
    Backlog,
    Callback,
    Counts,
    DueTimer,
    HostRegistration,
    HostRow,
    InboxRow,
    Loaded,
    Registered,
    StoreError,
)

T = TypeVar("T")

#: rows of an inbox that one read returns
INBOX_WINDOW = 256
#: waiting messages that one read lists
WAITING_WINDOW = 4096
#: connections for claims and hosts, and for reading; commits have one, wakes another
_CLAIMING, _READING = 2, 2
#: seconds between two attempts to learn what a claim got whose answer was lost
_ASK_AGAIN = 0.5


class PostgresProvider:
    """A hub in a PostgreSQL database; a `storage.provider.Provider`.

    `post` hands a call to the thread of the hub. `listen_url` names a direct connection for notifications when `url`
    leads through a pooler. `woken` is posted with the numbers of instances for which other hosts sent something; an
    empty list says only that there is something. `told` is posted with a line about how wakes arrive, and when that
    changes. Raises `StoreUnusable` on a URL that asks for what the driver cannot do.
    """

    def __init__(
        self,
        url: str,
        hub_name: str,
        post: Post,
        *,
        schema: str = "perdure",
        listen_url: str | None = None,
        woken: Callable[[list[int]], None] | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self.schema = schema
        self._hub_name = hub_name
        self._post = post
        self._server = Server(url)
        self._listening = Server(listen_url) if listen_url else self._server
        self._woken = woken
        self._told = told
        self._heard: bool | None = None
        self._requests = itertools.count(1)
        self._listener: Listener | None = None
        self._token = 0

    def open(self) -> None:
        """Find the server, make or bring forward the schema, start. Raises `StoreUnusable`."""
        self._thread = StoreThread()
        try:
            self._hub = self._thread.call(self._open())
        except BaseException:
            self._thread.stop()
            raise

    async def _open(self) -> int:
        try:
            await self._server.find_out()
            connection = await self._server.connect()
            try:
                hub = await migrations.prepare(connection, self.schema, self._hub_name)
            finally:
                await connection.close()
        except CANNOT_CONNECT as problem:
            raise StoreUnusable(not_connected(problem)) from problem
        self._commits = Lane(self._server, self._post, 1)
        self._claims = Lane(self._server, self._post, _CLAIMING)
        self._reads = Lane(self._server, self._post, _READING)
        self._wakes = Lane(self._server, self._post, 1)
        return hub

    def shutdown(self) -> None:
        """Finish what was asked for, close the connections."""
        self._thread.call(self._shutdown())
        self._thread.stop()

    async def _shutdown(self) -> None:
        if self._listener is not None:
            await self._listener.stop()
        await asyncio.gather(*(lane.stop() for lane in (self._commits, self._claims, self._reads, self._wakes)))

    def _name(self, function: str) -> str:
        return f"{migrations.quoted(self.schema)}.{function}{migrations.tag()}"

    def _table(self, name: str) -> str:
        return f"{migrations.quoted(self.schema)}.{name}"

    def _ask(self, lane: Lane, operation: Callable[[Connection], Awaitable[Any]], done: Callable[[Any], None]) -> None:
        self._thread.soon(lambda: lane.put(operation, done))

    # hosts

    def register(self, registration: HostRegistration, done: Callback[Registered]) -> None:
        names = msgspec.json.encode(registration.names).decode()
        text = (
            f"INSERT INTO {self._table('host')} (hub, address, instance_id, names, fingerprint, ttl, schema, functions)"
            f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING token, {self._table('now_us')}() AS time"
        )

        async def operation(connection: Connection) -> Registered:
            # in one transaction, so that the hub is not deleted in between; where it was, it comes into being again
            async with connection.transaction():
                await connection.execute(f"SET LOCAL search_path = {migrations.quoted(self.schema)}, pg_temp")
                self._hub = await migrations.hub(connection, self._hub_name)
                row = await connection.fetchrow(
                    text,
                    self._hub,
                    registration.address,
                    registration.instance_id,
                    names,
                    registration.fingerprint,
                    registration.ttl,
                    migrations.SCHEMA,
                    migrations.tag(),
                )
            self._token = row["token"]
            self._listen(self._token)
            return Registered(row["token"], self._hub, row["time"])

        self._ask(self._claims, operation, done)

    def _listen(self, token: int) -> None:
        if self._woken is None:
            return
        woken = self._woken
        if self._listener is not None:
            self._listener.end()
        self._listener = Listener(
            self._server,
            self._listening,
            self.schema,
            token,
            woken=lambda numbers: self._post(lambda: woken(numbers)),
            told=self._say,
        )

    def _say(self, hears: bool, text: str) -> None:
        told = self._told
        if told is not None and hears is not self._heard:
            self._heard = hears
            self._post(lambda: told(text))

    def close(self, token: int, done: Callback[None]) -> None:
        async def operation(connection: Connection) -> None:
            await connection.execute(f"UPDATE {self._table('host')} SET dead = true WHERE token = $1", token)

        self._ask(self._claims, operation, done)

    def leave(self, token: int, done: Callback[None]) -> None:
        async def operation(connection: Connection) -> None:
            await connection.execute(f"UPDATE {self._table('host')} SET leaving = true WHERE token = $1", token)

        self._ask(self._claims, operation, done)

    def come_back(self, token: int, names: dict[str, tuple[str, ...]], done: Callback[bool]) -> None:
        listed = msgspec.json.encode(names).decode()
        text = (
            f"UPDATE {self._table('host')} SET leaving = false, names = $2 WHERE token = $1 AND NOT dead RETURNING true"
        )

        async def operation(connection: Connection) -> bool:
            return bool(await connection.fetchval(text, token, listed))

        self._ask(self._claims, operation, done)

    def beat(self, token: int, done: Callback[bool]) -> None:
        text = (
            f"UPDATE {self._table('host')} SET beat = beat + 1, heard = {self._table('now_us')}() "
            "WHERE token = $1 AND NOT dead RETURNING true"
        )

        async def operation(connection: Connection) -> bool:
            return bool(await connection.fetchval(text, token))

        self._ask(self._claims, operation, done)

    def hosts(self, done: Callback[list[HostRow]]) -> None:
        text = f"SELECT * FROM {self._table('host')} WHERE hub = $1 AND NOT dead ORDER BY token"

        async def operation(connection: Connection) -> list[HostRow]:
            return [host_row_of(row) for row in await connection.fetch(text, self._hub)]

        self._ask(self._reads, operation, done)

    def declare_dead(self, token: int, seen_beat: int, done: Callback[bool]) -> None:
        bury = f"UPDATE {self._table('host')} SET dead = true WHERE token = $1 AND beat = $2 AND NOT dead"
        dead = f"SELECT dead FROM {self._table('host')} WHERE token = $1"

        async def operation(connection: Connection) -> bool:
            await connection.execute(bury, token, seen_beat)
            return bool(await connection.fetchval(dead, token))

        self._ask(self._claims, operation, done)

    # commits

    def commit(self, batch: CommitBatch, done: Callback[CommitAnswer]) -> None:
        async def operation(connection: Connection) -> CommitAnswer:
            arguments = batches.arguments(batch, self._hub)
            places = ", ".join(f"${position}" for position in range(1, len(arguments) + 1))
            return batches.answer_of(await connection.fetchval(f"SELECT {self._name('commit')}({places})", *arguments))

        self._ask(self._commits, operation, done)

    def recorded(self, token: int, number: int, done: Callback[CommitAnswer | None]) -> None:
        # waits for the row: the commit itself may still be under way
        text = f"SELECT number, answer FROM {self._table('host')} WHERE token = $1 FOR SHARE"

        async def operation(connection: Connection) -> CommitAnswer | None:
            row = await connection.fetchrow(text, token)
            if row is None or row["number"] != number or row["answer"] is None:
                return None
            return batches.answer_of(row["answer"])

        self._ask(self._commits, operation, done)

    # claims

    def claim(self, token: int, numbers: list[int], done: Callback[list[Loaded]]) -> None:
        async def operation(connection: Connection) -> list[Loaded]:
            if not await connection.fetchval(f"SELECT {self._name('claim')}($1, $2, $3)", token, self._hub, numbers):
                return []
            # a transaction of its own: whoever sent a message that this does not see finds the new owner
            return await self._load(connection, token, list(dict.fromkeys(numbers)))

        self._ask(self._claims, operation, done)

    def claim_ready(
        self, token: int, limit: int, done: Callback[list[Loaded]], *, passing_over: Sequence[str] = ()
    ) -> None:
        passed = [batches.clean(function) for function in passing_over] or None

        async def operation(connection: Connection) -> list[Loaded]:
            text = f"SELECT {self._name('claim_ready')}($1, $2, $3, $4)"
            numbers = await connection.fetchval(text, token, self._hub, limit, passed)
            return await self._load(connection, token, numbers) if numbers else []

        self._ask(self._claims, operation, done)

    async def _load(self, connection: Connection, token: int, numbers: list[int]) -> list[Loaded]:
        text = f"SELECT * FROM {self._name('load')}($1, $2, $3, $4)"
        rows = await connection.fetch(text, token, self._hub, numbers, INBOX_WINDOW + 1)
        return [loaded_of(row, INBOX_WINDOW) for row in rows]

    def claim_work(self, token: int, names: tuple[str, ...], limit: int, done: Callback[list[WorkItem]]) -> None:
        request, keys = next(self._requests), [batches.clean(name) for name in names]
        text = f"SELECT * FROM {self._name('claim_work')}($1, $2, $3, $4, $5)"

        async def operation(connection: Connection) -> list[WorkItem]:
            rows = await connection.fetch(text, token, self._hub, request, keys, limit)
            return [work_item_of(row, token) for row in rows]

        def ask_again() -> None:
            self._thread.loop.call_later(_ASK_AGAIN, self._claims.put, operation, answered)

        def answered(answer: list[WorkItem] | StoreError) -> None:
            if isinstance(answer, StoreError) and answer.lost:
                # claimed or not: the same request finds out
                self._thread.soon(ask_again)
            else:
                done(answer)

        self._ask(self._claims, operation, answered)

    # reading

    def waiting(self, token: int, done: Callback[list[tuple[int, int]]]) -> None:
        async def operation(connection: Connection) -> list[tuple[int, int]]:
            text = f"SELECT * FROM {self._name('waiting')}($1, $2, $3)"
            return [(n, seq) for n, seq in await connection.fetch(text, token, self._hub, WAITING_WINDOW)]

        self._ask(self._reads, operation, done)

    def read_inbox(self, n: int, after: int, done: Callback[list[InboxRow]]) -> None:
        async def operation(connection: Connection) -> list[InboxRow]:
            text = f"SELECT * FROM {self._name('read_inbox')}($1, $2, $3)"
            return [inbox_row_of(row) for row in await connection.fetch(text, n, after, INBOX_WINDOW)]

        self._ask(self._reads, operation, done)

    def read_history(self, n: int, generation: int, done: Callback[list[bytes]]) -> None:
        async def operation(connection: Connection) -> list[bytes]:
            text = f"SELECT * FROM {self._name('read_history')}($1, $2)"
            return [body.encode() for (body,) in await connection.fetch(text, n, generation)]

        self._ask(self._reads, operation, done)

    def due_timers(self, token: int, until: int, limit: int, done: Callback[list[DueTimer]]) -> None:
        async def operation(connection: Connection) -> list[DueTimer]:
            text = f"SELECT * FROM {self._name('due_timers')}($1, $2, $3, $4)"
            rows = await connection.fetch(text, token, self._hub, until, limit)
            return [DueTimer(due, seq, n) for due, seq, n in rows]

        self._ask(self._reads, operation, done)

    def find(self, instance_ids: list[str], done: Callback[list[InstanceRecord]]) -> None:
        async def operation(connection: Connection) -> list[InstanceRecord]:
            ids = [one for one in instance_ids if "\0" not in one]
            rows = await connection.fetch(f"SELECT * FROM {self._name('find')}($1, $2)", self._hub, ids)
            return [record_of(row) for row in rows]

        self._ask(self._reads, operation, done)

    def open_activities(
        self, n: int, generation: int, tasks: Sequence[int], done: Callback[list[OpenActivity]]
    ) -> None:
        async def operation(connection: Connection) -> list[OpenActivity]:
            text = f"SELECT * FROM {self._name('open_activities')}($1, $2, $3)"
            return [OpenActivity(*row) for row in await connection.fetch(text, n, generation, list(tasks))]

        self._ask(self._reads, operation, done)

    def count_inbox(self, numbers: list[int], now: int, done: Callback[dict[int, int]]) -> None:
        async def operation(connection: Connection) -> dict[int, int]:
            text = f"SELECT n, count(*) FROM {self._table('inbox')} WHERE n = ANY ($1) AND due <= $2 GROUP BY n"
            return {row[0]: row[1] for row in await connection.fetch(text, numbers, now)}

        self._ask(self._reads, operation, done)

    def query(
        self,
        filter: InstanceFilter,
        top: int,
        continuation: str | None,
        done: Callback[Page],
        *,
        payloads: bool = True,
    ) -> None:
        try:
            walk = listing.Listing(self._hub, filter, top, continuation, payloads)
        except StoreError as refused:
            unknown = refused
            self._post(lambda: done(unknown))
            return
        self._walk(walk.step, done)

    def count(self, filter: InstanceFilter, by_name: bool, done: Callback[Counts]) -> None:
        self._walk(listing.Counting(self._hub, filter, by_name).step, done)

    def _walk(self, step: Callable[[listing.Call], Awaitable[T | None]], done: Callback[T]) -> None:
        """Take steps until there is an answer; others come between them."""

        async def operation(connection: Connection) -> T | None:
            async def call(function: str, *arguments: Any) -> list[Any]:
                places = ", ".join(f"${number}" for number in range(1, len(arguments) + 1))
                found: list[Any] = await connection.fetch(f"SELECT * FROM {self._name(function)}({places})", *arguments)
                return found

            return await step(call)

        def stepped(answer: T | StoreError | None) -> None:
            if answer is None:
                self._ask(self._reads, operation, stepped)
            else:
                done(answer)

        self._ask(self._reads, operation, stepped)

    # settings, time

    def get_setting(self, kind: str, key: str, done: Callback[str | None]) -> None:
        text = f"SELECT value FROM {self._table('setting')} WHERE hub = $1 AND kind = $2 AND key = $3"
        self._ask(self._reads, lambda connection: connection.fetchval(text, self._hub, kind, key), done)

    def list_settings(self, kind: str, done: Callback[list[tuple[str, str]]]) -> None:
        text = f"SELECT key, value FROM {self._table('setting')} WHERE hub = $1 AND kind = $2 ORDER BY key"

        async def operation(connection: Connection) -> list[tuple[str, str]]:
            return [(key, value) for key, value in await connection.fetch(text, self._hub, kind)]

        self._ask(self._reads, operation, done)

    def put_setting(self, kind: str, key: str, value: str | None, expected: str | None, done: Callback[bool]) -> None:
        table, where = self._table("setting"), "hub = $1 AND kind = $2 AND key = $3"
        add = f"INSERT INTO {table} VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true"
        change = f"UPDATE {table} SET value = $4 WHERE {where} AND value = $5 RETURNING true"
        drop = f"DELETE FROM {table} WHERE {where} AND value = $4 RETURNING true"
        absent = f"SELECT NOT EXISTS (SELECT 1 FROM {table} WHERE {where})"
        place = (self._hub, kind, key)

        async def operation(connection: Connection) -> bool:
            if expected is None and value is None:
                done = await connection.fetchval(absent, *place)
            elif expected is None:
                done = await connection.fetchval(add, *place, value)
            elif value is None:
                done = await connection.fetchval(drop, *place, expected)
            else:
                done = await connection.fetchval(change, *place, value, expected)
            return bool(done)

        self._ask(self._claims, operation, done)

    def audit(self, target: str | None, n: int, limit: int, done: Callback[list[Audit]]) -> None:
        recorded = None if target is None else batches.clean(target)

        async def operation(connection: Connection) -> list[Audit]:
            text = f"SELECT * FROM {self._name('audit')}($1, $2, $3, $4)"
            return [audit_of(row) for row in await connection.fetch(text, self._hub, recorded, n, limit)]

        self._ask(self._reads, operation, done)

    def delete_hub(self, who: str, result: str, done: Callback[bool]) -> None:
        async def operation(connection: Connection) -> bool:
            text = f"SELECT {self._name('delete_hub')}($1, $2, $3)"
            return bool(await connection.fetchval(text, self._hub, who, result))

        self._ask(self._claims, operation, done)

    def time(self, done: Callback[int]) -> None:
        text = f"SELECT {self._table('now_us')}()"
        self._ask(self._reads, lambda connection: connection.fetchval(text), done)

    def backlog(self, done: Callback[Backlog]) -> None:
        text = f"SELECT * FROM {self._name('backlog')}($1, $2)"

        async def operation(connection: Connection) -> Backlog:
            return Backlog(*await connection.fetchrow(text, self._hub, MOST_COUNTED))

        self._ask(self._reads, operation, done)

    # wakes

    def wake(self, tokens: list[int], numbers: list[int]) -> None:
        """Tell those who own these instances now, and these hosts (0: all), that something waits. May be lost."""
        text = f"SELECT {self._name('wake')}($1, $2, $3, $4, $5)"
        channel = channel_of(self.schema, "")

        async def operation(connection: Connection) -> None:
            await connection.execute(text, self._token, self._hub, tokens, numbers, channel)

        self._ask(self._wakes, operation, _ignore)


def _ignore(answer: Any) -> None:
    """Wakes may be lost."""
