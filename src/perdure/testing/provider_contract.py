"""The contract of a store, executable: subclass `ProviderContract` and give it a `site` fixture.

Every rule of `storage/provider.py` and `model/commit_plan.py` that a store must keep is a test here, and each test
says one rule. A store of a third party can be tested in the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from msgspec.structs import replace

from perdure.model.codec import encode_history
from perdure.model.commit_plan import (
    ActivityResult,
    Attempt,
    Audit,
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    NewInstance,
    Parking,
    Purge,
    Release,
    TurnPlan,
    TurnVerdict,
    Verdict,
    WorkChunk,
    WorkItem,
    WorkReturn,
)
from perdure.model.history import (
    EntityOperationRequested,
    EntityUnlocked,
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionTerminated,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
    TimerFired,
)
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord, RuntimeStatus, instance_number
from perdure.model.operations import ExistingPolicy, OpenActivity
from perdure.storage.listing import PAGE_SIZE, size_of
from perdure.storage.provider import Backlog, HostRegistration, Loaded, Provider, StoreError, UnknownContinuation

APPLIED, FENCED, REFUSED = Verdict.APPLIED, Verdict.FENCED, Verdict.REFUSED
RUNNING, COMPLETED, FAILED = RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED, RuntimeStatus.FAILED
SUSPENDED, TERMINATED, PENDING = RuntimeStatus.SUSPENDED, RuntimeStatus.TERMINATED, RuntimeStatus.PENDING
EVENT = EventRaised("go", '"now"')


class Site(Protocol):
    """One store with its clock, and as many connections to it as hosts are wanted."""

    def connect(self) -> Provider:
        """A provider of the same hub, as another host would have it."""

    def ask(self, provider: Provider, call: str, *arguments: Any) -> Any:
        """Make a call and wait for its answer."""

    def now(self) -> int:
        """The store's time in microseconds."""

    def advance(self, microseconds: int) -> None:
        """Let the store's time go on."""


class ContractHost:
    """A registered host: gives out numbers, numbers its commits."""

    def __init__(self, site: Site, names: dict[str, tuple[str, ...]] | None = None) -> None:
        self.site = site
        self.provider = site.connect()
        registered = self.ask("register", HostRegistration("http://localhost:7071", "host", names or {}))
        self.token: int = registered.token
        self.number = 0
        self._created = 0

    def ask(self, call: str, *arguments: Any) -> Any:
        return self.site.ask(self.provider, call, *arguments)

    def batch(self, **lists: Any) -> CommitBatch:
        self.number += 1
        return CommitBatch(self.token, self.number, **{name: tuple(items) for name, items in lists.items()})

    def commit(self, **lists: Any) -> CommitAnswer:
        answer = self.ask("commit", self.batch(**lists))
        assert isinstance(answer, CommitAnswer), answer
        return answer

    def new(self, instance_id: str, *, mine: bool = True, **more: Any) -> NewInstance:
        self._created += 1
        values = {"kind": InstanceKind.ORCHESTRATION, "name": "Chain", "created": self.site.now(), **more}
        owner = self.token if mine else 0
        return NewInstance(n=instance_number(self.token, self._created), instance_id=instance_id, owner=owner, **values)

    def create(self, instance_id: str, **more: Any) -> int:
        new = self.new(instance_id, **more)
        answer = self.commit(creations=[new])
        assert answer.creations == (CreationVerdict(APPLIED, new.n),)
        return new.n

    def running(self, instance_id: str, **more: Any) -> int:
        """An instance whose code has begun: turn 1 is stored."""
        n = self.create(instance_id)
        answer = self.commit(turns=[turn(n, 0, **more)])
        assert answer.turns[0].verdict is APPLIED
        return n

    def record(self, n: int) -> InstanceRecord:
        loaded = self.ask("claim", self.token, [n])
        assert len(loaded) == 1, "the instance is not this host's"
        record = loaded[0].record
        assert isinstance(record, InstanceRecord)
        return record

    def load(self, n: int) -> Loaded:
        (loaded,) = self.ask("claim", self.token, [n])
        assert isinstance(loaded, Loaded)
        return loaded

    def ready(self, limit: int = 100) -> list[int]:
        return [loaded.record.n for loaded in self.ask("claim_ready", self.token, limit)]

    def release(self, *numbers: int) -> None:
        self.commit(releases=[Release(n) for n in numbers])

    def find(self, *ids: str) -> list[InstanceRecord]:
        found = self.ask("find", list(ids))
        assert isinstance(found, list)
        return found

    def ids(self, filter: InstanceFilter, top: int = 100, continuation: str | None = None) -> list[str]:
        return [record.instance_id for record in self.ask("query", filter, top, continuation).items]


def turn(n: int, base: int, status: RuntimeStatus = RUNNING, **more: Any) -> TurnPlan:
    values = {"generation": 0, "updated": 1000 + base, "first_turn": 1, **more}
    return TurnPlan(n=n, base_turn=base, turn=base + 1, status=status, **values)


def work(n: int, task: int, owner: int = 0, **more: Any) -> WorkItem:
    return WorkItem(
        n, more.pop("generation", 0), task, more.pop("name", "Hello"), more.pop("input", "1"), owner, **more
    )


def result(n: int, task: int, owner: int, text: str = '"done"', generation: int = 0) -> ActivityResult:
    return ActivityResult(Message(n, TaskCompleted(task, text), generation, task), owner)


def timer(n: int, task: int, due: int) -> Message:
    return Message(n, TimerFired(task, due), 0, task, due)


class _Hosts:
    """Tokens and liveness."""

    def test_tokens_are_never_given_twice(self, site: Site) -> None:
        first = ContractHost(site)
        first.ask("close", first.token)
        second = ContractHost(site)
        assert second.token > first.token

    def test_living_hosts_are_listed_with_what_they_said(self, site: Site) -> None:
        one = ContractHost(site, {"activity": ("hello",)})
        two = ContractHost(site)
        rows = {row.token: row for row in one.ask("hosts")}
        assert set(rows) == {one.token, two.token}
        assert rows[one.token].names == {"activity": ("hello",)}
        assert (rows[one.token].address, rows[one.token].dead) == ("http://localhost:7071", False)

    def test_a_closed_token_is_dead(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        assert one.ask("close", one.token) is None
        assert [row.token for row in two.ask("hosts")] == [two.token]
        assert one.ask("beat", one.token) is False

    def test_beats_and_commits_raise_the_beat(self, site: Site) -> None:
        host = ContractHost(site)
        (before,) = host.ask("hosts")
        assert host.ask("beat", host.token) is True
        (after,) = host.ask("hosts")
        assert after.beat > before.beat
        host.commit()
        (last,) = host.ask("hosts")
        assert last.beat > after.beat

    def test_beats_and_commits_are_signs_of_life(self, site: Site) -> None:
        host = ContractHost(site)
        heard = []
        for sign in (lambda: host.ask("beat", host.token), host.commit):
            before = site.now()
            sign()
            (row,) = host.ask("hosts")
            assert before <= row.heard <= site.now()
            heard.append(row.heard)
            site.advance(1_000)
        assert heard[0] < heard[1]
        assert row.ttl == 9.0

    def test_a_host_is_declared_dead_only_at_the_beat_that_was_seen(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        seen = next(row.beat for row in two.ask("hosts") if row.token == one.token)
        one.ask("beat", one.token)
        assert two.ask("declare_dead", one.token, seen) is False
        assert one.ask("beat", one.token) is True
        seen = next(row.beat for row in two.ask("hosts") if row.token == one.token)
        assert two.ask("declare_dead", one.token, seen) is True
        assert two.ask("declare_dead", one.token, seen + 5) is True, "it is dead already"
        assert one.ask("beat", one.token) is False

    def test_a_dead_host_writes_nothing_and_claims_nothing(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        two.commit(creations=[two.new("free", mine=False)])
        kill(two, one)
        answer = one.commit(turns=[turn(n, 1, COMPLETED)], creations=[one.new("b")])
        assert (answer.alive, answer.turns, answer.creations) == (False, (), ())
        assert two.find("b") == []
        assert two.record(n).status is RUNNING
        assert one.ready() == [] and one.ask("claim", one.token, [n]) == []
        assert one.ask("claim_work", one.token, ("hello",), 5) == []

    def test_a_host_that_leaves_keeps_its_activities_and_its_right_to_commit(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n, sleeper = one.running("a"), one.running("sleeper")
        one.commit(turns=[turn(n, 1, work=(work(n, 0, one.token), work(n, 1, one.token)))])
        two.commit(messages=[Message(n, EVENT), timer(sleeper, 1, 5)])
        assert two.ready() == [] and two.ask("due_timers", two.token, 10, 9) == []
        assert one.ask("leave", one.token) is None
        assert one.ready() == [] and one.ask("claim", one.token, [n, sleeper]) == []
        assert [due.n for due in two.ask("due_timers", two.token, 10, 9)] == [sleeper]
        assert sorted(two.ready()) == [n, sleeper]
        assert two.ask("claim_work", two.token, ("hello",), 9) == []
        assert one.commit(turns=[turn(n, 2)]).turns == (TurnVerdict(FENCED),)
        (sent,) = one.commit(results=[result(n, 0, one.token)]).results
        assert (bool(sent.seq), sent.owner) == (True, two.token)
        assert one.ask("beat", one.token) is True
        assert one.token in [row.token for row in two.ask("hosts")]
        one.ask("close", one.token)
        assert [item.task for item in two.ask("claim_work", two.token, ("hello",), 9)] == [1]

    def test_time_is_the_stores(self, site: Site) -> None:
        host = ContractHost(site)
        before = host.ask("time")
        site.advance(2_000_000)
        assert host.ask("time") >= before + 2_000_000
        assert abs(host.ask("time") - site.now()) < 1_000_000

    def test_a_host_that_comes_back_keeps_what_nobody_took(self, site: Site) -> None:
        names: dict[str, tuple[str, ...]] = {"orchestration": ("chain",)}
        one, two = ContractHost(site, names), ContractHost(site, names)
        taken, kept = one.create("taken"), one.create("kept")
        one.ask("leave", one.token)
        assert [loaded.record.n for loaded in two.ask("claim", two.token, [taken])] == [taken]
        assert one.ask("claim", one.token, [kept]) == []
        assert one.ask("come_back", one.token, names) is True
        assert two.ask("claim", two.token, [kept]) == [] == two.ask("claim_ready", two.token, 10)
        assert [loaded.record.n for loaded in one.ask("claim", one.token, [kept, taken])] == [kept]
        assert [row.names for row in two.ask("hosts") if row.token == one.token] == [names]
        kill(two, one)
        assert one.ask("come_back", one.token, names) is False


class _Commits:
    """Numbers, verdicts, fencing."""

    def test_a_repeated_number_gives_the_recorded_answer_and_applies_nothing(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        batch = host.batch(messages=[Message(n, EVENT)], creations=[host.new("b")])
        first = host.ask("commit", batch)
        assert host.ask("commit", batch) == first
        assert len(host.load(n).inbox) == 1

    def test_the_recorded_answer_can_be_asked_for(self, site: Site) -> None:
        host = ContractHost(site)
        answer = host.commit(creations=[host.new("a")])
        assert host.ask("recorded", host.token, host.number) == answer
        assert host.ask("recorded", host.token, host.number + 1) is None
        assert host.ask("recorded", host.token + 99, 1) is None

    def test_an_answer_that_was_lost_is_recorded_even_when_the_host_died_since(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        batch = one.batch(creations=[one.new("a")])
        answer = one.ask("commit", batch)
        kill(two, one)
        assert one.ask("recorded", one.token, batch.number) == answer
        assert one.ask("commit", batch) == answer

    def test_an_older_number_is_an_error(self, site: Site) -> None:
        host = ContractHost(site)
        old = host.batch(creations=[host.new("a")])
        host.ask("commit", old)
        host.commit()
        refused = host.ask("commit", old)
        assert isinstance(refused, StoreError) and not refused.lost
        assert str(refused) == f"commit 1 came after commit 2 of host {host.token}"

    def test_numbers_may_be_left_out(self, site: Site) -> None:
        host = ContractHost(site)
        host.commit()
        host.number += 3
        host.create("a")

    def test_an_unknown_token_is_not_alive(self, site: Site) -> None:
        host = ContractHost(site)
        answer = host.ask("commit", CommitBatch(host.token + 99, 1, creations=(host.new("a"),)))
        assert answer.alive is False
        assert host.find("a") == []

    def test_verdicts_follow_the_order_of_the_batch(self, site: Site) -> None:
        host = ContractHost(site)
        one, two = host.running("one"), host.running("two")
        answer = host.commit(
            turns=[turn(two, 1, messages=(Message(one, EVENT),)), turn(one, 7), turn(one, 1)],
            creations=[host.new("z"), host.new("one"), host.new("b")],
            messages=[Message(0, EVENT, instance_id="nobody"), Message(two, EVENT)],
        )
        assert [verdict.verdict for verdict in answer.turns] == [APPLIED, FENCED, APPLIED]
        assert answer.turns[0].messages[0].n == one
        assert [verdict.verdict for verdict in answer.creations] == [APPLIED, REFUSED, APPLIED]
        assert [bool(verdict.seq) for verdict in answer.messages] == [False, True]

    def test_an_empty_commit_is_a_commit(self, site: Site) -> None:
        host = ContractHost(site)
        answer = host.commit()
        assert answer.alive and answer.number == 1


class _Turns:
    """What a turn writes."""

    def test_a_turn_sets_the_row_and_appends_history(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a", input='"in"', version="2", tags={"k": "v"})
        history = encode_history([OrchestratorStarted(1000)])
        host.commit(turns=[turn(n, 0, history=history, started=1000, custom_status='"c"', sets_custom_status=True)])
        record = host.record(n)
        assert (record.turn, record.status, record.updated, record.started) == (1, RUNNING, 1000, 1000)
        assert (record.input, record.custom_status, record.version, record.tags) == ('"in"', '"c"', "2", {"k": "v"})
        assert host.ask("read_history", n, 0) == [history]

    def test_a_trace_context_stays_with_its_instance_and_its_activities(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        trace = f"00-{'a' * 32}-{'b' * 16}-01 vendor=\u00223\u0022"
        tagged, bare = one.create("a", tags={"k": "v"}, trace=trace), one.create("b", trace=trace)
        other = one.create("c", tags={"k": "v"})
        plans = [
            turn(n, 0, work=(work(n, 0, trace=kept),)) for n, kept in ((tagged, trace), (bare, trace), (other, None))
        ]
        one.commit(turns=plans)
        assert [(record.tags, record.trace) for record in one.find("a", "b", "c")] == [
            ({"k": "v"}, trace),
            (None, trace),
            ({"k": "v"}, None),
        ]
        assert one.record(bare).trace == trace
        claimed = {item.n: item.trace for item in two.ask("claim_work", two.token, ("hello",), 9)}
        assert claimed == {tagged: trace, bare: trace, other: None}
        assert one.ids(InstanceFilter(tags={"k": "v"})) == ["a", "c"]

    def test_values_without_their_flag_stay(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a", input='"in"')
        flags: dict[str, Any] = {"sets_output": True, "sets_custom_status": True, "sets_state": True}
        host.commit(turns=[turn(n, 0, output="1", custom_status="2", state="3", lock_holder=7, started=5, **flags)])
        host.commit(turns=[turn(n, 1, output="x", custom_status="x", state="x", next_input="x")])
        record = host.record(n)
        assert (record.output, record.custom_status, record.state, record.input) == ("1", "2", "3", '"in"')
        assert (record.lock_holder, record.started) == (7, 5)
        host.commit(turns=[turn(n, 2, lock_holder=0, **flags)])
        record = host.record(n)
        assert (record.output, record.custom_status, record.state, record.lock_holder) == (None, None, None, 0)

    def test_cursor_first_turn_and_suspect_are_always_set(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a")
        host.commit(turns=[turn(n, 0, cursor=501, first_turn=1, suspect=2)])
        record = host.record(n)
        assert (record.cursor, record.first_turn, record.suspect) == (501, 1, 2)
        host.commit(turns=[turn(n, 1, first_turn=0)])
        record = host.record(n)
        assert (record.cursor, record.first_turn, record.suspect) == (0, 0, 0)

    def test_a_turn_applies_only_on_top_of_its_base(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        for base in (0, 2):
            answer = host.commit(turns=[turn(n, base, COMPLETED, history=b"[]", output="1", sets_output=True)])
            assert answer.turns == (TurnVerdict(FENCED),)
        assert host.record(n).status is RUNNING
        assert host.ask("read_history", n, 0) == []

    def test_of_two_plans_for_one_turn_one_applies(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        plans = [turn(n, 1, messages=(Message(n, EVENT),)), turn(n, 1, messages=(Message(n, EVENT),))]
        assert [verdict.verdict for verdict in host.commit(turns=plans).turns] == [APPLIED, FENCED]
        assert len(host.load(n).inbox) == 1

    def test_nothing_of_a_fenced_turn_is_written(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        other = two.running("other")
        plan = turn(
            n,
            1,
            messages=(Message(other, EVENT), Message(0, EVENT, instance_id="@e@k", create=two.new("@e@k"))),
            work=(work(n, 5),),
            creations=(two.new("child", refusal=Message(other, EVENT)),),
            close_inbox=True,
            history=b"[]",
        )
        one.commit(messages=[Message(n, EVENT)])
        assert two.commit(turns=[plan]).turns == (TurnVerdict(FENCED),)
        assert two.find("child", "@e@k") == []
        assert two.load(other).inbox == []
        assert one.ask("read_history", n, 0) == []
        assert len(one.load(n).inbox) == 1
        assert two.ask("claim_work", two.token, ("hello",), 5) == []

    def test_consumed_rows_and_finished_tasks_go_with_the_turn(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a")
        sent = host.commit(
            turns=[turn(n, 0, work=(work(n, 0), work(n, 1)), messages=(Message(n, EVENT), Message(n, EVENT)))]
        )
        first, second = (verdict.seq for verdict in sent.turns[0].messages)
        host.commit(turns=[turn(n, 1, consumed=(first,), done=(0,))])
        assert [row.seq for row in host.load(n).inbox] == [second]
        assert [item.task for item in host.ask("claim_work", host.token, ("hello",), 5)] == [1]

    def test_continue_as_new_sets_generation_and_input_and_keeps_the_row_of_its_own(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a", history=b'["first"]')
        host.commit(
            turns=[
                turn(n, 1, history=b'["second"]', next_generation=1, next_input='"b"', sets_input=True, first_turn=0)
            ]
        )
        record = host.record(n)
        assert (record.generation, record.input, record.turn) == (1, '"b"', 2)
        assert host.ask("read_history", n, 0) == [b'["first"]', b'["second"]']
        host.commit(turns=[turn(n, 2, generation=1, history=b'["third"]', drop_history_below=1)])
        assert host.ask("read_history", n, 0) == []
        assert host.ask("read_history", n, 1) == [b'["third"]']

    def test_history_comes_in_order_of_turns(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a")
        for base in range(12):
            host.commit(turns=[turn(n, base, history=b"[%d]" % base)])
        assert host.ask("read_history", n, 0) == [b"[%d]" % base for base in range(12)]

    def test_large_values_come_back_as_they_were(self, site: Site) -> None:
        host = ContractHost(site)
        big = '"' + "äöü€" * 50_000 + '"'
        n = host.create("a", input=big)
        history = encode_history([OrchestratorStarted(1), TaskCompleted(0, big)])
        plan = turn(
            n,
            0,
            history=history,
            output=big,
            sets_output=True,
            state=big,
            sets_state=True,
            custom_status=big,
            sets_custom_status=True,
            work=(work(n, 0, input=big),),
            messages=(Message(n, EventRaised("e", big)),),
        )
        host.commit(turns=[plan])
        record = host.record(n)
        assert record.input == record.output == record.state == record.custom_status == big
        assert host.ask("read_history", n, 0) == [history]
        assert host.load(n).inbox[0].event == EventRaised("e", big)
        assert host.ask("claim_work", host.token, ("hello",), 5)[0].input == big
        host.commit(turns=[turn(n, 1, output="1", sets_output=True, next_input=None, sets_input=True)])
        record = host.record(n)
        assert (record.output, record.input, record.state) == ("1", None, big)

    def test_timers_are_closed_by_their_row(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a")
        due = site.now() + 10**9
        sent = host.commit(turns=[turn(n, 0, messages=(timer(n, 7, due), timer(n, 8, due)))])
        seven, eight = (verdict.seq for verdict in sent.turns[0].messages)
        host.commit(turns=[turn(n, 1, close_timers=(seven,))])
        assert [row.seq for row in host.load(n).inbox] == [eight]

    def test_an_ending_closes_what_it_says(self, site: Site) -> None:
        host = ContractHost(site)
        due = site.now() + 10**9
        kinds = {"close_inbox": {1}, "close_all_timers": {0}, "close_work": {0, 1}}
        for flag, left in kinds.items():
            n = host.create(flag)
            host.commit(turns=[turn(n, 0, messages=(Message(n, EVENT), timer(n, 3, due)), work=(work(n, 0),))])
            host.commit(turns=[replace(turn(n, 1), **{flag: True})])
            assert {int(row.due > 0) for row in host.load(n).inbox} == left
            claimed = host.ask("claim_work", host.token, ("hello",), 5)
            assert bool(claimed) is (flag != "close_work")

    def test_messages_of_an_ending_outlive_it(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        due = site.now() + 10**9
        messages = (Message(n, EVENT), timer(n, 3, due))
        host.commit(turns=[turn(n, 1, messages=messages, close_inbox=True, close_all_timers=True)])
        assert len(host.load(n).inbox) == 2

    def test_a_turn_on_a_finished_instance_opens_it_again(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, FAILED, completed=77, output="1", sets_output=True)])
        assert host.record(n).completed == 77
        host.commit(turns=[turn(n, 2, completed=-1)])
        record = host.record(n)
        assert (record.status, record.output, record.completed) == (RUNNING, "1", 0)

    def test_chunks_of_work_need_owner_and_cursor(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a", cursor=501)
        chunk = WorkChunk(n, 501, 503, (work(n, 500), work(n, 501)))
        assert two.commit(chunks=[chunk]).chunks == (FENCED,)
        assert one.commit(chunks=[replace(chunk, cursor=7)]).chunks == (FENCED,)
        assert one.commit(chunks=[chunk]).chunks == (APPLIED,)
        assert one.record(n).cursor == 503
        assert one.commit(chunks=[chunk]).chunks == (FENCED,)
        assert [item.task for item in one.ask("claim_work", one.token, ("hello",), 9)] == [500, 501]


class _Creations:
    """New instances and ids in use."""

    def test_what_was_created_is_found(self, site: Site) -> None:
        host = ContractHost(site)
        new = host.new(
            "child",
            input="1",
            version="v",
            parent_n=9,
            parent_generation=2,
            parent_task=4,
            parent_id="p",
            tags={"a": "b"},
        )
        host.commit(creations=[new])
        (record,) = host.find("child")
        assert (record.n, record.status, record.turn, record.generation) == (new.n, PENDING, 0, 0)
        assert (record.parent_n, record.parent_generation, record.parent_task, record.parent_id) == (9, 2, 4, "p")
        assert (record.owner, record.tags, record.created, record.updated) == (
            host.token,
            {"a": "b"},
            new.created,
            new.created,
        )

    def test_a_running_id_is_refused_with_its_number_and_status(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        for policy in (ExistingPolicy.FAIL_IF_RUNNING, ExistingPolicy.FAIL_IF_EXISTS, ExistingPolicy.RETURN_EXISTING):
            (verdict,) = host.commit(creations=[host.new("a", policy=policy)]).creations
            assert verdict == CreationVerdict(REFUSED, n, RUNNING)

    def test_a_finished_id_is_replaced_or_refused_by_policy(self, site: Site) -> None:
        host = ContractHost(site)
        for number, (policy, replaced) in enumerate(
            {
                ExistingPolicy.FAIL_IF_RUNNING: True,
                ExistingPolicy.FAIL_IF_EXISTS: False,
                ExistingPolicy.RETURN_EXISTING: False,
            }.items()
        ):
            old = host.running(f"a{number}", history=b"[]")
            host.commit(turns=[turn(old, 1, COMPLETED, completed=5, output='"old"', sets_output=True)])
            new = host.new(f"a{number}", policy=policy)
            (verdict,) = host.commit(creations=[new]).creations
            (record,) = host.find(f"a{number}")
            if replaced:
                assert verdict == CreationVerdict(APPLIED, new.n)
                assert (record.n, record.output, record.status) == (new.n, None, PENDING)
                assert host.ask("read_history", old, 0) == []
            else:
                assert verdict == CreationVerdict(REFUSED, old, COMPLETED)
                assert record.n == old

    def test_nothing_reaches_the_old_number_of_a_replaced_id(self, site: Site) -> None:
        host = ContractHost(site)
        old = host.running("a")
        host.commit(turns=[turn(old, 1, work=(work(old, 3, host.token),))])
        host.commit(turns=[turn(old, 2, TERMINATED, completed=5)])
        new = host.create("a")
        answer = host.commit(messages=[Message(old, EVENT)], results=[result(old, 3, host.token)], turns=[turn(old, 3)])
        assert [verdict.seq for verdict in answer.messages + answer.results] == [0, 0]
        assert answer.turns == (TurnVerdict(FENCED),)
        assert host.load(new).inbox == []

    def test_a_purge_and_a_start_in_one_commit_replace_a_running_instance(self, site: Site) -> None:
        host = ContractHost(site)
        parent, lock = host.running("parent"), host.create("@e@k", kind=InstanceKind.ENTITY, status=RUNNING)
        child = host.create("child", parent_n=parent, parent_task=6, parent_id="parent")
        host.commit(turns=[turn(child, 0)])
        failure = Message(parent, SubOrchestrationInstanceFailed(6, "replaced"), 0, 6)
        unlock = Message(0, EntityUnlocked(child, 0, 3), instance_id="@e@k")
        news = [host.new("child"), host.new("child")]
        early = host.commit(purges=[Purge(child, failure, (unlock,), 0)], creations=[news[0]])
        assert (early.purges, early.creations) == ((FENCED,), (CreationVerdict(REFUSED, child, RUNNING),))
        assert host.load(parent).inbox == host.load(lock).inbox == []
        answer = host.commit(purges=[Purge(child, failure, (unlock,), 1)], creations=[news[1]])
        assert (answer.purges, answer.creations) == ((APPLIED,), (CreationVerdict(APPLIED, news[1].n),))
        assert [row.event for row in host.load(parent).inbox] == [failure.event]
        assert [row.event for row in host.load(lock).inbox] == [unlock.event]
        assert [record.n for record in host.find("child")] == [news[1].n]

    def test_a_refused_child_fails_the_task_that_asked(self, site: Site) -> None:
        host = ContractHost(site)
        parent, taken = host.running("parent"), host.running("child")
        refusal = Message(parent, SubOrchestrationInstanceFailed(4, "in use"), 0, 4)
        answer = host.commit(turns=[turn(parent, 1, creations=(host.new("child", refusal=refusal),))])
        (verdict,) = answer.turns[0].creations
        assert (verdict.verdict, verdict.n, verdict.status) == (REFUSED, taken, RUNNING)
        assert verdict.refusal is not None and verdict.refusal.n == parent and verdict.refusal.seq
        (row,) = host.load(parent).inbox
        assert (row.event, row.task, row.seq) == (refusal.event, 4, verdict.refusal.seq)

    def test_of_two_starts_in_one_commit_one_wins(self, site: Site) -> None:
        host = ContractHost(site)
        verdicts = host.commit(creations=[host.new("a"), host.new("a")]).creations
        assert sorted(verdict.verdict for verdict in verdicts) == [APPLIED, REFUSED]

    def test_of_starts_on_many_hosts_one_wins(self, site: Site) -> None:
        hosts = [ContractHost(site) for _ in range(5)]
        verdicts = [host.commit(creations=[host.new("single")]).creations[0] for host in hosts]
        assert [verdict.verdict for verdict in verdicts].count(APPLIED) == 1
        assert len({verdict.n for verdict in verdicts}) == 1

    def test_an_id_finished_in_the_same_commit_can_start_again(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        new = host.new("a")
        answer = host.commit(turns=[turn(n, 1, COMPLETED, completed=9, work=(work(n, 4),))], creations=[new])
        assert answer.turns[0].verdict is APPLIED
        assert answer.creations == (CreationVerdict(APPLIED, new.n),)
        assert host.find("a")[0].n == new.n
        assert host.ask("claim_work", host.token, ("hello",), 5) == []


class _Messages:
    """Who gets a message, and in which order."""

    def test_messages_are_kept_in_the_order_sent(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n, sender = one.running("a"), two.running("sender")
        seqs = []
        for number in range(0, 9, 3):
            events = [Message(n, EventRaised("e", str(number + i))) for i in range(3)]
            if number == 3:
                answer = two.commit(turns=[turn(sender, 1, messages=tuple(events))]).turns[0].messages
            else:
                answer = one.commit(messages=events).messages
            seqs += [verdict.seq for verdict in answer]
            assert {(verdict.n, verdict.owner) for verdict in answer} == {(n, one.token)}
        inbox = one.load(n).inbox
        assert [row.seq for row in inbox] == seqs == sorted(seqs)
        assert [getattr(row.event, "input", None) for row in inbox] == [str(i) for i in range(9)]

    def test_numbers_of_rows_are_never_used_again(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        (first,) = host.commit(messages=[Message(n, EVENT)]).messages
        host.commit(turns=[turn(n, 1, consumed=(first.seq,))])
        (second,) = host.commit(messages=[Message(n, EVENT)]).messages
        assert second.seq > first.seq

    def test_a_message_by_id_finds_its_instance(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        (verdict,) = host.commit(messages=[Message(0, EVENT, instance_id="a")]).messages
        assert (verdict.n, verdict.owner) == (n, host.token)
        assert host.load(n).inbox[0].event == EVENT

    def test_a_message_reaches_an_instance_of_the_same_commit(self, site: Site) -> None:
        host = ContractHost(site)
        new = host.new("a")
        answer = host.commit(creations=[new], messages=[Message(0, EVENT, instance_id="a"), Message(new.n, EVENT)])
        assert [verdict.n for verdict in answer.messages] == [new.n, new.n]
        assert len(host.load(new.n).inbox) == 2

    def test_a_message_to_nobody_is_dropped(self, site: Site) -> None:
        host = ContractHost(site)
        answer = host.commit(messages=[Message(0, EVENT, instance_id="nobody"), Message(12345, EVENT)])
        assert [verdict.seq for verdict in answer.messages] == [0, 0]

    def test_a_finished_instance_gets_nothing(self, site: Site) -> None:
        host = ContractHost(site)
        for status in (COMPLETED, TERMINATED, RuntimeStatus.CANCELED):
            n = host.running(status.label)
            host.commit(turns=[turn(n, 1, status, completed=5)])
            (verdict,) = host.commit(messages=[Message(n, EVENT)]).messages
            assert (verdict.seq, verdict.n) == (0, n)

    def test_a_failed_instance_keeps_its_inbox_for_a_rewind(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, FAILED, completed=5)])
        answer = host.commit(messages=[Message(n, EVENT), Message(n, ExecutionRewound())])
        assert all(verdict.seq for verdict in answer.messages)
        assert [row.event for row in host.load(n).inbox] == [EVENT, ExecutionRewound()]

    def test_an_entity_is_made_by_its_first_message(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        request = EntityOperationRequested("add", "1")

        def signal(host: ContractHost) -> Message:
            new = host.new("@counter@k", kind=InstanceKind.ENTITY, name="counter", status=RUNNING, mine=False)
            return Message(0, request, instance_id="@counter@k", create=new)

        first = signal(one)
        assert first.create is not None
        answer = one.commit(messages=[first, signal(one)])
        assert [verdict.n for verdict in answer.messages] == [first.create.n] * 2
        (again,) = two.commit(messages=[signal(two)]).messages
        assert again.n == first.create.n
        (record,) = one.find("@counter@k")
        assert (record.kind, record.status, record.owner) == (InstanceKind.ENTITY, RUNNING, 0)
        assert len(one.load(record.n).inbox) == 3

    def test_messages_ahead_come_before_all_that_waits(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")

        def event(name: str, ahead: bool = False) -> Message:
            return Message(n, EventRaised(name), ahead=ahead)

        host.commit(messages=[event("waiting")])
        host.commit(turns=[turn(n, 1, messages=(event("c1", True), event("c2", True), event("sent")))])
        host.commit(turns=[turn(n, 2, messages=(event("d1", True), event("d2", True)))])
        inbox = host.load(n).inbox
        assert [getattr(row.event, "name", "") for row in inbox] == ["d1", "d2", "c1", "c2", "waiting", "sent"]
        assert [row.seq for row in inbox] == sorted(row.seq for row in inbox)
        host.commit(turns=[turn(n, 3, consumed=tuple(row.seq for row in inbox[:3]))])
        assert [row.seq for row in host.load(n).inbox] == [row.seq for row in inbox[3:]]

    def test_a_long_inbox_is_read_in_windows(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        due = site.now() + 10**9
        for start in range(0, 700, 100):
            host.commit(
                messages=[*(Message(n, EventRaised("e", str(start + i))) for i in range(99)), timer(n, start, due)]
            )
        loaded = host.load(n)
        assert loaded.more
        rows = list(loaded.inbox)
        while True:
            window = host.ask("read_inbox", n, rows[-1].seq)
            if not window:
                break
            rows += window
        assert len(rows) == 700
        assert [row.seq for row in rows] == sorted(row.seq for row in rows)
        assert sum(row.due > 0 for row in rows) == 7

    def test_results_of_other_generations_are_kept_with_their_address(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(messages=[Message(n, TaskCompleted(3, "1"), 5, 3)])
        (row,) = host.load(n).inbox
        assert (row.generation, row.task, row.due) == (5, 3, 0)


class _Activities:
    """Work rows, claims and results."""

    def test_unowned_work_is_claimed_once_oldest_first(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        items = tuple(work(n, task, name="Other" if task == 2 else "Hello", instance_id="a") for task in range(6))
        one.commit(turns=[turn(n, 1, work=items)])
        first = two.ask("claim_work", two.token, ("hello",), 3)
        assert [item.task for item in first] == [0, 1, 3]
        assert {(item.owner, item.name, item.instance_id, item.input) for item in first} == {
            (two.token, "Hello", "a", "1")
        }
        assert [item.task for item in one.ask("claim_work", one.token, ("hello", "other"), 9)] == [2, 4, 5]
        assert one.ask("claim_work", one.token, ("hello", "other"), 9) == []
        assert one.ask("claim_work", one.token, (), 9) == []

    def test_work_with_an_owner_is_not_claimed_while_that_host_lives(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(turns=[turn(n, 1, work=(work(n, 0, one.token), work(n, 1)))])
        assert [item.task for item in two.ask("claim_work", two.token, ("hello",), 9)] == [1]
        kill(two, one)
        assert [item.task for item in two.ask("claim_work", two.token, ("hello",), 9)] == [0]

    def test_claims_of_a_closed_token_are_free(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(turns=[turn(n, 1, work=(work(n, 0, one.token),))])
        one.ask("close", one.token)
        assert [item.task for item in two.ask("claim_work", two.token, ("hello",), 9)] == [0]

    def test_work_waits_until_its_time(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, work=(work(n, 0, not_before=site.now() + 5_000_000),))])
        assert host.ask("claim_work", host.token, ("hello",), 9) == []
        site.advance(6_000_000)
        assert len(host.ask("claim_work", host.token, ("hello",), 9)) == 1

    def test_a_result_is_a_message_while_the_claim_stands(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(turns=[turn(n, 1, work=(work(n, 0), work(n, 1, one.token)))])
        two.ask("claim_work", two.token, ("hello",), 9)
        (wrong,) = one.commit(results=[result(n, 0, one.token)]).results
        assert (wrong.seq, one.load(n).inbox) == (0, [])
        (right,) = two.commit(results=[result(n, 0, two.token)]).results
        assert (bool(right.seq), right.n, right.owner) == (True, n, one.token)
        (again,) = two.commit(results=[result(n, 0, two.token)]).results
        assert again.seq == 0
        (row,) = one.load(n).inbox
        assert (row.seq, row.task, row.event) == (right.seq, 0, TaskCompleted(0, '"done"'))

    def test_the_result_of_a_host_that_lost_its_claim_is_dropped(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = two.running("a")
        two.commit(turns=[turn(n, 1, work=(work(n, 0, one.token),))])
        one.commit(returns=[WorkReturn(n, 0, 0)])
        assert len(two.ask("claim_work", two.token, ("hello",), 9)) == 1
        assert one.commit(results=[result(n, 0, one.token)]).results[0].seq == 0
        assert two.commit(results=[result(n, 0, two.token)]).results[0].seq

    def test_the_first_of_two_results_in_one_commit_wins(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, work=(work(n, 0, host.token),))])
        answer = host.commit(results=[result(n, 0, host.token, "1"), result(n, 0, host.token, "2")])
        assert [bool(verdict.seq) for verdict in answer.results] == [True, False]
        assert host.load(n).inbox[0].event == TaskCompleted(0, "1")

    def test_the_result_for_a_finished_instance_ends_its_work(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, work=(work(n, 0, host.token),))])
        host.commit(turns=[turn(n, 2, COMPLETED, completed=5)])
        assert host.commit(results=[result(n, 0, host.token)]).results[0].seq == 0
        host.ask("close", host.token)
        assert ContractHost(site).ask("claim_work", host.token + 1, ("hello",), 9) == []

    def test_a_claim_given_back_is_free_with_what_it_says(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(turns=[turn(n, 1, work=(work(n, 0, one.token), work(n, 1, one.token)))])
        two.commit(returns=[WorkReturn(n, 0, 0, suspect=9)])
        one.commit(returns=[WorkReturn(n, 0, 1, suspect=2, not_before=7)])
        (item,) = two.ask("claim_work", two.token, ("hello",), 9)
        assert (item.task, item.suspect, item.not_before, item.owner) == (1, 2, 7, two.token)

    def test_open_activities_are_told_with_what_their_host_wrote_of_them(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        items = (
            work(n, 0, one.token),
            work(n, 1, one.token, attempt=2),
            work(n, 2, suspect=1, not_before=9),
            work(n, 3),
        )
        one.commit(turns=[turn(n, 1, work=items)])
        runs = Attempt(n, 0, 0, 1, 10, 20, 0, one.token, "w1")
        one.commit(attempts=[runs, replace(runs, task=1, finished=30), replace(runs, task=1, attempt=2)])
        asked = (n, 0, [2, 0, 1, 7])
        assert two.ask("open_activities", *asked) == [
            OpenActivity(0, one.token, began=20, worker="w1"),
            OpenActivity(1, one.token, began=20, worker="w1"),
            OpenActivity(2, suspect=1, not_before=9),
        ]
        one.commit(attempts=[replace(runs, finished=40)], returns=[WorkReturn(n, 0, 1)])
        assert two.ask("open_activities", *asked)[:2] == [
            OpenActivity(0, one.token, began=20, finished=40, worker="w1"),
            OpenActivity(1),
        ]
        assert two.ask("open_activities", n, 1, [0]) == two.ask("open_activities", n, 0, []) == []

    def test_attempts_are_taken_whether_or_not_the_instance_is_there(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        attempt = Attempt(n, 0, 0, 1, 10, 20, 30, host.token, "w1", None)
        host.commit(attempts=[attempt, replace(attempt, n=12345), replace(attempt, attempt=2, failure="boom")])
        host.commit(attempts=[attempt])


class _Claims:
    """Who may own an instance."""

    def test_an_instance_of_a_living_host_is_left_out(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        assert two.ask("claim", two.token, [n, 12345]) == []
        assert one.record(n).owner == one.token

    def test_an_unowned_instance_is_owned_by_who_claims_first(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.create("a", mine=False)
        assert two.record(n).owner == two.token
        assert one.ask("claim", one.token, [n]) == []
        assert two.commit(turns=[turn(n, 0)]).turns[0].verdict is APPLIED

    def test_a_released_instance_is_free(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        two.release(n)
        assert one.record(n).owner == one.token, "only the owner releases"
        one.release(n)
        assert two.record(n).owner == two.token
        assert one.commit(turns=[turn(n, 1)]).turns == (TurnVerdict(FENCED),)

    def test_a_release_can_name_the_earliest_time_of_the_next_claim(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.create("a")
        one.commit(releases=[Release(n, site.now() + 5_000_000)])
        assert two.ready() == []
        site.advance(6_000_000)
        assert two.ready() == [n]

    def test_what_waits_for_its_instances_is_told_to_the_owner(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        idle, busy, suspended, theirs = (one.running(name) for name in ("idle", "busy", "suspended", "theirs"))
        unstarted = one.create("unstarted")
        one.release(theirs)
        two.record(theirs)
        one.commit(turns=[turn(suspended, 1, SUSPENDED)])
        due, later = timer(busy, 1, 5), timer(idle, 1, site.now() + 10**9)
        sent = two.commit(messages=[Message(n, EVENT) for n in (busy, suspended, theirs)] + [due, later]).messages
        assert one.ask("waiting", one.token) == [(unstarted, 0), (busy, sent[0].seq), (busy, sent[3].seq)]
        assert two.ask("waiting", two.token) == [(theirs, sent[2].seq)]
        two.commit(messages=[Message(suspended, ExecutionResumed())])
        assert (suspended, sent[1].seq) in one.ask("waiting", one.token)

    def test_instances_of_a_dead_host_are_free(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n, sleeper = one.running("a"), one.running("sleeper")
        one.commit(messages=[Message(n, EVENT)])
        kill(two, one)
        assert two.ready() == [n]
        assert two.record(sleeper).owner == two.token

    def test_instances_come_back_in_the_order_asked_for(self, site: Site) -> None:
        host = ContractHost(site)
        numbers = [host.running(name) for name in "abc"]
        wanted = [numbers[2], numbers[0], numbers[1]]
        assert [loaded.record.n for loaded in host.ask("claim", host.token, wanted)] == wanted

    def test_what_has_something_to_do_is_ready(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        one.running("idle")
        one.release(one.find("idle")[0].n)
        pending = one.create("pending", mine=False)
        waiting, chunked = one.running("waiting"), one.running("chunked", cursor=501)
        again, failed = one.running("again"), one.running("failed")
        one.commit(turns=[turn(again, 1, next_generation=1, first_turn=0)])
        one.commit(turns=[turn(failed, 1, FAILED, completed=3)])
        one.commit(messages=[Message(waiting, EVENT), Message(failed, EVENT)])
        one.release(waiting, chunked, again, failed)
        assert sorted(two.ready()) == sorted([pending, waiting, chunked, again])
        assert two.ready() == [], "they are owned now"
        one.commit(messages=[Message(failed, ExecutionRewound())])
        assert two.ready() == [failed]

    def test_nothing_is_ready_once_it_is_consumed(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.create("a")
        (sent,) = one.commit(messages=[Message(n, EVENT)]).messages
        one.commit(turns=[turn(n, 0, consumed=(sent.seq,))])
        one.release(n)
        assert two.ready() == []

    def test_what_arrives_at_an_idle_instance_makes_it_ready(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.release(n)
        (verdict,) = two.commit(messages=[Message(n, EVENT)]).messages
        assert verdict.owner == 0
        assert one.ready() == [n]

    def test_the_limit_holds_and_the_rest_follows(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        numbers = {one.create(f"a{i}", mine=False) for i in range(7)}
        first, rest = two.ready(3), two.ready(10)
        assert (len(first), set(first) | set(rest)) == (3, numbers)

    def test_a_suspended_instance_is_ready_for_control_alone(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        controls: tuple[HistoryEvent, ...] = (ExecutionResumed(), ExecutionTerminated())
        for number, control in enumerate(controls):
            n = one.running(f"a{number}")
            one.commit(messages=[Message(n, EVENT)])
            one.commit(turns=[turn(n, 1, SUSPENDED)])
            one.release(n)
            assert two.ready() == []
            one.commit(messages=[Message(n, control)])
            assert two.ready() == [n]

    def test_a_resumed_instance_is_ready_for_what_waited(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(turns=[turn(n, 1, SUSPENDED)])
        one.commit(messages=[Message(n, EVENT)])
        one.commit(turns=[turn(n, 2)])
        one.release(n)
        assert two.ready() == [n]

    def test_a_parked_instance_is_ready_for_control_alone(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(messages=[Message(n, EVENT)])
        assert one.commit(parkings=[Parking(n, 0, "x")]).parkings == (FENCED,)
        assert two.commit(parkings=[Parking(n, 1, "x")]).parkings == (FENCED,)
        assert one.commit(parkings=[Parking(n, 1, "mismatch", suspect=2)]).parkings == (APPLIED,)
        record = one.record(n)
        assert (record.parked, record.suspect, record.turn, record.status) == ("mismatch", 2, 1, RUNNING)
        one.release(n)
        assert two.ready() == []
        one.commit(messages=[Message(n, ExecutionTerminated())])
        assert two.ready() == [n]

    def test_an_instance_unparked_is_ready_again(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.create("a")
        one.commit(parkings=[Parking(n, 0, "broken")])
        one.commit(parkings=[Parking(n, 0, None)])
        assert one.record(n).parked is None
        one.release(n)
        assert two.ready() == [n]

    def test_an_instance_held_back_is_ready_at_its_time(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a", mine=False, not_before=site.now() + 5_000_000)
        assert host.ready() == []
        site.advance(6_000_000)
        assert host.ready() == [n]

    def test_a_due_timer_makes_ready(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a")
        one.commit(messages=[timer(n, 1, site.now() + 5_000_000)])
        one.release(n)
        assert two.ready() == []
        site.advance(6_000_000)
        assert two.ready() == [n]

    def test_a_host_is_not_given_what_it_owns(self, site: Site) -> None:
        host = ContractHost(site)
        host.create("a")
        assert host.ready() == []

    def test_functions_that_others_have_are_passed_over(self, site: Site) -> None:
        host = ContractHost(site)
        other, own = host.create("other", mine=False, name="Straße"), host.create("own", mine=False, name="Chain")
        entity = host.create("@e@k", kind=InstanceKind.ENTITY, status=RUNNING, name="e", mine=False)
        sleeper = host.running("sleeper")
        host.commit(messages=[Message(entity, EVENT), timer(sleeper, 1, site.now() - 1)], releases=[Release(sleeper)])
        kept = ("orchestration:straße", "entity:e")
        asking: Any = _With(host.provider, passing_over=kept)
        claimed = site.ask(asking, "claim_ready", host.token, 10)
        assert sorted(loaded.record.n for loaded in claimed) == sorted([own, sleeper])
        host.release(own, sleeper)
        asking = _With(host.provider, passing_over=("orchestration:chain",))
        claimed = site.ask(asking, "claim_ready", host.token, 10)
        assert sorted(loaded.record.n for loaded in claimed) == sorted([other, entity])


class _Timers:
    """Due times."""

    def test_the_earliest_timers_come_first(self, site: Site) -> None:
        host = ContractHost(site)
        n, now = host.running("a"), site.now()
        order = [30, 10, 20, 40]
        sent = host.commit(messages=[timer(n, task, now + task * 1_000_000) for task in order]).messages
        seqs = {task: verdict.seq for task, verdict in zip(order, sent, strict=True)}
        due = host.ask("due_timers", host.token, now + 35_000_000, 10)
        assert [(one.due, one.seq, one.n) for one in due] == [
            (now + task * 1_000_000, seqs[task], n) for task in (10, 20, 30)
        ]
        assert len(host.ask("due_timers", host.token, now + 35_000_000, 2)) == 2

    def test_timers_of_other_living_hosts_are_left_to_them(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        mine, theirs, free = one.running("mine"), two.running("theirs"), one.running("free")
        for n in (mine, theirs, free):
            one.commit(messages=[timer(n, 1, 5)])
        one.release(free)
        assert {one_timer.n for one_timer in one.ask("due_timers", one.token, 10, 9)} == {mine, free}
        kill(one, two)
        assert {one_timer.n for one_timer in one.ask("due_timers", one.token, 10, 9)} == {mine, theirs, free}

    def test_timers_of_an_instance_that_cannot_act_wait_with_it(self, site: Site) -> None:
        host = ContractHost(site)
        suspended, parked, normal = host.running("s"), host.running("p"), host.running("n")
        host.commit(messages=[timer(suspended, 1, 1), timer(parked, 1, 2)])
        host.commit(turns=[turn(suspended, 1, SUSPENDED)], parkings=[Parking(parked, 1, "report")])
        host.commit(messages=[timer(normal, 1, 9), timer(suspended, 2, 3)])
        assert [one.n for one in host.ask("due_timers", host.token, 10, 1)] == [normal]
        host.commit(turns=[turn(suspended, 2)], parkings=[Parking(parked, 1, None)])
        assert [one.n for one in host.ask("due_timers", host.token, 10, 9)] == [suspended, parked, suspended, normal]

    def test_a_consumed_timer_is_gone(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        (sent,) = host.commit(messages=[timer(n, 1, 5)]).messages
        host.commit(turns=[turn(n, 1, consumed=(sent.seq,))])
        assert host.ask("due_timers", host.token, 10, 9) == []


class _Purges:
    """Instances that go."""

    def test_a_purge_deletes_whoever_owns_it(self, site: Site) -> None:
        one, two = ContractHost(site), ContractHost(site)
        n = one.running("a", history=b"[]")
        one.commit(turns=[turn(n, 1, work=(work(n, 0),), messages=(Message(n, EVENT), timer(n, 1, 5)))])
        assert two.commit(purges=[Purge(n, turn=1)]).purges == (FENCED,), "it has moved on"
        assert two.commit(purges=[Purge(n, turn=2), Purge(12345)]).purges == (APPLIED, REFUSED)
        assert two.find("a") == []
        assert two.ask("read_history", n, 0) == [] and two.ask("read_inbox", n, 0) == []
        assert two.ask("due_timers", two.token, 10, 9) == []
        assert two.ask("claim_work", two.token, ("hello",), 9) == []
        assert one.commit(turns=[turn(n, 2)]).turns == (TurnVerdict(FENCED),)
        assert one.create("a") != n

    def test_the_parent_of_an_unfinished_child_gets_a_failure(self, site: Site) -> None:
        host = ContractHost(site)
        parent = host.running("parent")
        failure = Message(parent, SubOrchestrationInstanceFailed(3, "purged"), 0, 3)
        open_child, done_child = host.running("open"), host.running("done")
        host.commit(turns=[turn(done_child, 1, COMPLETED, completed=4)])
        host.commit(purges=[Purge(done_child, failure)])
        assert host.load(parent).inbox == []
        host.commit(purges=[Purge(open_child, failure)])
        assert [row.event for row in host.load(parent).inbox] == [failure.event]

    def test_a_purge_of_what_is_idle_spares_what_has_messages(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        (queued,) = host.commit(messages=[Message(n, EVENT)]).messages
        assert host.commit(purges=[Purge(n, turn=1, idle=True)]).purges == (FENCED,)
        (later,) = host.commit(turns=[turn(n, 1, consumed=(queued.seq,))], messages=[timer(n, 1, 5)]).messages
        assert host.commit(purges=[Purge(n, turn=2, idle=True)]).purges == (FENCED,), "a timer waits, too"
        consumed = turn(n, 2, consumed=(later.seq,))
        assert host.commit(turns=[consumed], purges=[Purge(n, turn=3, idle=True)]).purges == (APPLIED,)

    def test_a_purge_and_a_new_start_fit_in_one_commit(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        new = host.new("a", policy=ExistingPolicy.FAIL_IF_EXISTS)
        answer = host.commit(creations=[new], purges=[Purge(n)])
        assert (answer.purges, answer.creations) == ((APPLIED,), (CreationVerdict(APPLIED, new.n),))
        assert host.find("a")[0].n == new.n


class _Queries:
    """Listings and settings."""

    def test_waiting_messages_are_counted(self, site: Site) -> None:
        host = ContractHost(site)
        one, two = host.running("a"), host.running("b")
        host.commit(messages=[Message(one, EVENT), Message(one, EVENT), timer(one, 1, 5)])
        for now, waiting in ((4, 2), (5, 3)):
            counts = host.ask("count_inbox", [one, two, 12345], now)
            assert [counts.get(n, 0) for n in (one, two, 12345)] == [waiting, 0, 0]

    def test_pages_follow_creation_and_end(self, site: Site) -> None:
        host = ContractHost(site)
        host.commit(creations=[host.new(f"i{number}", created=1000 + number // 3) for number in range(10)])
        seen: list[str] = []
        continuation = None
        while True:
            page = host.ask("query", InstanceFilter(), 4, continuation)
            seen += [record.instance_id for record in page.items]
            continuation = page.continuation
            if continuation is None:
                break
            assert len(page.items) == 4
        assert seen == [f"i{number}" for number in range(10)]

    def test_each_filter_means_what_it_says(self, site: Site) -> None:
        host = ContractHost(site)
        host.commit(
            creations=[
                host.new("a1", created=10, name="Alpha", tags={"team": "x", "env": "p"}),
                host.new("a2", created=20, name="Alpine", parent_id="a1", parent_n=1),
                host.new("b1", created=30, name="Beta", tags={"team": "x"}),
                host.new("@e@k", created=40, name="e", kind=InstanceKind.ENTITY, status=RUNNING),
            ]
        )
        host.commit(turns=[turn(host.find("b1")[0].n, 0, COMPLETED, completed=50)])
        cases = {
            "a1 a2 b1 @e@k": InstanceFilter(),
            "a2 b1": InstanceFilter(created_from=20, created_to=30),
            "a1": InstanceFilter(created_to=10),
            "b1": InstanceFilter(statuses=(COMPLETED,)),
            "a1 a2": InstanceFilter(id_prefix="a"),
            "@e@k": InstanceFilter(kinds=(InstanceKind.ENTITY,)),
            "a1 a2 ": InstanceFilter(name_prefix="Alp"),
            "a2": InstanceFilter(parent_id="a1"),
            "a1 b1": InstanceFilter(tags={"team": "x"}),
            " a1": InstanceFilter(tags={"team": "x", "env": "p"}),
            "a1 a2 b1": InstanceFilter(statuses=(COMPLETED, PENDING)),
            "": InstanceFilter(statuses=(TERMINATED,)),
            " a2": InstanceFilter(statuses=(PENDING,), created_from=15),
            "  a2": InstanceFilter(id_prefix="a", name_prefix="Alpi", statuses=(PENDING,)),
        }
        for expected, filter in cases.items():
            found = host.ask("query", filter, 100, None).items
            assert sorted(record.instance_id for record in found) == sorted(expected.split()), filter
            counts = Counter((record.name, record.status) for record in found)
            assert host.ask("count", filter, True) == counts, filter
            statuses = Counter(("", record.status) for record in found)
            assert host.ask("count", filter, False) == statuses, filter

    def test_a_listing_leaves_payloads_out_if_asked(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.create("a", input='"in"')
        host.commit(turns=[turn(n, 0, COMPLETED, output='"out"', sets_output=True, completed=5)])
        full = host.ask("query", InstanceFilter(), 5, None)
        asking: Any = _With(host.provider, payloads=False)
        (brief,) = site.ask(asking, "query", InstanceFilter(), 5, None).items
        assert (full.items[0].input, full.items[0].output) == ('"in"', '"out"')
        assert brief == replace(full.items[0], input=None, output=None)

    def test_every_order_is_paged_without_gap_or_repeat(self, site: Site) -> None:
        host = ContractHost(site)
        host.commit(creations=[host.new(f"p{number:02}", created=7) for number in range(23)])
        for filter in (InstanceFilter(), InstanceFilter(statuses=(PENDING, RUNNING)), InstanceFilter(id_prefix="p")):
            seen: list[str] = []
            continuation = None
            for _ in range(10):
                page = host.ask("query", filter, 5, continuation)
                seen += [record.instance_id for record in page.items]
                continuation = page.continuation
                if continuation is None:
                    break
            assert sorted(seen) == [f"p{number:02}" for number in range(23)], filter

    def test_a_page_of_large_payloads_is_a_short_one(self, site: Site) -> None:
        """However many instances are asked for, the memory that a page takes has a bound."""
        host = ContractHost(site)
        large = '"' + "x" * (PAGE_SIZE // 2) + '"'
        ids = [f"p{number:02}" for number in range(40)]
        host.commit(creations=[host.new(one, input=large if one in ids[30:37] else "1") for one in ids])
        for filter in (InstanceFilter(), InstanceFilter(statuses=(PENDING,)), InstanceFilter(id_prefix="p")):
            seen: list[str] = []
            pages, continuation = 0, None
            while True:
                page = host.ask("query", filter, 1000, continuation)
                assert sum(map(size_of, page.items)) < 3 * PAGE_SIZE
                seen += [record.instance_id for record in page.items]
                pages, continuation = pages + 1, page.continuation
                if continuation is None:
                    break
            assert seen == ids
            assert pages > 1
            asking: Any = _With(host.provider, payloads=False)
            brief = site.ask(asking, "query", filter, 1000, None)
            assert len(brief.items) == 40, "what is left out takes no room"

    def test_continuations_fit_a_header(self, site: Site) -> None:
        host = ContractHost(site)
        ids = [f"\u20ac{number}" for number in range(4)]
        host.commit(creations=[host.new(one) for one in ids])
        seen, continuation = [], None
        while True:
            page = host.ask("query", InstanceFilter(id_prefix="\u20ac"), 1, continuation)
            seen += [record.instance_id for record in page.items]
            continuation = page.continuation
            if continuation is None:
                break
            assert continuation.isascii() and continuation.isprintable()
        assert seen == ids

    def test_an_exact_last_page_has_no_continuation(self, site: Site) -> None:
        host = ContractHost(site)
        host.commit(creations=[host.new(f"p{number}") for number in range(4)])
        assert host.ask("query", InstanceFilter(), 4, None).continuation is None

    def test_an_unknown_continuation_is_an_error(self, site: Site) -> None:
        host = ContractHost(site)
        beyond = 10**23
        for text in (
            "garbage", "[1]", '["x",[1]]', "-1-1", "\x00", f'["created",[{beyond},1]]', f'["created",[1,-{beyond}]]',
        ):  # fmt: skip
            refused = host.ask("query", InstanceFilter(), 5, text)
            assert isinstance(refused, UnknownContinuation) and not refused.lost
            assert str(refused) == f"unknown continuation {text!r}: pass on what the last page gave, or none"

    def test_texts_with_nul_neither_break_a_listing_nor_those_that_come_after(self, site: Site) -> None:
        host = ContractHost(site)
        host.commit(creations=[host.new("a", tags={"k\0": "v\0", "team": "x"}), host.new("b", tags={"team": "x"})])
        for filter in (
            InstanceFilter(id_prefix="\0"),
            InstanceFilter(name_prefix="\0"),
            InstanceFilter(parent_id="\0"),
            InstanceFilter(tags={"\0": "x"}),
        ):
            assert host.ask("query", filter, 5, None).items == []
            assert host.ask("count", filter, True) == {}
        by_tag = host.ask("query", InstanceFilter(tags={"team": "x"}), 5, None)
        assert [record.instance_id for record in by_tag.items] == ["a", "b"]
        refused = host.ask("query", InstanceFilter(id_prefix="a"), 5, '["id",["a\\u0000"]]')
        assert not isinstance(refused, StoreError) or isinstance(refused, UnknownContinuation)

    def test_ids_with_nul_are_ids(self, site: Site) -> None:
        host = ContractHost(site)
        host.create("a")
        n = host.create("a\0b")
        again = host.commit(creations=[host.new("a\0b", policy=ExistingPolicy.FAIL_IF_EXISTS)])
        assert again.creations[0].verdict is REFUSED
        host.commit(messages=[Message(0, EVENT, instance_id="a\0b")])
        assert [row.event for row in host.load(n).inbox] == [EVENT]

    def test_find_knows_exact_ids_only(self, site: Site) -> None:
        host = ContractHost(site)
        host.create("Abc")
        assert [record.instance_id for record in host.find("Abc", "abc", "nobody")] == ["Abc"]
        assert host.find() == []

    def test_settings_are_compared_and_set(self, site: Site) -> None:
        host = ContractHost(site)
        assert host.ask("get_setting", "timer", "tick") is None
        assert host.ask("put_setting", "timer", "tick", "1", "0") is False
        assert host.ask("put_setting", "timer", "tick", "1", None) is True
        assert host.ask("put_setting", "timer", "tick", "2", None) is False
        assert host.ask("put_setting", "timer", "tick", "2", "1") is True
        assert host.ask("get_setting", "timer", "tick") == "2"
        assert host.ask("list_settings", "timer") == [("tick", "2")]
        assert host.ask("list_settings", "other") == []
        assert host.ask("get_setting", "other", "tick") is None
        assert host.ask("put_setting", "timer", "tick", None, "2") is True
        assert host.ask("get_setting", "timer", "tick") is None
        assert host.ask("put_setting", "timer", "tick", None, None) is True


class _Audits:
    """Management operations, and the end of a hub."""

    def test_what_was_done_is_recorded_with_its_instance(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        asked = Audit("terminate", "a", "anna", 7, "enough")
        host.commit(messages=[Message(n, EVENT), Message(n, EVENT, audit=asked), Message(0, EVENT, instance_id="a")])
        by_id = Audit("raiseEvent:go", "a", "anna", 8)
        host.commit(messages=[Message(0, EVENT, instance_id="a", audit=by_id)])
        born = Audit("start", "b", "bob", 9)
        host.commit(creations=[host.new("z"), replace(host.new("b"), audit=born)])
        assert host.ask("audit", "a", n, 10) == [by_id, asked]
        assert host.ask("audit", "a", n, 1) == [by_id]
        assert host.ask("audit", "b", host.find("b")[0].n, 10) == [born]
        assert host.ask("audit", None, 0, 10) == [born, by_id, asked]
        assert host.ask("audit", "nobody", 0, 10) == []

    def test_what_was_not_done_is_not_recorded(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        host.commit(turns=[turn(n, 1, COMPLETED, completed=5)])
        late, refused = Audit("terminate", "a", "anna", 7), Audit("start", "a", "anna", 8)
        unlucky = Audit("purge", "a", "anna", 9)
        keep = ExistingPolicy.FAIL_IF_EXISTS
        host.commit(
            messages=[Message(n, EVENT, audit=late), Message(12345, EVENT, audit=late)],
            creations=[replace(host.new("a", policy=keep), audit=refused)],
            purges=[Purge(n, turn=1, audit=unlucky), Purge(12345, audit=unlucky)],
        )
        assert host.ask("audit", None, 0, 10) == []

    def test_records_go_with_their_instance_and_its_end_stays_with_the_hub(self, site: Site) -> None:
        host = ContractHost(site)
        n, other = host.running("a"), host.running("b")
        host.commit(messages=[Message(m, EVENT, audit=Audit("suspend", "x", "anna", 1)) for m in (n, other)])
        end = Audit("purge", "a", "anna", 2)
        host.commit(purges=[Purge(n, audit=end)])
        assert host.ask("audit", None, 0, 10) == [end, Audit("suspend", "x", "anna", 1)]
        assert host.ask("audit", "a", 0, 10) == [end]
        host.commit(turns=[turn(other, 1, COMPLETED, completed=5)])
        host.create("b")
        assert host.ask("audit", None, 0, 10) == [end], "a new start took the place of b"

    def test_a_record_of_the_hub_is_kept_up(self, site: Site) -> None:
        host = ContractHost(site)
        begun = Audit("purge", "hub", "anna", 5, "Completed", "begun")
        other = Audit("purge", "hub", "bob", 6)
        ended = replace(begun, result="3 instances deleted")
        host.commit(audits=[begun])
        host.commit(audits=[other])
        host.commit(audits=[ended])
        assert host.ask("audit", None, 0, 10) == [ended, other]

    def test_a_hub_keeps_the_latest_of_its_own_records(self, site: Site) -> None:
        host = ContractHost(site)
        n = host.running("a")
        kept = Audit("resume", "a", "anna", 1)
        host.commit(messages=[Message(n, EVENT, audit=kept)])
        host.commit(audits=[Audit("purge", "hub", "anna", time) for time in range(600)])
        host.commit(audits=[Audit("purge", "hub", "anna", time) for time in range(600, 1200)])
        found = host.ask("audit", None, 0, 2000)
        assert [audit.time for audit in found] == [*range(1199, 199, -1), 1]
        assert host.ask("audit", "a", n, 10) == [kept]

    def test_a_hub_is_forgotten_once_nobody_uses_it_and_nothing_is_in_it(self, site: Site) -> None:
        client, host = ContractHost(site), ContractHost(site, {"orchestration": ("Chain",)})
        n = host.create("a")
        host.ask("put_setting", "kind", "key", "value", None)
        assert client.ask("delete_hub", "anna", "") is False, "a host is alive"
        host.ask("close", host.token)
        assert client.ask("delete_hub", "anna", "") is False, "an instance is there"
        client.commit(purges=[Purge(n)])
        assert client.ask("delete_hub", "anna", "1 instance deleted") is True
        assert client.commit().alive is False
        again = ContractHost(site)
        assert again.ask("get_setting", "kind", "key") is None
        assert again.ids(InstanceFilter()) == []
        assert again.create("a") != n
        assert again.load(again.find("a")[0].n).inbox == []


class _With:
    """A provider that is asked with more than what comes before the callback."""

    def __init__(self, provider: Provider, **more: Any) -> None:
        self._provider, self._more = provider, more

    def __getattr__(self, call: str) -> Callable[..., None]:
        return partial(getattr(self._provider, call), **self._more)


def kill(witness: ContractHost, victim: ContractHost) -> None:
    """Have `victim` declared dead."""
    beat = next(row.beat for row in witness.ask("hosts") if row.token == victim.token)
    assert witness.ask("declare_dead", victim.token, beat) is True


class _Backlog:
    """What autoscalers and metrics ask."""

    def test_what_waits_and_what_runs(self, site: Site) -> None:
        host = ContractHost(site, {"activity": ("hello",)})
        assert host.ask("backlog") == Backlog(0, 0, 0, 0, 1)
        begun = site.now()
        n = host.running("a")
        host.commit(turns=[turn(n, 1, work=tuple(work(n, task, scheduled=begun) for task in range(5)))])
        assert host.ask("backlog").instances == 0, "an instance that waits for activities has nothing to do"
        host.ask("claim_work", host.token, ("hello",), 2)
        site.advance(3_000_000)
        told = host.ask("backlog")
        assert (told.waiting, told.running, told.instances, told.hosts) == (3, 2, 0, 1)
        assert 3_000_000 <= told.oldest <= site.now() - begun + 1_000_000
        host.ask("claim_work", host.token, ("hello",), 10)
        assert host.ask("backlog") == Backlog(0, 5, 0, 0, 1)
        host.commit(results=[result(n, task, host.token) for task in range(5)])
        assert host.ask("backlog") == Backlog(0, 0, 1, 0, 1)

    def test_each_instance_with_something_to_do_counts_once(self, site: Site) -> None:
        host = ContractHost(site, {"orchestration": ("chain",)})
        # starts, whoever owns them; one of them has messages, too
        host.create("mine")
        n = host.create("left", mine=False)
        host.commit(messages=[Message(n, EVENT), Message(n, EVENT)])
        host.create("later", mine=False, not_before=site.now() + 60_000_000)
        assert host.ask("backlog").instances == 2
        # messages; of those for a suspended instance the ones that reach it
        waits, halted = host.running("waits"), host.running("halted")
        host.commit(turns=[turn(halted, 1, SUSPENDED)])
        host.commit(messages=[Message(waits, EVENT), Message(halted, EVENT)])
        assert host.ask("backlog").instances == 3
        host.commit(messages=[Message(halted, ExecutionResumed("go on"))])
        assert host.ask("backlog").instances == 4
        # timers and starts when their time has come
        sleeps = host.running("sleeps")
        host.commit(messages=[timer(sleeps, task, site.now() + 30_000_000) for task in (0, 1)])
        assert host.ask("backlog").instances == 4
        site.advance(31_000_000)
        assert host.ask("backlog").instances == 5
        site.advance(30_000_000)
        assert host.ask("backlog").instances == 6

    def test_it_is_as_old_as_what_waits_longest(self, site: Site) -> None:
        host = ContractHost(site, {"orchestration": ("chain",)})
        sleeps = host.running("sleeps")
        host.commit(messages=[timer(sleeps, 0, site.now() + 10_000_000)])
        assert host.ask("backlog").oldest == 0
        site.advance(15_000_000)
        assert 5_000_000 <= host.ask("backlog").oldest < 10_000_000
        host.create("scheduled", mine=False, created=site.now() - 60_000_000, not_before=site.now() - 20_000_000)
        assert 20_000_000 <= host.ask("backlog").oldest < 25_000_000
        host.create("old", mine=False, created=site.now() - 60_000_000)
        assert 60_000_000 <= host.ask("backlog").oldest < 65_000_000

    def test_hosts_that_live_and_run_functions(self, site: Site) -> None:
        names: dict[str, tuple[str, ...]] = {"activity": ("hello",)}
        first, second, client = ContractHost(site, names), ContractHost(site, names), ContractHost(site)
        n = first.running("a")
        first.commit(turns=[turn(n, 1, work=(work(n, 0), work(n, 1)))])
        assert second.ask("claim_work", second.token, ("hello",), 1)
        told = client.ask("backlog")
        assert (told.waiting, told.running, told.hosts) == (1, 1, 2)
        # what a dead host had claimed waits again
        kill(client, second)
        told = client.ask("backlog")
        assert (told.waiting, told.running, told.hosts) == (2, 0, 1)
        first.ask("leave", first.token)
        assert client.ask("backlog").hosts == 0


class ProviderContract(
    _Hosts,
    _Commits,
    _Turns,
    _Creations,
    _Messages,
    _Activities,
    _Claims,
    _Timers,
    _Purges,
    _Queries,
    _Backlog,
    _Audits,
):
    """All of it."""
