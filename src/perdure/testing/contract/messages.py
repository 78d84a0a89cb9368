"""What travels: messages to instances, activities and their results."""

from __future__ import annotations

from msgspec.structs import replace

from perdure.model.commit_plan import (
    Attempt,
    Message,
    WorkReturn,
)
from perdure.model.history import (
    EntityOperationRequested,
    EventRaised,
    ExecutionRewound,
    TaskCompleted,
)
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.model.operations import OpenActivity
from perdure.testing.contract.site import (
    COMPLETED,
    EVENT,
    FAILED,
    RUNNING,
    TERMINATED,
    ContractHost,
    Site,
    kill,
    result,
    timer,
    turn,
    work,
)


class MessageContract:
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


class ActivityContract:
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
