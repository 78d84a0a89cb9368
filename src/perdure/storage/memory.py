"""The memory store: the smallest provider, and the executable specification of the protocol.

A transaction has three moments, each a step of its own on the clock: it *begins* (numbers are assigned, rows are
locked; whoever needs a locked row waits, claims and purges pass over it), it becomes *visible* (all of it, at once),
it is *answered*. Transactions of several hosts are open together, so what begins first need not become visible first.
A `Fate` decides when each step comes and whether the call fails; without one all three come in one step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.commit_plan import Audit, CommitAnswer, CommitBatch, WorkItem
from perdure.model.instance import InstanceFilter, InstanceRecord, Page, RuntimeStatus
from perdure.model.operations import OpenActivity
from perdure.storage.listing import PAGE_SIZE, size_of
from perdure.storage.memory_tables import Application, HostState, Tables, can_act, is_unstarted, messages_of
from perdure.storage.policies import function_key, replaces
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
    UnknownContinuation,
)

T = TypeVar("T")
Begin = Callable[[], "tuple[frozenset[Hashable], Callable[[], T]]"]
#: waiting messages that one read lists
WAITING_WINDOW = 4096
_NONE: frozenset[Hashable] = frozenset()


class Fate(Struct, frozen=True):
    """What becomes of one call. Times in seconds: until it begins, from there to visible, from there to the answer.

    `error`: the caller gets a `StoreError` instead, `answer` seconds after it asked; `lost` as there. `applied`:
    whether the call takes effect; an error that is applied must be `lost`. `answered` False: no answer ever comes.
    """

    begin: float = 0.0
    visible: float = 0.0
    answer: float = 0.0
    error: str = ""
    lost: bool = False
    applied: bool = True
    answered: bool = True


class Later(Protocol):
    """The part of a clock that the store needs."""

    def now(self) -> int:
        """Microseconds since 1970."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call after what is under way."""

    def later(self, seconds: float, call: Callable[[], None]) -> object:
        """Call after `seconds`."""


class MemoryDatabase:
    """What the hosts of one hub share: the tables, the counters, the locks of open transactions.

    `clock` gives the store's time.
    """

    def __init__(self, clock: Later) -> None:
        self.clock = clock
        self.tables = Tables()
        self.locks: set[Hashable] = set()
        self.last_token = 0
        self.last_seq = 0
        self._waiting: list[Callable[[], None]] = []

    def reserve(self, count: int) -> Iterator[int]:
        """The next `count` numbers of inbox rows."""
        first = self.last_seq + 1
        self.last_seq += count
        return iter(range(first, first + count))

    def wait(self, retry: Callable[[], None]) -> None:
        """Call `retry` when the next transaction ends."""
        self._waiting.append(retry)

    def unlock(self, keys: frozenset[Hashable]) -> None:
        self.locks -= keys
        waiting, self._waiting = self._waiting, []
        for retry in waiting:
            retry()


class MemoryStore:
    """One host's connection to a `MemoryDatabase`; a `storage.provider.Provider`.

    `clock` is the host's: answers come by it, and end with it; what the database has been asked to do it goes on to
    do. `fate` is asked once per call, with the name of the call.
    """

    def __init__(
        self, database: MemoryDatabase, clock: Later | None = None, fate: Callable[[str], Fate | None] | None = None
    ) -> None:
        self.database = database
        self._tables = database.tables
        self._clock = clock or database.clock
        self._fate = fate

    def _transact(self, call: str, begin: Begin[T], done: Callback[T]) -> None:
        """Run one transaction: `begin` says which rows it locks and what it does when it becomes visible."""
        fate = self._fate(call) if self._fate is not None else None
        if fate is None:
            self._clock.soon(lambda: self._begin(begin, None, done))
            return
        if fate.error and fate.answered:
            error = StoreError(fate.error, lost=fate.lost)
            self._clock.later(fate.answer, lambda: done(error))
        if fate.applied or not fate.error:
            self.database.clock.later(fate.begin, lambda: self._begin(begin, fate, done))

    def _begin(self, begin: Begin[T], fate: Fate | None, done: Callback[T]) -> None:
        database = self.database
        keys, apply = begin()
        if not keys.isdisjoint(database.locks):
            database.wait(lambda: self._begin(begin, fate, done))
        elif fate is None:
            done(_outcome(apply))
        else:
            database.locks |= keys
            database.clock.later(fate.visible, lambda: self._visible(keys, apply, fate, done))

    def _visible(self, keys: frozenset[Hashable], apply: Callable[[], T], fate: Fate, done: Callback[T]) -> None:
        answer = _outcome(apply)
        self.database.unlock(keys)
        if fate.answered and not fate.error:
            self._clock.later(fate.answer, lambda: done(answer))

    def _read(self, call: str, read: Callable[[], T], done: Callback[T]) -> None:
        self._transact(call, lambda: (_NONE, read), done)

    # hosts

    def register(self, registration: HostRegistration, done: Callback[Registered]) -> None:
        def apply() -> Registered:
            self.database.last_token += 1
            token = self.database.last_token
            self._tables.hosts[token] = HostState(registration)
            return Registered(token, 1, self.database.clock.now())

        self._read("register", apply, done)

    def close(self, token: int, done: Callback[None]) -> None:
        def apply() -> None:
            tables = self._tables
            host = tables.hosts.get(token)
            if host is not None:
                host.dead = True
            for record in [record for record in tables.instances.values() if record.owner == token]:
                tables.put_instance(replace(record, owner=0))
            for item in [item for item in tables.work.values() if item.owner == token]:
                tables.put_work(replace(item, owner=0))

        self._transact("close", lambda: (frozenset({_host(token)}), apply), done)

    def leave(self, token: int, done: Callback[None]) -> None:
        def apply() -> None:
            host = self._tables.hosts.get(token)
            if host is not None:
                host.leaving = True

        self._transact("leave", lambda: (frozenset({_host(token)}), apply), done)

    def come_back(self, token: int, names: dict[str, tuple[str, ...]], done: Callback[bool]) -> None:
        def apply() -> bool:
            host = self._tables.hosts.get(token)
            if host is None or host.dead:
                return False
            host.leaving = False
            host.registration = replace(host.registration, names=names)
            return True

        self._transact("come_back", lambda: (frozenset({_host(token)}), apply), done)

    def beat(self, token: int, done: Callback[bool]) -> None:
        def apply() -> bool:
            host = self._tables.hosts.get(token)
            if host is None or host.dead:
                return False
            host.beat += 1
            host.heard = self.database.clock.now()
            return True

        self._transact("beat", lambda: (frozenset({_host(token)}), apply), done)

    def hosts(self, done: Callback[list[HostRow]]) -> None:
        def read() -> list[HostRow]:
            return [
                HostRow(
                    token,
                    host.beat,
                    host.dead,
                    told.address,
                    told.instance_id,
                    dict(told.names),
                    host.heard,
                    told.ttl,
                )
                for token, host in self._tables.hosts.items()
                if not host.dead
                for told in (host.registration,)
            ]

        self._read("hosts", read, done)

    def declare_dead(self, token: int, seen_beat: int, done: Callback[bool]) -> None:
        def apply() -> bool:
            host = self._tables.hosts.get(token)
            if host is not None and not host.dead:
                host.dead = host.beat == seen_beat
            return host is None or host.dead

        self._transact("declare_dead", lambda: (frozenset({_host(token)}), apply), done)

    # commits

    def commit(self, batch: CommitBatch, done: Callback[CommitAnswer]) -> None:
        def begin() -> tuple[frozenset[Hashable], Callable[[], CommitAnswer]]:
            passed_over = frozenset(purge.n for purge in batch.purges if purge.n in self.database.locks)
            seq = self.database.reserve(messages_of(batch))
            return self._rows_of(batch), lambda: self._apply(batch, seq, passed_over)

        self._transact("commit", begin, done)

    def _apply(self, batch: CommitBatch, seq: Iterator[int], passed_over: frozenset[int]) -> CommitAnswer:
        host = self._tables.hosts.get(batch.token)
        now = self.database.clock.now()
        if host is not None and batch.number == host.number and host.answer is not None:
            return host.answer
        if host is None or host.dead:
            return CommitAnswer(batch.number, now, alive=False)
        if batch.number < host.number:
            raise StoreError(f"commit {batch.number} came after commit {host.number} of host {batch.token}")
        answer = Application(self._tables, batch, seq, passed_over, now).run()
        host.beat, host.heard = host.beat + 1, now
        host.number, host.answer = batch.number, answer
        return answer

    def _rows_of(self, batch: CommitBatch) -> frozenset[Hashable]:
        """What the batch locks: its host, the instances it writes, the ids it creates and those it replaces."""
        tables = self._tables
        keys: set[Hashable] = {_host(batch.token)}
        keys.update(plan.n for plan in batch.turns)
        keys.update(chunk.n for chunk in batch.chunks)
        keys.update(parking.n for parking in batch.parkings)
        keys.update(release.n for release in batch.releases)
        keys.update(purge.n for purge in batch.purges if purge.n not in self.database.locks)
        for new in [*batch.creations, *(new for plan in batch.turns for new in plan.creations)]:
            keys.add(new.instance_id)
            holder = tables.ids.get(new.instance_id)
            if holder is not None and replaces(new.policy, tables.instances[holder].status):
                keys.add(holder)
        for message in [*batch.messages, *(message for plan in batch.turns for message in plan.messages)]:
            if message.create is not None and message.instance_id not in tables.ids:
                keys.add(message.instance_id)
        return frozenset(keys)

    def recorded(self, token: int, number: int, done: Callback[CommitAnswer | None]) -> None:
        def read() -> CommitAnswer | None:
            host = self._tables.hosts.get(token)
            return host.answer if host is not None and host.number == number else None

        # behind the commit itself, should that still be open
        self._transact("recorded", lambda: (frozenset({_host(token)}), read), done)

    # instances

    def claim(self, token: int, numbers: list[int], done: Callback[list[Loaded]]) -> None:
        def choose() -> list[InstanceRecord]:
            return [record for n in numbers if (record := self._tables.instances.get(n)) is not None]

        self._claim("claim", token, choose, len(numbers), done)

    def claim_ready(
        self, token: int, limit: int, done: Callback[list[Loaded]], *, passing_over: Sequence[str] = ()
    ) -> None:
        def choose() -> Iterator[InstanceRecord]:
            ready = self._tables.ready(self.database.clock.now())
            return (r for r in ready if r.owner != token and function_key(r.kind, r.name) not in passing_over)

        self._claim("claim_ready", token, choose, limit, done)

    def _claim(
        self,
        call: str,
        token: int,
        choose: Callable[[], Iterator[InstanceRecord] | list[InstanceRecord]],
        limit: int,
        done: Callback[list[Loaded]],
    ) -> None:
        """Own what is free and not locked, then read: whoever sends later sees the new owner and wakes it."""
        tables = self._tables

        def begin() -> tuple[frozenset[Hashable], Callable[[], list[Loaded]]]:
            chosen: list[int] = []
            for record in choose():
                if len(chosen) == limit:
                    break
                if record.n not in self.database.locks and tables.is_left(record.owner, token):
                    chosen.append(record.n)

            def apply() -> list[Loaded]:
                if tables.hosts[token].dead or tables.hosts[token].leaving:
                    return []
                for n in chosen:
                    tables.put_instance(replace(tables.instances[n], owner=token))
                return [tables.load(n) for n in chosen]

            return frozenset(chosen), apply

        self._transact(call, begin, done)

    def waiting(self, token: int, done: Callback[list[tuple[int, int]]]) -> None:
        def read() -> list[tuple[int, int]]:
            tables, now = self._tables, self.database.clock.now()
            own = [record for record in tables.ready(now) if record.owner == token]
            rows = [(0, record.n) for record in own if is_unstarted(record)]
            rows += [(seq, r.n) for r in own for seq, row in tables.inbox.get(r.n, {}).items() if row.due <= now]
            return [(n, seq) for seq, n in sorted(rows)[:WAITING_WINDOW]]

        self._read("waiting", read, done)

    def read_inbox(self, n: int, after: int, done: Callback[list[InboxRow]]) -> None:
        self._read("read_inbox", lambda: self._tables.inbox_rows(n, after), done)

    def read_history(self, n: int, generation: int, done: Callback[list[bytes]]) -> None:
        def read() -> list[bytes]:
            rows = self._tables.history.get(n, {})
            return [rows[key] for key in sorted(key for key in rows if key[0] == generation)]

        self._read("read_history", read, done)

    def due_timers(self, token: int, until: int, limit: int, done: Callback[list[DueTimer]]) -> None:
        def read() -> list[DueTimer]:
            tables = self._tables
            found: list[DueTimer] = []
            for due, seq, n in tables.timers:
                if due > until or len(found) == limit:
                    break
                record = tables.instances[n]
                if tables.is_left(record.owner, token) and can_act(record):
                    found.append(DueTimer(due, seq, n))
            return found

        self._read("due_timers", read, done)

    def claim_work(self, token: int, names: tuple[str, ...], limit: int, done: Callback[list[WorkItem]]) -> None:
        tables = self._tables

        def begin() -> tuple[frozenset[Hashable], Callable[[], list[WorkItem]]]:
            now = self.database.clock.now()
            chosen: list[tuple[int, int, int]] = []
            for key, item in tables.work.items():
                if len(chosen) == limit:
                    break
                free = item.owner != token and tables.is_free(item.owner) and item.not_before <= now
                if free and item.name.lower() in names and key not in self.database.locks:
                    chosen.append(key)

            def apply() -> list[WorkItem]:
                if tables.hosts[token].dead:
                    return []
                # a row that its instance deleted meanwhile is gone for the claim too
                claimed = [replace(tables.work[key], owner=token) for key in chosen if key in tables.work]
                for item in claimed:
                    tables.put_work(item)
                return claimed

            return frozenset(chosen), apply

        self._transact("claim_work", begin, done)

    # queries and settings

    def find(self, instance_ids: list[str], done: Callback[list[InstanceRecord]]) -> None:
        def read() -> list[InstanceRecord]:
            tables = self._tables
            return [tables.instances[tables.ids[name]] for name in instance_ids if name in tables.ids]

        self._read("find", read, done)

    def open_activities(
        self, n: int, generation: int, tasks: Sequence[int], done: Callback[list[OpenActivity]]
    ) -> None:
        def read() -> list[OpenActivity]:
            return [
                self._tables.open_activity(item)
                for task in sorted(set(tasks))
                if (item := self._tables.work.get((n, generation, task))) is not None
            ]

        self._read("open_activities", read, done)

    def count_inbox(self, numbers: list[int], now: int, done: Callback[dict[int, int]]) -> None:
        def read() -> dict[int, int]:
            inbox = self._tables.inbox
            return {n: sum(1 for row in inbox.get(n, {}).values() if row.due <= now) for n in numbers}

        self._read("count_inbox", read, done)

    def query(
        self,
        filter: InstanceFilter,
        top: int,
        continuation: str | None,
        done: Callback[Page],
        *,
        payloads: bool = True,
    ) -> None:
        def read() -> Page:
            start = _position(continuation)
            matching = sorted(
                (record.created, record.n) for record in self._tables.instances.values() if matches(filter, record)
            )
            rest = [key for key in matching if key > start]
            items: list[InstanceRecord] = []
            size = 0
            for _, n in rest[:top]:
                if size > PAGE_SIZE:
                    break
                item = self._tables.instances[n]
                if not payloads:
                    item = replace(item, input=None, output=None, custom_status=None, state=None)
                items.append(item)
                size += size_of(item)
            end = len(items)
            return Page(items, f"{rest[end - 1][0]}-{rest[end - 1][1]}" if len(rest) > end > 0 else None)

        self._read("query", read, done)

    def count(self, filter: InstanceFilter, by_name: bool, done: Callback[Counts]) -> None:
        def read() -> Counts:
            records = self._tables.instances.values()
            return Counter((r.name if by_name else "", int(r.status)) for r in records if matches(filter, r))

        self._read("count", read, done)

    def audit(self, target: str | None, n: int, limit: int, done: Callback[list[Audit]]) -> None:
        def read() -> list[Audit]:
            found = (
                audit
                for of, audit in reversed(self._tables.audits)
                if target is None or (of == n and n) or (of == 0 and audit.target == target)
            )
            return list(islice(found, limit))

        self._read("audit", read, done)

    def delete_hub(self, who: str, result: str, done: Callback[bool]) -> None:
        def apply() -> bool:
            tables = self._tables
            used = any(not host.dead and host.registration.names for host in tables.hosts.values())
            if used or tables.instances:
                return False
            tables.hosts.clear()
            tables.settings.clear()
            tables.audits.clear()
            return True

        self._read("delete_hub", apply, done)

    def get_setting(self, kind: str, key: str, done: Callback[str | None]) -> None:
        self._read("get_setting", lambda: self._tables.settings.get((kind, key)), done)

    def list_settings(self, kind: str, done: Callback[list[tuple[str, str]]]) -> None:
        def read() -> list[tuple[str, str]]:
            return sorted((key, value) for (of, key), value in self._tables.settings.items() if of == kind)

        self._read("list_settings", read, done)

    def put_setting(self, kind: str, key: str, value: str | None, expected: str | None, done: Callback[bool]) -> None:
        def apply() -> bool:
            settings = self._tables.settings
            if settings.get((kind, key)) != expected:
                return False
            if value is None:
                settings.pop((kind, key), None)
            else:
                settings[(kind, key)] = value
            return True

        self._read("put_setting", apply, done)

    def time(self, done: Callback[int]) -> None:
        self._read("time", self.database.clock.now, done)

    def backlog(self, done: Callback[Backlog]) -> None:
        def read() -> Backlog:
            tables, now = self._tables, self.database.clock.now()
            waiting = [item for item in tables.work.values() if tables.is_free(item.owner)]
            ready = list(tables.ready(now))
            since = [item.scheduled for item in waiting]
            since += [max(r.created, r.not_before) for r in ready if r.status is RuntimeStatus.PENDING]
            owned = {record.n for record in ready}
            since += [due for due, _, n in tables.timers if due <= now and n in owned]
            hosts = [host for host in tables.hosts.values() if not host.dead and not host.leaving]
            return Backlog(
                min(len(waiting), MOST_COUNTED),
                min(len(tables.work) - len(waiting), MOST_COUNTED),
                min(len(ready), MOST_COUNTED),
                max(0, now - min(since)) if since else 0,
                sum(1 for host in hosts if host.registration.names),
            )

        self._read("backlog", read, done)


def _host(token: int) -> Hashable:
    return ("host", token)


def _outcome(apply: Callable[[], T]) -> T | StoreError:
    try:
        return apply()
    except StoreError as refusal:
        return refusal


def _position(continuation: str | None) -> tuple[int, int]:
    """Where a page goes on. Raises `UnknownContinuation`."""
    if not continuation:
        return (-1, -1)
    created, _, n = continuation.partition("-")
    if not (continuation.isascii() and created.isdecimal() and n.isdecimal() and len(continuation) < 50):
        raise UnknownContinuation(continuation)
    return int(created), int(n)


def matches(filter: InstanceFilter, record: InstanceRecord) -> bool:
    """Whether the filter means this instance."""
    return (
        (filter.created_from is None or record.created >= filter.created_from)
        and (filter.created_to is None or record.created <= filter.created_to)
        and (not filter.statuses or record.status in filter.statuses)
        and (not filter.kinds or record.kind in filter.kinds)
        and (filter.id_prefix is None or record.instance_id.startswith(filter.id_prefix))
        and (filter.name_prefix is None or record.name.startswith(filter.name_prefix))
        and (filter.parent_id is None or record.parent_id == filter.parent_id)
        and all((record.tags or {}).get(key) == value for key, value in (filter.tags or {}).items())
    )
