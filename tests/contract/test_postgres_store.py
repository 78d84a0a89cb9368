"""What the PostgreSQL store does beyond the contract: lost answers, conflicts, restarts, releases side by side."""

from __future__ import annotations

import asyncio
import itertools
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from perdure.model.commit_plan import Audit, CommitAnswer, Message, NewInstance, Parking, Purge, Verdict, WorkReturn
from perdure.model.history import EventRaised
from perdure.model.instance import InstanceFilter, InstanceKind, Page, RuntimeStatus
from perdure.storage import postgres
from perdure.storage.memory import matches
from perdure.storage.postgres import PostgresProvider, StoreUnusable, listener, listing, migrations
from perdure.storage.provider import HostRegistration, StoreError
from perdure.testing.contract.site import ContractHost, result, timer, turn, work
from tests.contract.postgres_site import PostgresSite
from tests.postgres_server import PostgresServer

_schemas = itertools.count(1)
EVENT = EventRaised("go", "1")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.make()
    yield server
    server.remove()


@pytest.fixture
def site(server: PostgresServer) -> Iterator[PostgresSite]:
    site = PostgresSite(server.url, f"store_{next(_schemas)}")
    yield site
    site.close()


class Blocker:
    """A transaction of somebody else that holds locks until it is let go."""

    def __init__(self, url: str, *statements: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection: Any = self._loop.run_until_complete(asyncpg.connect(url, statement_cache_size=0))
        for statement in ("BEGIN", *statements):
            self._loop.run_until_complete(self._connection.execute(statement))

    def end_the_waiting(self) -> None:
        """Break the connections of those who wait for a lock."""
        while True:
            text = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND pid <> pg_backend_pid()"
            )
            # what others wait for is looked at once in a transaction
            self._loop.run_until_complete(self._connection.execute("SELECT pg_stat_clear_snapshot()"))
            if self._loop.run_until_complete(self._connection.fetchval(text)):
                return
            time.sleep(0.02)

    def let_go(self) -> None:
        self._loop.run_until_complete(self._connection.execute("ROLLBACK"))
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


def asked(site: PostgresSite, provider: Any, call: str, *arguments: Any) -> list[Any]:
    """Ask without waiting for the answer."""
    answers: list[Any] = []
    getattr(provider, call)(*arguments, answers.append)
    return answers


class TestLostAnswers:
    def test_a_commit_whose_connection_broke_is_lost_and_applies_once(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.running("a")
        blocker = Blocker(site.url, f'SELECT 1 FROM "{site.schema}".instance WHERE n = {n} FOR UPDATE')
        batch = host.batch(turns=[turn(n, 1, messages=(Message(n, EVENT),))])
        answers = asked(site, host.provider, "commit", batch)
        blocker.end_the_waiting()
        site.until(lambda: bool(answers))
        assert isinstance(answers[0], StoreError) and answers[0].lost
        blocker.let_go()
        assert host.ask("recorded", host.token, batch.number) is None
        answer = host.ask("commit", batch)
        assert answer.turns[0].verdict is Verdict.APPLIED
        assert host.ask("recorded", host.token, batch.number) == answer == host.ask("commit", batch)
        assert len(host.load(n).inbox) == 1

    def test_a_claim_of_activities_whose_answer_got_lost_is_found_again(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, work=(work(n, 0), work(n, 1)))])
        blocker = Blocker(site.url, f"SELECT pg_advisory_xact_lock(1885693029, {host.token})")
        answers = asked(site, host.provider, "claim_work", host.token, ("hello",), 1)
        blocker.end_the_waiting()
        blocker.let_go()
        site.until(lambda: bool(answers))
        assert [item.task for item in answers[0]] == [0]
        assert [item.task for item in host.ask("claim_work", host.token, ("hello",), 9)] == [1]

    def test_the_same_request_claims_once(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, work=tuple(work(n, task) for task in range(4)))])
        name = f'"{site.schema}".claim_work{migrations.tag()}'
        call = f"SELECT task FROM {name}({host.token}, 1, 77, '{{hello}}', 2)"
        assert site.sql(call) == site.sql(call)
        assert [item.task for item in host.ask("claim_work", host.token, ("hello",), 9)] == [2, 3]

    def test_a_connection_that_the_driver_gave_up_is_left_and_its_call_is_lost(
        self, site: PostgresSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As when the server ends it in the middle of something: no reason to take the commit for refused."""
        host = ContractHost(site)
        n = host.running("a")
        broken = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")

        async def fetchval(*_: Any, **__: Any) -> None:
            raise broken

        batch = host.batch(messages=[Message(n, EVENT)])
        with monkeypatch.context() as patched:
            patched.setattr(asyncpg.Connection, "fetchval", fetchval)
            answer = host.ask("commit", batch)
        assert isinstance(answer, StoreError) and answer.lost
        assert host.ask("recorded", host.token, batch.number) is None
        assert isinstance(host.ask("commit", batch), CommitAnswer)

    def test_a_server_that_restarts_is_found_again(self, site: PostgresSite, server: PostgresServer) -> None:
        host = ContractHost(site)
        n = host.running("a")
        server.restart(signal.SIGQUIT)
        host.number += 1
        deadline = time.monotonic() + 20
        while True:
            batch = host.batch(messages=[Message(n, EVENT)])
            answer = host.ask("commit", batch)
            if isinstance(answer, CommitAnswer):
                break
            assert answer.lost, answer
            assert time.monotonic() < deadline
        assert len(host.load(n).inbox) == 1


class TestDurability:
    def test_a_commit_is_flushed_when_it_is_answered_whatever_the_role_has_set(self, server: PostgresServer) -> None:
        """What is in force when a transaction ends is noted by a trigger that runs at its very end."""
        server.psql("CREATE ROLE hasty SUPERUSER LOGIN")
        server.psql("ALTER ROLE hasty SET synchronous_commit = off")
        site = PostgresSite(server.url.replace("//perdure@", "//hasty@"), f"store_{next(_schemas)}")
        try:
            host = ContractHost(site)
            assert site.sql("SHOW synchronous_commit")[0][0] == "off"
            site.sql(
                "CREATE TABLE noted (setting text, place pg_lsn)",
                f"CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO {site.schema}.noted "
                "VALUES (current_setting('synchronous_commit'), pg_current_wal_insert_lsn()); RETURN NULL; END $$",
                "CREATE CONSTRAINT TRIGGER noting AFTER UPDATE ON host DEFERRABLE INITIALLY DEFERRED "
                "FOR EACH ROW EXECUTE FUNCTION note()",
            )
            n = host.running("a")
            host.commit(turns=[turn(n, 1, messages=(Message(n, EVENT),))])
            flushed = "SELECT setting, place <= pg_current_wal_flush_lsn() FROM noted"
            assert [tuple(row) for row in site.sql(flushed)] == [("on", True)] * 3
        finally:
            site.close()
            server.psql("DROP ROLE hasty")


class TestConflicts:
    def test_a_lock_that_is_held_for_long_is_no_culprit(self, site: PostgresSite) -> None:
        """The commit is to be repeated, not taken apart until somebody is parked for it."""
        host = ContractHost(site)
        n = host.running("a")
        blocker = Blocker(site.url, f'SELECT 1 FROM "{site.schema}".instance WHERE n = {n} FOR UPDATE')
        answer = host.ask("commit", host.batch(turns=[turn(n, 1)]))
        blocker.let_go()
        assert isinstance(answer, StoreError) and answer.lost
        assert "lock" in str(answer)

    def test_many_hosts_start_the_same_ids_at_once(self, site: PostgresSite) -> None:
        """Each id is started once, whoever wins, also where the order of the ids differs from host to host."""
        hosts = [_Threaded(site) for _ in range(4)]
        ids = [f"id{number}" for number in range(40)]
        answers: list[Any] = [None] * len(hosts)

        def start(index: int) -> None:
            host = hosts[index]
            wanted = ids[index * 7 :] + ids[: index * 7]
            answers[index] = [host.start(wanted[part : part + 8]) for part in range(0, len(wanted), 8)]

        threads = [threading.Thread(target=start, args=(index,)) for index in range(len(hosts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        verdicts = [verdict for one in answers for answer in one for verdict in answer.creations]
        assert sum(verdict.verdict is Verdict.APPLIED for verdict in verdicts) == len(ids)
        assert len({verdict.n for verdict in verdicts}) == len(ids)
        for host in hosts:
            host.provider.shutdown()

    def test_messages_of_many_hosts_to_one_instance_all_arrive_in_the_order_of_each(self, site: PostgresSite) -> None:
        owner = ContractHost(site)
        n = owner.running("a")
        hosts = [_Threaded(site) for _ in range(4)]

        def send(host: _Threaded, name: str) -> None:
            for number in range(0, 60, 3):
                events = [Message(n, EventRaised(name, str(number + i))) for i in range(3)]
                host.commit(messages=tuple(events))

        threads = [threading.Thread(target=send, args=(host, str(index))) for index, host in enumerate(hosts)]
        for thread in threads:
            thread.start()
        seen: list[EventRaised] = []
        base = 1
        # the owner takes turns meanwhile, each with what it finds
        while len(seen) < 240:
            rows = owner.load(n).inbox
            seen += [row.event for row in rows if isinstance(row.event, EventRaised)]
            answer = owner.commit(turns=[turn(n, base, consumed=tuple(row.seq for row in rows))])
            assert answer.turns[0].verdict is Verdict.APPLIED
            base += 1
        for thread in threads:
            thread.join()
        for index in range(4):
            assert [int(event.input or "") for event in seen if event.name == str(index)] == list(range(60))
        assert owner.load(n).inbox == []
        for host in hosts:
            host.provider.shutdown()

    def test_a_claim_passes_over_what_another_transaction_holds(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        held, free = host.create("held", mine=False), host.create("free", mine=False)
        blocker = Blocker(site.url, f'SELECT 1 FROM "{site.schema}".instance WHERE n = {held} FOR UPDATE')
        assert host.ready() == [free]
        blocker.let_go()
        assert host.ready() == [held]


class _Threaded:
    """A host whose answers come on the thread that asks."""

    def __init__(self, site: PostgresSite) -> None:
        self._posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.provider = PostgresProvider(site.url, "hub", self._posted.put, schema=site.schema)
        self.provider.open()
        self._host = ContractHost.__new__(ContractHost)
        self._host.site, self._host.provider, self._host.number, self._host._created = self, self.provider, 0, 0  # type: ignore[assignment]
        self._host.token = self.ask(self.provider, "register", HostRegistration("", "h", {})).token

    def ask(self, provider: Any, call: str, *arguments: Any) -> Any:
        answers: list[Any] = []
        getattr(provider, call)(*arguments, answers.append)
        while not answers:
            self._posted.get(timeout=20)()
        return answers[0]

    def now(self) -> int:
        return 1

    def commit(self, **lists: Any) -> CommitAnswer:
        return self._host.commit(**lists)

    def start(self, ids: list[str]) -> CommitAnswer:
        return self._host.commit(creations=[self._host.new(one) for one in ids])


class TestRows:
    def test_text_that_postgresql_cannot_hold_does_not_stop_a_commit(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.create("a")
        assert host.commit(parkings=[Parking(n, 0, "a\0b")]).parkings == (Verdict.APPLIED,)
        assert host.record(n).parked == "a\ufffdb"
        assert host.find("x\0y") == []

    def test_what_was_sent_while_its_addressee_ended_is_swept_up(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(messages=[Message(n, EVENT)])
        # as if the message had been committed by another host a moment after the end
        site.sql(f"UPDATE instance SET status = 1 WHERE n = {n}")
        assert host.ready() == []
        assert site.sql("SELECT count(*) FROM inbox")[0][0] == 0

    def test_messages_of_a_suspended_instance_leave_the_index_and_come_back(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(messages=[Message(n, EVENT) for _ in range(5)])
        host.commit(turns=[turn(n, 1, RuntimeStatus.SUSPENDED)])
        assert site.sql("SELECT count(*) FROM inbox WHERE held")[0][0] == 5
        host.commit(turns=[turn(n, 2)])
        assert site.sql("SELECT count(*) FROM inbox WHERE held")[0][0] == 0

    def test_a_large_input_is_not_written_again_by_a_turn_that_leaves_it(self, site: PostgresSite) -> None:
        host = ContractHost(site)
        n = host.create("a", input='"' + "0123456789abcdef" * 20_000 + '"')
        toast = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'instance'::regclass"
        before = site.sql(toast)[0][0]
        for base in range(20):
            host.commit(turns=[turn(n, base)])
        assert site.sql(toast)[0][0] == before


class TestAServerThatHangs:
    def test_closing_does_not_wait_for_it(self, site: PostgresSite, server: PostgresServer) -> None:
        """It takes connections and answers nobody, as a machine that is suspended or a network that drops all."""
        answered = threading.Semaphore(0)
        provider = PostgresProvider(site.url, "hub", lambda call: call(), schema=site.schema)
        provider.open()
        for _ in range(3):
            # each of the connections of this kind of calls
            provider.beat(1, lambda answer: answered.release())
            assert answered.acquire(timeout=20)
        with server.hanging():
            for _ in range(2):
                provider.beat(1, lambda answer: None)
            closing = threading.Thread(target=provider.shutdown)
            closing.start()
            closing.join(12)
            assert not closing.is_alive()


class TestWakes:
    def _pair(self, site: PostgresSite, **options: Any) -> tuple[Any, Any, list[list[int]], list[str], int]:
        heard: list[list[int]] = []
        told: list[str] = []
        listening = site.open(woken=heard.append, told=told.append, **options)
        names = {"activity": ("hello",)}
        token = site.ask(listening, "register", HostRegistration("", "h", names)).token
        site.until(lambda: bool(told), 15)
        return listening, ContractHost(site), heard, told, token

    def _owned_by(self, host: ContractHost, token: int) -> int:
        new = replace(host.new("a"), owner=token)
        host.commit(creations=[new])
        return new.n

    def test_the_owner_of_the_moment_is_told(self, site: PostgresSite) -> None:
        _, other, heard, told, token = self._pair(site)
        assert told == ["Wakes: LISTEN/NOTIFY."]
        n = self._owned_by(other, token)
        site.until(lambda: heard == [[]])
        other.provider.wake([], [n])  # type: ignore[attr-defined]
        site.until(lambda: heard[1:] == [[n]])
        other.provider.wake([0], [])  # type: ignore[attr-defined]
        site.until(lambda: heard[2:] == [[]])

    def test_who_hears_no_longer_asks_until_it_hears_again(
        self, site: PostgresSite, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Others must raise its counter meanwhile, instead of sending what does not arrive."""
        monkeypatch.setattr(listener, "_RETRY", 0.3)
        # listening takes no rights
        site.sql("DROP ROLE IF EXISTS ear", "CREATE ROLE ear LOGIN")
        ear = server.url.replace("perdure@", "ear@")
        _, other, heard, told, token = self._pair(site, listen_url=ear)
        assert told == ["Wakes: LISTEN/NOTIFY."]
        n = self._owned_by(other, token)
        site.sql(
            "ALTER ROLE ear NOLOGIN", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ear'"
        )
        site.until(lambda: len(told) == 2, 10)
        assert told[1].startswith("Wakes: asking the database up to every 200 ms, as it cannot be listened to")
        assert '(PERDURE_STORE_LISTEN: role "ear" is not permitted to log in)' in told[1]
        while site.sql("SELECT count(*) FROM host WHERE listens")[0][0]:
            time.sleep(0.05)
        site.until(lambda: bool(heard))
        heard.clear()
        other.provider.wake([], [n])  # type: ignore[attr-defined]
        site.until(lambda: bool(heard), 5)
        site.sql("ALTER ROLE ear LOGIN")
        site.until(lambda: told[2:] == ["Wakes: LISTEN/NOTIFY."], 10)
        heard.clear()
        other.provider.wake([], [n])  # type: ignore[attr-defined]
        site.until(lambda: [n] in heard, 5)

    def test_who_cannot_listen_asks(self, site: PostgresSite, server: PostgresServer) -> None:
        """Notifications stay within a database: listening to another one is like listening behind a pooler."""
        elsewhere = server.url.replace("/postgres", "/template1")
        _, other, heard, told, token = self._pair(site, listen_url=elsewhere)
        assert told[0].startswith("Wakes: asking the database up to every 200 ms, as it cannot be listened to")
        assert "PERDURE_STORE_LISTEN" in told[0]
        n = self._owned_by(other, token)
        site.until(lambda: bool(heard))
        heard.clear()
        other.provider.wake([], [n])  # type: ignore[attr-defined]
        site.until(lambda: bool(heard), 5)


class TestWalks:
    """Listings and counts look at a bounded number of instances in one step."""

    @pytest.fixture
    def host(self, site: PostgresSite, monkeypatch: pytest.MonkeyPatch) -> ContractHost:
        monkeypatch.setattr(listing, "FIRST_WINDOW", 3)
        monkeypatch.setattr(listing, "WIDEST_WINDOW", 12)
        monkeypatch.setattr(postgres.provider, "_READING", 1)
        host = ContractHost(site)
        news = [
            host.new(f"i{number:02}", name=f"N{number % 5}", created=number // 4, tags={"third": str(number % 3)})
            for number in range(60)
        ]
        host.commit(creations=news)
        host.commit(turns=[turn(new.n, 0, RuntimeStatus.COMPLETED, completed=5) for new in news[::2]])
        return host

    @pytest.mark.parametrize(
        "filter",
        [
            InstanceFilter(),
            InstanceFilter(created_from=3, created_to=9),
            InstanceFilter(statuses=(1, 6)),
            InstanceFilter(statuses=(1,), name_prefix="N3"),
            InstanceFilter(statuses=(1,), created_from=4),
            InstanceFilter(id_prefix="i"),
            InstanceFilter(id_prefix="i", tags={"third": "1"}),
            InstanceFilter(tags={"third": "1"}, name_prefix="N4"),
            InstanceFilter(name_prefix="nothing"),
        ],
    )
    def test_they_are_complete(self, host: ContractHost, filter: InstanceFilter) -> None:
        every = host.ask("query", InstanceFilter(), 100, None).items
        wanted = [record for record in every if matches(filter, record)]
        for top in (1, 7, 100):
            seen: list[str] = []
            continuation = None
            while True:
                page = host.ask("query", filter, top, continuation)
                seen += [record.instance_id for record in page.items]
                continuation = page.continuation
                if continuation is None:
                    break
                assert len(page.items) == top
            assert sorted(seen) == sorted(record.instance_id for record in wanted), top
        counts = Counter((record.name, record.status) for record in wanted)
        assert host.ask("count", filter, True) == counts

    def test_others_come_between_the_steps(self, host: ContractHost) -> None:
        # a connection is there: one that cannot be made in time is an answer of the first step
        assert host.ask("get_setting", "a", "b") is None
        order: list[Any] = []
        host.provider.query(InstanceFilter(name_prefix="nothing"), 5, None, order.append)
        host.provider.get_setting("a", "b", order.append)
        site = host.site
        assert isinstance(site, PostgresSite)
        site.until(lambda: len(order) == 2)
        assert order == [None, Page([])]


def _asks_everything(host: ContractHost, name: str) -> None:
    """Every call of the store that reads or writes rows."""
    n = host.create(name, mine=False)
    assert host.ready() == [n]
    plan = turn(n, 0, work=(work(n, 0, host.token), work(n, 1)), messages=(Message(n, EVENT),), history=b"[]")
    host.commit(turns=[plan], messages=[timer(n, 2, 5)])
    assert [item.task for item in host.ask("claim_work", host.token, ("hello",), 9)] == [1]
    host.commit(results=[result(n, 0, host.token)], returns=[WorkReturn(n, 0, 1)])
    assert len(host.load(n).inbox) == 3 and host.ask("waiting", host.token)
    assert host.ask("read_inbox", n, 0) and host.ask("read_history", n, 0) == [b"[]"]
    assert [due.n for due in host.ask("due_timers", host.token, 10, 9)] == [n]
    assert host.find(name)[0].n == n and name in host.ids(InstanceFilter())
    assert host.ask("backlog").waiting == 1 and host.ask("count_inbox", [n], 10) == {n: 3}
    assert host.ask("put_setting", "kind", name, "1", None) and host.ask("get_setting", "kind", name) == "1"
    assert (name, "1") in host.ask("list_settings", "kind")
    assert host.token in [row.token for row in host.ask("hosts")] and host.ask("beat", host.token)
    assert host.ask("recorded", host.token, host.number)
    host.release(n)
    assert host.ready() == [n]
    assert host.commit(purges=[Purge(n)]).purges == (Verdict.APPLIED,)


class TestReleases:
    def test_many_hosts_make_the_schema_at_once(self, site: PostgresSite) -> None:
        failed: list[BaseException] = []

        def start() -> None:
            try:
                _Threaded(site).provider.shutdown()
            except BaseException as problem:  # noqa: BLE001 - shown by the assertion
                failed.append(problem)

        threads = [threading.Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(ContractHost(site).ask("hosts")) == 7

    def test_a_schema_of_a_newer_release_is_left_alone(self, site: PostgresSite) -> None:
        ContractHost(site)
        site.sql("UPDATE hub SET min_writer = 9")
        with pytest.raises(
            StoreUnusable,
            match=f"to version 9 by a newer perdure; this one writes version {migrations.SCHEMA}",
        ):
            site.open()

    def test_an_added_step_waits_for_nobody_and_a_removing_step_for_older_hosts(
        self, site: PostgresSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old = ContractHost(site)
        number = migrations.SCHEMA + 1
        steps = {
            (number, "before"): "ALTER TABLE instance ADD COLUMN extra integer",
            (number, "after"): "ALTER TABLE instance DROP COLUMN extra",
        }
        own = migrations._step
        monkeypatch.setattr(migrations, "SCHEMA", number)
        monkeypatch.setattr(migrations, "_step", lambda number, step: steps.get((number, step)) or own(number, step))
        columns = (
            "SELECT count(*) FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND column_name = 'extra'"
        )
        site.open()
        assert site.sql(columns)[0][0] == 1
        assert old.create("a"), "the older host goes on"
        site.open()
        assert site.sql(columns)[0][0] == 1, "an older host is alive"
        old.ask("close", old.token)
        site.open()
        assert site.sql(columns)[0][0] == 0
        assert site.sql("SELECT min_writer FROM hub")[0][0] == number

    def test_a_host_goes_on_through_both_steps_whatever_it_asked_before(self, site: PostgresSite) -> None:
        """Connections keep statements with the columns of the tables as they were."""
        old = ContractHost(site, {"activity": ("hello",)})
        tables = ["hub", "host", "instance", "history", "inbox", "work", "attempt", "setting"]
        _asks_everything(old, "before")
        site.sql(*(f"ALTER TABLE {table} ADD COLUMN extra text NOT NULL DEFAULT 'x'" for table in tables))
        _asks_everything(old, "between")
        site.sql(*(f"ALTER TABLE {table} DROP COLUMN extra" for table in tables))
        _asks_everything(old, "after")

    def test_a_database_of_the_first_schema_goes_on_beside_a_host_of_that_release(
        self, site: PostgresSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        migrations.tag()
        functions = migrations._functions
        # the functions of that release know nothing of columns that came later
        monkeypatch.setattr(migrations, "_functions", lambda *words: functions(*words).replace("heard = v_now, ", ""))
        with monkeypatch.context() as patched:
            patched.setattr(migrations, "SCHEMA", 1)
            patched.setattr(migrations, "VIEWS", 0)
            old = ContractHost(site, {"orchestration": ("Chain",)})
        n, pending = old.running("a", history=b"[]"), old.create("pending", mine=False)
        old.commit(messages=[Message(n, EVENT)])
        assert site.sql("SELECT max(number) FROM migration")[0][0] == 1
        new = ContractHost(site)
        assert site.sql("SELECT max(number) FROM migration")[0][0] == migrations.SCHEMA
        assert new.ready() == [pending]
        asked = Audit("terminate", "a", "anna", 7, "enough")
        new.commit(messages=[Message(n, EVENT, audit=asked)])
        assert new.ask("audit", "a", n, 5) == [asked]
        assert len(old.load(n).inbox) == 2
        assert old.commit(turns=[turn(n, 1)]).turns[0].verdict is Verdict.APPLIED
        assert old.create("b")
        assert site.sql("SELECT DISTINCT min_writer FROM hub")[0][0] == 1

    def test_functions_of_releases_that_nobody_uses_are_dropped(self, site: PostgresSite) -> None:
        ContractHost(site)
        site.sql(
            "CREATE FUNCTION commit_00000000() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "CREATE FUNCTION commit_11111111() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "INSERT INTO release VALUES ('_00000000', 0), ('_11111111', now_us())",
        )
        site.open()
        names = (
            "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname ~ '_[01]{8}$'"
        )
        assert [name for (name,) in site.sql(names)] == ["commit_11111111"]

    def test_hubs_of_one_schema_do_not_see_each_other(self, site: PostgresSite) -> None:
        one = ContractHost(site)
        one.running("a")
        other = PostgresProvider(site.url, "other", site._posted.put, schema=site.schema)
        other.open()
        site._open.append(other)
        assert site.ask(other, "find", ["a"]) == []
        assert site.ask(other, "hosts") == []
        same = PostgresProvider(site.url, "HUB", site._posted.put, schema=site.schema)
        same.open()
        site._open.append(same)
        assert [record.instance_id for record in site.ask(same, "find", ["a"])] == ["a"], "in any case"


class TestErrors:
    @pytest.mark.parametrize(
        ("url", "text"),
        [
            (
                "perdure@127.0.0.1:1/postgres",
                r"Connect call failed .*Expected a running server and postgresql://user:password@host:5432/database\.",
            ),
            (
                "perdure@127.0.0.1:{port}/nowhere",
                r'database "nowhere" does not exist\. Make the database first \(CREATE DATABASE\), or name',
            ),
            (
                "nobody-there@127.0.0.1:{port}/postgres",
                r'role "nobody-there" does not exist\. Check user and password in the URL, and whom the server',
            ),
            (
                "perdure@127.0.0.1:{port}/postgres?sslmode=require",
                r"rejected SSL upgrade\. Expected a running server",
            ),
            (
                "perdure@127.0.0.1:{port}/postgres?sslmode=verify-full&sslrootcert=/nowhere/ca.crt",
                r"No such file or directory\. Check the files and the socket that the URL names",
            ),
            (
                "perdure@127.0.0.1:{port}/postgres?sslmode=some",
                r"`sslmode` parameter must be one of.* Expected a running",
            ),
            ("perdure@127.0.0.1:{port}/postgres?colour=red", r'unrecognized configuration parameter "colour"\.'),
        ],
    )
    def test_a_server_that_cannot_be_used_is_named(self, server: PostgresServer, url: str, text: str) -> None:
        provider = PostgresProvider("postgresql://" + url.format(port=server.port), "hub", lambda call: call())
        with pytest.raises(StoreUnusable, match=f"^The PostgreSQL server cannot be used: .*{text}"):
            provider.open()

    def test_options_that_only_libpq_knows(self, server: PostgresServer) -> None:
        """Managed services put them into the URLs that they show."""
        options = "connect_timeout=4&keepalives=1&channel_binding=prefer&application_name=app%20one&sslmode=prefer"
        provider = PostgresProvider(f"{server.url}?{options}", "hub", lambda call: call(), schema="options")
        provider.open()
        provider.time(lambda answer: None)
        while server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'app one'") == "0\n":
            time.sleep(0.02)
        provider.shutdown()
        server.psql("DROP SCHEMA options CASCADE")
        with pytest.raises(StoreUnusable, match="asks for channel_binding=require, which the driver cannot do"):
            PostgresProvider(f"{server.url}?channel_binding=require", "hub", lambda call: call())

    def test_a_user_without_rights_learns_which(self, server: PostgresServer) -> None:
        server.psql("DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN")
        url = server.url.replace("perdure@", "nobody@")
        with pytest.raises(StoreUnusable, match=r"may not make the schema 'p'.*GRANT CREATE ON DATABASE"):
            PostgresProvider(url, "hub", lambda call: call(), schema="p").open()
        server.psql("CREATE SCHEMA p AUTHORIZATION nobody")
        provider = PostgresProvider(url, "hub", lambda call: call(), schema="p")
        provider.open()
        provider.shutdown()
        server.psql("DROP SCHEMA p CASCADE")


def test_kinds_are_numbers_as_in_the_schema() -> None:
    """`least_control` and the index of what is ready know these numbers."""
    assert (InstanceKind.ORCHESTRATION, InstanceKind.ENTITY) == (0, 1)
    terminal = {status for status in RuntimeStatus if status.is_terminal}
    assert {int(status) for status in terminal} == {1, 3, 4, 5}
    assert (RuntimeStatus.PENDING, RuntimeStatus.RUNNING, RuntimeStatus.CONTINUED_AS_NEW) == (6, 0, 2)
    assert RuntimeStatus.SUSPENDED == 7
    assert NewInstance(1, "a", InstanceKind.ENTITY, "b", 1).kind == 1
