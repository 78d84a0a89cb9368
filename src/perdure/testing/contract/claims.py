"""Who may work on what, and when."""

from __future__ import annotations

from typing import Any

from perdure.model.commit_plan import (
    Message,
    Parking,
    Release,
    TurnVerdict,
)
from perdure.model.history import (
    ExecutionResumed,
    ExecutionRewound,
    ExecutionTerminated,
    HistoryEvent,
)
from perdure.model.instance import InstanceKind
from perdure.testing.contract.site import (
    APPLIED,
    EVENT,
    FAILED,
    FENCED,
    RUNNING,
    SUSPENDED,
    AskedWith,
    ContractHost,
    Site,
    kill,
    timer,
    turn,
)


class ClaimContract:
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
        asking: Any = AskedWith(host.provider, passing_over=kept)
        claimed = site.ask(asking, "claim_ready", host.token, 10)
        assert sorted(loaded.record.n for loaded in claimed) == sorted([own, sleeper])
        host.release(own, sleeper)
        asking = AskedWith(host.provider, passing_over=("orchestration:chain",))
        claimed = site.ask(asking, "claim_ready", host.token, 10)
        assert sorted(loaded.record.n for loaded in claimed) == sorted([other, entity])


class TimerContract:
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
