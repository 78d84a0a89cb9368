"""Hosts, their tokens, and the numbers of their commits."""

from __future__ import annotations

from perdure.model.commit_plan import (
    CommitBatch,
    Message,
    TurnVerdict,
)
from perdure.storage.provider import StoreError
from perdure.testing.contract.site import (
    APPLIED,
    COMPLETED,
    EVENT,
    FENCED,
    REFUSED,
    RUNNING,
    ContractHost,
    Site,
    kill,
    result,
    timer,
    turn,
    work,
)


class HostContract:
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


class CommitContract:
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
