"""Turns, and how instances come into being."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from perdure.model.codec import encode_history
from perdure.model.commit_plan import (
    CreationVerdict,
    Message,
    Purge,
    TurnVerdict,
    WorkChunk,
)
from perdure.model.history import (
    EntityUnlocked,
    EventRaised,
    OrchestratorStarted,
    SubOrchestrationInstanceFailed,
    TaskCompleted,
)
from perdure.model.instance import InstanceFilter, InstanceKind
from perdure.model.operations import ExistingPolicy
from perdure.testing.contract.site import (
    APPLIED,
    COMPLETED,
    EVENT,
    FAILED,
    FENCED,
    PENDING,
    REFUSED,
    RUNNING,
    TERMINATED,
    ContractHost,
    Site,
    result,
    timer,
    turn,
    work,
)


class TurnContract:
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


class CreationContract:
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
