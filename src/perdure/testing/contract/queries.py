"""What is read and deleted: listings, filters, settings."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import replace

from perdure.model.commit_plan import (
    CreationVerdict,
    Message,
    Purge,
    TurnVerdict,
)
from perdure.model.history import (
    SubOrchestrationInstanceFailed,
)
from perdure.model.instance import InstanceFilter, InstanceKind
from perdure.model.operations import ExistingPolicy
from perdure.storage.listing import PAGE_SIZE, size_of
from perdure.storage.provider import StoreError, UnknownContinuation
from perdure.testing.contract.site import (
    APPLIED,
    COMPLETED,
    EVENT,
    FENCED,
    PENDING,
    REFUSED,
    RUNNING,
    TERMINATED,
    AskedWith,
    ContractHost,
    Site,
    timer,
    turn,
    work,
)


class PurgeContract:
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


class QueryContract:
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
        asking: Any = AskedWith(host.provider, payloads=False)
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
            asking: Any = AskedWith(host.provider, payloads=False)
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
