"""The SQLite store: one writer thread with group commit, one reader thread beside it (design 6.2)."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from perdure.model.commit_plan import Audit, CommitAnswer, CommitBatch, WorkItem
from perdure.model.instance import InstanceFilter, InstanceRecord, Page
from perdure.model.operations import OpenActivity
from perdure.storage.provider import (
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
from perdure.storage.sqlite import audit, claims, commits, hosts, queries, settings
from perdure.storage.sqlite.backlog import backlog
from perdure.storage.sqlite.counting import Counting
from perdure.storage.sqlite.database import Connect, Database, WriteLock
from perdure.storage.sqlite.foreign import ForeignCommits
from perdure.storage.sqlite.locks import HostLocks
from perdure.storage.sqlite.threads import Again, Post, Reader, Writer

T = TypeVar("T")

#: characters from which on a payload is stored compressed
LARGE_PAYLOAD = 65536


def _clock() -> int:
    return time.time_ns() // 1000


class SqliteProvider:
    """A hub in a SQLite file; a `storage.provider.Provider`.

    `post` hands a call to the thread of the hub; all answers of one transaction come in one call. `now` gives
    microseconds since 1970. `changed` is posted with the numbers of instances that other processes changed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        hub_name: str,
        post: Post,
        *,
        large_payload_bytes: int = LARGE_PAYLOAD,
        now: Callable[[], int] = _clock,
        changed: Callable[[list[int]], None] | None = None,
        connect: Connect = sqlite3.connect,
    ) -> None:
        self.path = Path(path).absolute()
        self._hub_name = hub_name
        self._post = post
        self._threshold = large_payload_bytes
        self._now = now
        self._changed = changed
        self._database = Database(self.path, connect)
        self._sweep = hosts.Sweep()
        self._doubtful = claims.DoubtfulClaims()

    def open(self) -> None:
        """Check the file, make or migrate its schema, start the threads. Raises `StoreUnusable`."""
        self._hub = self._database.open(self._hub_name)
        self._locks = HostLocks(self.path)
        self._lock = WriteLock(self.path)
        self._foreign = ForeignCommits(self._hub, self._tell)
        self._writer = Writer(self._database, self._lock, self._post, self._foreign.look)
        self._reader = Reader(self._database, self._post)
        self._writer.start()
        self._reader.start()

    def shutdown(self) -> None:
        """Finish what was asked for, close the file. Tokens that were not closed count as dead from now on."""
        self._reader.stop()
        self._writer.stop()
        self._lock.close()
        self._locks.close()

    def look(self) -> None:
        """Look at once whether another process committed; else that is noticed by itself (design 6.2)."""
        self._writer.submit(self._foreign.look, _ignore)

    def _tell(self, numbers: list[int]) -> None:
        if self._changed is not None:
            self._post(partial(self._changed, numbers))

    # hosts

    def register(self, registration: HostRegistration, done: Callback[Registered]) -> None:
        def operation(connection: sqlite3.Connection) -> Registered:
            self._hub = self._foreign.hub = self._database.hub(connection, self._hub_name)
            registered = hosts.register(connection, self._hub, self._locks, registration, self._now())
            self._foreign.mine.add(registered.token)
            return registered

        self._writer.submit(operation, done)
        self._free_claims()

    def close(self, token: int, done: Callback[None]) -> None:
        def operation(connection: sqlite3.Connection) -> None:
            hosts.bury(connection, token)
            self._locks.drop(token)

        self._writer.submit(operation, done)
        self._free_claims()

    def leave(self, token: int, done: Callback[None]) -> None:
        self._writer.submit(lambda connection: hosts.leave(connection, token), done)

    def come_back(self, token: int, names: dict[str, tuple[str, ...]], done: Callback[bool]) -> None:
        self._writer.submit(lambda connection: hosts.come_back(connection, token, names), done)

    def beat(self, token: int, done: Callback[bool]) -> None:
        self._writer.submit(lambda connection: hosts.beat(connection, token, self._now()), done)

    def hosts(self, done: Callback[list[HostRow]]) -> None:
        self._writer.submit(lambda connection: hosts.hosts(connection, self._hub, self._locks), done)
        self._free_claims()

    def declare_dead(self, token: int, seen_beat: int, done: Callback[bool]) -> None:
        self._writer.submit(lambda connection: hosts.declare_dead(connection, token, seen_beat), done)
        self._free_claims()

    def _free_claims(self) -> None:
        """Give back what dead hosts had claimed, window by window between other operations."""

        def swept(more: bool | StoreError) -> None:
            if more is True:
                self._free_claims()

        self._writer.submit(self._sweep.step, swept)

    # commits

    def commit(self, batch: CommitBatch, done: Callback[CommitAnswer]) -> None:
        self._writer.submit(
            lambda connection: commits.commit(connection, self._hub, batch, self._now(), self._threshold), done
        )

    def recorded(self, token: int, number: int, done: Callback[CommitAnswer | None]) -> None:
        # by the writer: behind the commit itself, should that still be under way
        self._writer.submit(lambda connection: commits.recorded(connection, token, number), done)

    # claims

    def claim(self, token: int, numbers: list[int], done: Callback[list[Loaded]]) -> None:
        self._writer.submit(lambda connection: claims.claim(connection, self._hub, token, numbers), done)

    def claim_ready(
        self, token: int, limit: int, done: Callback[list[Loaded]], *, passing_over: Sequence[str] = ()
    ) -> None:
        self._writer.submit(
            lambda connection: claims.claim_ready(connection, self._hub, token, limit, self._now(), passing_over), done
        )

    def claim_work(self, token: int, names: tuple[str, ...], limit: int, done: Callback[list[WorkItem]]) -> None:
        tried: list[claims.Claim] = []

        def operation(connection: sqlite3.Connection) -> list[WorkItem]:
            tried.extend(self._doubtful.take())
            claims.give_back(connection, tried)
            items = claims.claim_work(connection, self._hub, token, names, limit, self._now())
            tried.extend((token, item.n, item.generation, item.task) for item in items)
            return items

        def answered(answer: list[WorkItem] | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._doubtful.add(tried)
            done(answer)

        self._writer.submit(operation, answered)

    # reading

    def waiting(self, token: int, done: Callback[list[tuple[int, int]]]) -> None:
        self._reader.submit(lambda connection: claims.waiting(connection, self._hub, token, self._now()), done)

    def read_inbox(self, n: int, after: int, done: Callback[list[InboxRow]]) -> None:
        self._reader.submit(lambda connection: claims.read_inbox(connection, n, after)[0], done)

    def read_history(self, n: int, generation: int, done: Callback[list[bytes]]) -> None:
        self._reader.submit(lambda connection: queries.read_history(connection, n, generation), done)

    def due_timers(self, token: int, until: int, limit: int, done: Callback[list[DueTimer]]) -> None:
        self._reader.submit(lambda connection: queries.due_timers(connection, self._hub, token, until, limit), done)

    def find(self, instance_ids: list[str], done: Callback[list[InstanceRecord]]) -> None:
        self._reader.submit(lambda connection: queries.find(connection, self._hub, instance_ids), done)

    def open_activities(
        self, n: int, generation: int, tasks: Sequence[int], done: Callback[list[OpenActivity]]
    ) -> None:
        self._reader.submit(lambda connection: queries.open_activities(connection, n, generation, tasks), done)

    def count_inbox(self, numbers: list[int], now: int, done: Callback[dict[int, int]]) -> None:
        self._reader.submit(lambda connection: queries.count_inbox(connection, numbers, now), done)

    def query(
        self,
        filter: InstanceFilter,
        top: int,
        continuation: str | None,
        done: Callback[Page],
        *,
        payloads: bool = True,
    ) -> None:
        self._read_on(queries.Listing(self._hub, filter, top, continuation, payloads).step, done)

    def count(self, filter: InstanceFilter, by_name: bool, done: Callback[Counts]) -> None:
        self._read_on(Counting(self._hub, filter, by_name).step, done)

    def _read_on(self, step: Callable[[sqlite3.Connection], T | None], done: Callback[T]) -> None:
        """Read slice by slice until there is an answer."""

        def operation(connection: sqlite3.Connection) -> T:
            answer = step(connection)
            if answer is None:
                raise Again
            return answer

        self._reader.submit(operation, done)

    # settings, time, backup

    def audit(self, target: str | None, n: int, limit: int, done: Callback[list[Audit]]) -> None:
        self._reader.submit(lambda connection: audit.latest(connection, self._hub, target, n, limit), done)

    def delete_hub(self, who: str, result: str, done: Callback[bool]) -> None:
        self._writer.submit(lambda connection: hosts.delete_hub(connection, self._hub, who, result, self._now()), done)

    def get_setting(self, kind: str, key: str, done: Callback[str | None]) -> None:
        self._reader.submit(lambda connection: settings.get(connection, self._hub, kind, key), done)

    def list_settings(self, kind: str, done: Callback[list[tuple[str, str]]]) -> None:
        self._reader.submit(lambda connection: settings.listed(connection, self._hub, kind), done)

    def put_setting(self, kind: str, key: str, value: str | None, expected: str | None, done: Callback[bool]) -> None:
        self._writer.submit(lambda connection: settings.put(connection, self._hub, kind, key, value, expected), done)

    def time(self, done: Callback[int]) -> None:
        self._post(lambda: done(self._now()))

    def backlog(self, done: Callback[Backlog]) -> None:
        self._reader.submit(lambda connection: backlog(connection, self._hub, self._now()), done)

    def backup(self, target: str | os.PathLike[str], done: Callback[None]) -> None:
        """Write a consistent copy to `target`, which must not exist, and sync it. The host goes on meanwhile."""
        self._reader.submit(lambda connection: settings.backup(connection, Path(target)), done)


def _ignore(answer: Any) -> None:
    """For operations whose answer nobody needs."""
