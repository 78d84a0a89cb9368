from __future__ import annotations

from typing import Any

import pytest

from perdure.model.commit_plan import (
    ActivityResult,
    CommitAnswer,
    CommitBatch,
    Message,
    NewInstance,
    Purge,
    Release,
    TurnPlan,
    Verdict,
    WorkChunk,
    WorkItem,
    WorkReturn,
)
from perdure.model.history import EventRaised, ExecutionResumed, ExecutionRewound, TaskCompleted, TimerFired
from perdure.model.instance import InstanceFilter, InstanceKind, RuntimeStatus
from perdure.model.operations import ExistingPolicy
from perdure.storage.memory import Fate, MemoryDatabase, MemoryStore
from perdure.storage.provider import HostRegistration, StoreError
from perdure.testing.clock import START, VirtualClock, VirtualTime


class World:
    """Hosts on one memory database; `fates` gives each next call its fate."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.clock = VirtualClock(self.time)
        self.database = MemoryDatabase(self.clock)

    def host(self) -> Host:
        return Host(self)


class Host:
    def __init__(self, world: World) -> None:
        self.world = world
        self.next_fate: Fate | None = None
        self.store = MemoryStore(world.database, fate=self._fate)
        self.number = 0
        self.token = self.now("register", HostRegistration("", "", {})).token

    def _fate(self, call: str) -> Fate | None:
        fate, self.next_fate = self.next_fate, None
        return fate

    def ask(self, call: str, *arguments: Any, fate: Fate | None = None) -> list[Any]:
        """The list that the answer will be in."""
        answers: list[Any] = []
        self.next_fate = fate
        getattr(self.store, call)(*arguments, answers.append)
        assert answers == [], "answered from inside the call"
        return answers

    def now(self, call: str, *arguments: Any) -> Any:
        answers = self.ask(call, *arguments)
        self.world.time.advance(0)
        assert len(answers) == 1
        return answers[0]

    def batch(self, **lists: Any) -> CommitBatch:
        self.number += 1
        return CommitBatch(self.token, self.number, **{name: tuple(items) for name, items in lists.items()})

    def commit(self, **lists: Any) -> CommitAnswer:
        answer = self.now("commit", self.batch(**lists))
        assert isinstance(answer, CommitAnswer)
        return answer


def new(n: int, instance_id: str, owner: int = 0, **more: Any) -> NewInstance:
    return NewInstance(n, instance_id, InstanceKind.ORCHESTRATION, "Chain", START, owner=owner, **more)


def turn(n: int, base: int, status: RuntimeStatus = RuntimeStatus.RUNNING, **more: Any) -> TurnPlan:
    return TurnPlan(n, base, base + 1, 0, status, START, first_turn=1, **more)


def raised(n: int, name: str = "go") -> Message:
    return Message(n, EventRaised(name))


def test_a_repeated_number_returns_the_recorded_answer_and_applies_nothing() -> None:
    host = World().host()
    host.commit(creations=[new(1, "a", host.token)])
    batch = host.batch(messages=[raised(1)])
    first = host.now("commit", batch)
    assert host.now("commit", batch) == first
    assert [row.seq for row in host.now("read_inbox", 1, 0)] == [first.messages[0].seq]
    assert host.now("recorded", host.token, batch.number) == first
    assert host.now("recorded", host.token, batch.number + 1) is None


def test_a_turn_applies_only_for_the_owner_at_its_base_turn() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    assert two.commit(turns=[turn(1, 0, messages=(raised(1),))]).turns[0].verdict is Verdict.FENCED
    assert one.commit(turns=[turn(1, 1)]).turns[0].verdict is Verdict.FENCED
    assert one.now("read_inbox", 1, 0) == []
    applied = one.commit(turns=[turn(1, 0, history=b"[]", messages=(raised(1),))]).turns[0]
    assert applied.verdict is Verdict.APPLIED
    assert [row.seq for row in one.now("read_inbox", 1, 0)] == [applied.messages[0].seq]
    assert one.now("read_history", 1, 0) == [b"[]"]


def test_what_began_first_may_become_visible_last() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a")])
    slow = one.ask("commit", one.batch(messages=[raised(1, "slow")]), fate=Fate(visible=1.0))
    world.time.advance(0)
    fast = two.commit(messages=[raised(1, "fast")])
    assert [row.event.name for row in two.now("read_inbox", 1, 0)] == ["fast"]
    world.time.advance(2)
    assert slow[0].messages[0].seq < fast.messages[0].seq
    assert [row.event.name for row in two.now("read_inbox", 1, 0)] == ["slow", "fast"]


def test_the_owner_in_a_verdict_is_read_when_the_message_is_visible() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a")])
    sent = one.ask("commit", one.batch(messages=[raised(1)]), fate=Fate(visible=1.0))
    world.time.advance(0.5)
    assert [loaded.inbox for loaded in two.now("claim", two.token, [1])] == [[]]
    world.time.advance(1)
    assert sent[0].messages[0].owner == two.token


def test_a_locked_instance_makes_commits_wait_and_claims_pass() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    open_turn = one.ask("commit", one.batch(turns=[turn(1, 0)]), fate=Fate(visible=1.0))
    world.time.advance(0)
    assert two.now("declare_dead", two.token, -1) is False
    purge = two.ask("commit", two.batch(purges=[Purge(1)]))
    again = two.ask("claim", two.token, [1])
    waiting = one.ask("recorded", one.token, one.number)
    world.time.advance(0.5)
    assert purge[0].purges == (Verdict.FENCED,)
    assert again == [[]]
    assert waiting == []
    world.time.advance(1)
    assert open_turn[0].turns[0].verdict is Verdict.APPLIED
    assert waiting == open_turn


def test_two_open_commits_that_create_one_id_are_resolved_by_waiting() -> None:
    world = World()
    one, two = world.host(), world.host()
    first = one.ask("commit", one.batch(creations=[new(1, "a")]), fate=Fate(visible=1.0))
    world.time.advance(0)
    refusal = Message(0, EventRaised("refused"), instance_id="a")
    second = two.ask("commit", two.batch(creations=[new(2, "a", refusal=refusal)]))
    world.time.advance(0.5)
    assert second == []
    world.time.advance(1)
    assert first[0].creations[0].verdict is Verdict.APPLIED
    refused = second[0].creations[0]
    assert (refused.verdict, refused.n, refused.status) == (Verdict.REFUSED, 1, RuntimeStatus.PENDING)
    assert refused.refusal is not None and refused.refusal.n == 1 and refused.refusal.seq > 0


@pytest.mark.parametrize(
    ("policy", "over_running", "over_finished"),
    [
        (ExistingPolicy.FAIL_IF_RUNNING, False, True),
        (ExistingPolicy.FAIL_IF_EXISTS, False, False),
        (ExistingPolicy.RETURN_EXISTING, False, False),
    ],
)
def test_a_policy_decides_whether_an_id_is_taken_over(
    policy: ExistingPolicy, over_running: bool, over_finished: bool
) -> None:
    for status, replaced in ((RuntimeStatus.RUNNING, over_running), (RuntimeStatus.COMPLETED, over_finished)):
        host = World().host()
        host.commit(creations=[new(1, "a", host.token)])
        host.commit(turns=[turn(1, 0, status, history=b"[]")])
        verdict = host.commit(creations=[new(2, "a", policy=policy)]).creations[0]
        assert verdict.verdict is (Verdict.APPLIED if replaced else Verdict.REFUSED)
        assert host.now("find", ["a", "b"])[0].n == (2 if replaced else 1)
        assert bool(host.now("read_history", 1, 0)) is not replaced


def test_a_failed_commit_leaves_nothing_and_a_lost_answer_may_leave_all() -> None:
    world = World()
    host = world.host()
    failed = host.ask("commit", host.batch(creations=[new(1, "a")]), fate=Fate(error="full", applied=False))
    lost = host.ask("commit", host.batch(creations=[new(2, "b")]), fate=Fate(error="gone", lost=True, visible=1.0))
    world.time.advance(0.5)
    assert isinstance(failed[0], StoreError) and not failed[0].lost
    assert isinstance(lost[0], StoreError) and lost[0].lost
    assert host.now("find", ["a", "b"]) == []
    world.time.advance(1)
    assert [record.n for record in host.now("find", ["a", "b"])] == [2]
    assert host.now("recorded", host.token, host.number).creations[0].verdict is Verdict.APPLIED


def test_a_dead_token_writes_nothing() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    beat = next(row.beat for row in two.now("hosts") if row.token == one.token)
    assert two.now("declare_dead", one.token, beat - 1) is False
    assert two.now("declare_dead", one.token, beat) is True
    assert one.commit(turns=[turn(1, 0)]).alive is False
    assert one.now("beat", one.token) is False
    assert one.now("claim", one.token, [1]) == []
    assert [loaded.record.turn for loaded in two.now("claim", two.token, [1])] == [0]


def test_the_first_completion_of_an_activity_wins_and_needs_the_claim() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    one.commit(turns=[turn(1, 0, work=(WorkItem(1, 0, 0, "Hello", None),))])
    assert two.now("claim_work", two.token, ("other",), 5) == []
    assert [item.owner for item in two.now("claim_work", two.token, ("hello",), 5)] == [two.token]
    assert one.now("claim_work", one.token, ("hello",), 5) == []
    result = Message(1, TaskCompleted(0, '"x"'), generation=0, task=0)
    assert one.commit(results=[ActivityResult(result, one.token)]).results[0].seq == 0
    assert two.commit(results=[ActivityResult(result, two.token)]).results[0].seq > 0
    assert two.commit(results=[ActivityResult(result, two.token)]).results[0].seq == 0


def test_work_given_back_keeps_its_marks_and_is_free_again() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    one.commit(turns=[turn(1, 0, work=(WorkItem(1, 0, 0, "Hello", None, owner=one.token),))])
    one.commit(returns=[WorkReturn(1, 0, 0, suspect=2, not_before=START + 5_000_000)])
    assert two.now("claim_work", two.token, ("hello",), 5) == []
    world.time.advance(5)
    assert [item.suspect for item in two.now("claim_work", two.token, ("hello",), 5)] == [2]


def test_ready_is_what_has_something_to_do_and_no_live_owner() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "pending"), new(2, "owned", one.token), new(3, "later", not_before=START + 9)])
    assert [loaded.record.n for loaded in two.now("claim_ready", two.token, 9)] == [1]
    assert two.now("claim_ready", two.token, 9) == []
    timer = Message(1, TimerFired(0, START + 5_000_000), generation=0, task=0, due=START + 5_000_000)
    two.commit(turns=[turn(1, 0, messages=(timer,))], releases=[Release(1)])
    world.time.advance(1)
    assert [loaded.record.n for loaded in two.now("claim_ready", two.token, 9)] == [3]
    assert two.now("due_timers", two.token, START + 6_000_000, 9)[0].n == 1
    world.time.advance(4)
    assert [loaded.record.n for loaded in two.now("claim_ready", two.token, 9)] == [1]


def test_rows_put_ahead_of_the_queue_come_first() -> None:
    host = World().host()
    host.commit(creations=[new(1, "a", host.token)])
    host.commit(messages=[raised(1, "waiting")])
    ahead = [Message(1, EventRaised(name), ahead=True) for name in ("carried 1", "carried 2")]
    host.commit(turns=[turn(1, 0, messages=tuple(ahead))])
    loaded = host.now("claim", host.token, [1])[0]
    assert [row.event.name for row in loaded.inbox] == ["carried 1", "carried 2", "waiting"]
    assert loaded.more is False


def test_a_long_inbox_is_read_in_windows() -> None:
    host = World().host()
    host.commit(creations=[new(1, "a", host.token)])
    host.commit(messages=[raised(1, str(number)) for number in range(600)])
    loaded = host.now("claim", host.token, [1])[0]
    rows = list(loaded.inbox)
    assert loaded.more and len(rows) < 600
    while window := host.now("read_inbox", 1, rows[-1].seq):
        rows += window
    assert [row.event.name for row in rows] == [str(number) for number in range(600)]


def test_continue_as_new_waits_for_its_first_turn() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token, input="0")])
    again = TurnPlan(
        1, 0, 1, 0, RuntimeStatus.RUNNING, START, history=b"[]", next_input="1", sets_input=True, next_generation=1
    )
    one.commit(turns=[again], releases=[Release(1)])
    record = two.now("claim_ready", two.token, 9)[0].record
    assert (record.generation, record.turn, record.input) == (1, 1, "1")
    two.commit(turns=[TurnPlan(1, 1, 2, 1, RuntimeStatus.RUNNING, START, b"[1]", first_turn=2, drop_history_below=1)])
    assert two.now("read_history", 1, 0) == []
    assert two.now("read_history", 1, 1) == [b"[1]"]


def test_chunks_of_work_follow_the_cursor_once() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    one.commit(turns=[turn(1, 0, cursor=3)])
    chunk = WorkChunk(1, 3, 0, (WorkItem(1, 0, 2, "Hello", None),))
    assert two.commit(chunks=[chunk]).chunks == (Verdict.FENCED,)
    assert one.commit(chunks=[chunk]).chunks == (Verdict.APPLIED,)
    assert one.commit(chunks=[chunk]).chunks == (Verdict.FENCED,)
    assert [item.task for item in two.now("claim_work", two.token, ("hello",), 5)] == [2]


def test_only_what_can_move_a_suspended_or_failed_instance_makes_it_ready() -> None:
    for status, wake in (
        (RuntimeStatus.SUSPENDED, ExecutionResumed("go")),
        (RuntimeStatus.FAILED, ExecutionRewound("again")),
    ):
        world = World()
        one, two = world.host(), world.host()
        one.commit(creations=[new(1, "a", one.token)])
        one.commit(turns=[turn(1, 0, status)], releases=[Release(1)])
        assert one.commit(messages=[raised(1)]).messages[0].seq > 0
        assert two.now("claim_ready", two.token, 9) == []
        one.commit(messages=[Message(1, wake)])
        assert [len(loaded.inbox) for loaded in two.now("claim_ready", two.token, 9)] == [2]


def test_finished_and_gone_addressees_drop_messages() -> None:
    host = World().host()
    host.commit(creations=[new(1, "a", host.token)])
    host.commit(turns=[turn(1, 0, RuntimeStatus.COMPLETED)])
    answer = host.commit(messages=[raised(1), raised(9)])
    assert [verdict.seq for verdict in answer.messages] == [0, 0]


def test_a_message_may_create_its_addressee_once() -> None:
    world = World()
    host = world.host()
    entity = NewInstance(5, "@c@k", InstanceKind.ENTITY, "c", START, status=RuntimeStatus.RUNNING)
    signal = Message(0, EventRaised("add"), instance_id="@c@k", create=entity)
    answer = host.commit(messages=[signal, signal])
    assert [verdict.n for verdict in answer.messages] == [5, 5]
    assert [record.n for record in host.now("find", ["@c@k"])] == [5]


def test_closing_a_token_frees_what_it_had() -> None:
    world = World()
    one, two = world.host(), world.host()
    one.commit(creations=[new(1, "a", one.token)])
    one.commit(turns=[turn(1, 0, work=(WorkItem(1, 0, 0, "Hello", None, owner=one.token),))])
    assert one.now("close", one.token) is None
    assert [row.token for row in two.now("hosts")] == [two.token]
    assert len(two.now("claim", two.token, [1])) == 1
    assert len(two.now("claim_work", two.token, ("hello",), 5)) == 1


def test_settings_are_set_only_over_what_was_expected() -> None:
    host = World().host()
    assert host.now("put_setting", "timer", "t", "1", None) is True
    assert host.now("put_setting", "timer", "t", "2", None) is False
    assert host.now("put_setting", "timer", "t", "2", "1") is True
    assert host.now("get_setting", "timer", "t") == "2"
    assert host.now("put_setting", "timer", "t", None, "2") is True
    assert host.now("get_setting", "timer", "t") is None


def test_pages_go_on_where_the_last_one_ended() -> None:
    host = World().host()
    host.commit(creations=[new(n, f"id{n}") for n in range(1, 6)])
    page = host.now("query", InstanceFilter(), 2, None)
    ids = [record.instance_id for record in page.items]
    while page.continuation:
        page = host.now("query", InstanceFilter(), 2, page.continuation)
        ids += [record.instance_id for record in page.items]
    assert ids == [f"id{n}" for n in range(1, 6)]
    wrong = host.now("query", InstanceFilter(), 2, "nonsense")
    assert "unknown continuation 'nonsense'" in str(wrong)
