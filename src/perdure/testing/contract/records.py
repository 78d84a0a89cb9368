"""What is told of a hub: the audit, the backlog."""

from __future__ import annotations

from msgspec.structs import replace

from perdure.model.commit_plan import (
    Audit,
    Message,
    Purge,
)
from perdure.model.history import (
    ExecutionResumed,
)
from perdure.model.instance import InstanceFilter
from perdure.model.operations import ExistingPolicy
from perdure.storage.provider import Backlog
from perdure.testing.contract.site import (
    COMPLETED,
    EVENT,
    SUSPENDED,
    ContractHost,
    Site,
    kill,
    result,
    timer,
    turn,
    work,
)


class AuditContract:
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


class BacklogContract:
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
