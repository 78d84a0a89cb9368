"""Every statement inside the store's calls follows an index, and a commit has few of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from perdure.model.commit_plan import Attempt, CommitBatch, Message, NewInstance, Purge, WorkReturn
from perdure.model.history import EventRaised, TimerFired
from perdure.model.instance import InstanceFilter, InstanceKind, RuntimeStatus, instance_number
from perdure.storage.listing import start
from perdure.storage.postgres import batches, listing, migrations
from perdure.storage.provider import HostRegistration
from perdure.testing.contract.site import result, turn, work
from tests.contract.postgres_site import PostgresSite
from tests.postgres_server import PostgresServer

COUNT = 100


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.make()
    yield server
    server.remove()


@pytest.fixture
def site(server: PostgresServer) -> Iterator[PostgresSite]:
    site = PostgresSite(server.url, "plans")
    yield site
    site.close()


class Watched:
    """One connection on which every plan is told, with what was asked."""

    def __init__(self, site: PostgresSite, token: int) -> None:
        self.site, self.token, self.hub, self.number = site, token, 1, 0
        self.plans: list[str] = []

    async def open(self) -> None:
        self.connection = await asyncpg.connect(self.site.url)
        self.connection.add_log_listener(lambda _, message: self.plans.append(message.message))
        await self.connection.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; "
            "SET client_min_messages = log; SET auto_explain.log_verbose = on"
        )

    async def call(self, function: str, *arguments: Any) -> list[str]:
        """The plans of the statements inside the call."""
        self.plans.clear()
        places = ", ".join(f"${place}" for place in range(1, len(arguments) + 1))
        await self.connection.fetch(
            f'SELECT * FROM "{self.site.schema}".{function}{migrations.tag()}({places})', *arguments
        )
        for _ in range(3):
            # log messages come with callbacks of the loop
            await asyncio.sleep(0)
        inner = [plan for plan in self.plans if f"{function}{migrations.tag()}" not in plan.split("plan:")[0][:200]]
        # the driver asks once for each connection what arrays are
        return [plan for plan in inner if "Query Text" in plan and "typeinfo_tree" not in plan]

    async def commit(self, **lists: Any) -> list[str]:
        self.number += 1
        batch = CommitBatch(self.token, self.number, **{name: tuple(items) for name, items in lists.items()})
        return await self.call("commit", *batches.arguments(batch, self.hub))


def numbers(token: int) -> list[int]:
    return [instance_number(token, count) for count in range(COUNT)]


def created(token: int) -> list[NewInstance]:
    return [
        NewInstance(n=n, instance_id=f"i{n}", kind=InstanceKind.ORCHESTRATION, name="Chain", created=n, owner=token)
        for n in numbers(token)
    ]


def test_a_commit_of_a_hundred_steps_has_at_most_eight_statements(site: PostgresSite) -> None:
    provider = site.open()
    token = site.ask(provider, "register", HostRegistration("a", "h", {})).token

    async def run() -> None:
        watched = Watched(site, token)
        await watched.open()
        await watched.commit(creations=created(token))
        every = numbers(token)
        counts = {}
        for base in range(3):
            plans = await watched.commit(
                turns=[
                    turn(
                        n,
                        base,
                        history=b'[{"EventType":"x"}]',
                        done=(base - 1,) if base else (),
                        work=(work(n, base, token),),
                        messages=(Message(n, TimerFired(1, 5), 0, 9, 5),),
                    )
                    for n in every
                ],
                attempts=[Attempt(n, 0, base, 1, 1, 2, 3, token, "w") for n in every],
            )
            counts[base] = len(plans)
        # the host row, the clock, the lock, the turns' rows, activities, messages, attempts, the answer
        assert set(counts.values()) == {8}, (counts, [plan[:150] for plan in plans])
        await watched.connection.close()

    asyncio.run(run())


def test_no_statement_walks_a_table(site: PostgresSite) -> None:
    provider = site.open()
    token = site.ask(provider, "register", HostRegistration("a", "h", {})).token

    async def run() -> dict[str, list[str]]:
        watched = Watched(site, token)
        await watched.open()
        hub, every = watched.hub, numbers(token)
        seen: dict[str, list[str]] = {}
        seen["create"] = await watched.commit(creations=created(token))
        seen["turn"] = await watched.commit(
            turns=[
                turn(n, 0, history=b"[]", work=(work(n, 0, token), work(n, 1)), consumed=(1,), close_timers=(2,),
                     close_inbox=True, close_all_timers=True, drop_history_below=1,
                     messages=(Message(n, EventRaised("e")), Message(0, EventRaised("e"), instance_id=f"i{n}")))
                for n in every
            ],
            results=[result(n, 0, token) for n in every],
        )  # fmt: skip
        seen["end"] = await watched.commit(
            turns=[turn(n, 1, RuntimeStatus.FAILED, completed=5, close_work=True) for n in every[:50]],
            returns=[WorkReturn(n, 0, 0) for n in every],
            purges=[Purge(n) for n in every[90:]],
        )
        seen["replace"] = await watched.commit(
            creations=[
                NewInstance(n=n + 1000, instance_id=f"i{n}", kind=InstanceKind.ORCHESTRATION, name="a", created=1)
                for n in every[:50]
            ]
        )
        seen["claim"] = await watched.call("claim", token, hub, every)
        seen["claim_ready"] = await watched.call("claim_ready", token, hub, 100, ["entity:a"])
        seen["load"] = await watched.call("load", token, hub, every, 257)
        seen["read_inbox"] = await watched.call("read_inbox", every[0], 0, 100)
        seen["read_history"] = await watched.call("read_history", every[0], 0)
        seen["waiting"] = await watched.call("waiting", token, hub, 4096)
        seen["due_timers"] = await watched.call("due_timers", token, hub, 10**15, 100)
        seen["claim_work"] = await watched.call("claim_work", token, hub, 1, ["hello"], 10)
        seen["open_activities"] = await watched.call("open_activities", every[0], 0, [0, 1])
        seen["find"] = await watched.call("find", hub, [f"i{every[60]}"])
        filters = {
            "by created": InstanceFilter(),
            "by id": InstanceFilter(id_prefix="i"),
            "by status": InstanceFilter(statuses=(0, 1)),
        }
        for name, filter in filters.items():
            step = listing.arguments(hub, filter, start(filter, False), 10)
            seen[name] = await watched.call("page", *step, 10, True, 1 << 23)
            seen[f"count {name}"] = await watched.call("count", *step, True)
            seen[f"count {name} without names"] = await watched.call("count", *step, False)
        seen["few"] = await watched.call("few_of_status", hub, [0], 10)
        seen["backlog"] = await watched.call("backlog", hub, 100)
        seen["wake"] = await watched.call("wake", token, hub, [0], every, "channel")
        await watched.connection.close()
        return seen

    seen = asyncio.run(run())
    for name, plans in seen.items():
        assert plans, name
        for plan in plans:
            walked = set(re.findall(r"Seq Scan on \w+\.(\w+)", plan))
            # hosts are few
            assert walked <= {"host"}, f"{name}: {plan}"
            for node in re.split(r"->|\n(?=\s*(?:CTE|InitPlan|SubPlan) )", plan):
                if re.match(r"\s*(?:Index |Bitmap Index )", node):
                    assert "Index Cond" in node, f"{name} reads a whole index: {plan}"


def test_a_walk_follows_its_index_in_order(site: PostgresSite) -> None:
    provider = site.open()
    token = site.ask(provider, "register", HostRegistration("a", "h", {})).token
    indexes = {
        "instance_created": (InstanceFilter(), r"i.hub = .*ROW\(i.created, i.n\) > .*ROW\(i.created, i.n\) <= "),
        "instance_id": (InstanceFilter(id_prefix="i"), r"i.hub = .*i.id >= .*i.id <= "),
        "instance_status": (InstanceFilter(statuses=(0, 6)), r"i.hub = .*i.status = .*i.n > .*i.n <= "),
    }

    async def run() -> None:
        watched = Watched(site, token)
        await watched.open()
        await watched.commit(creations=created(token))
        for index, (filter, condition) in indexes.items():
            step = listing.arguments(watched.hub, filter, start(filter, False), 10)
            asked = {
                "page": (await watched.call("page", *step, 10, True, 1 << 23), "Index Scan"),
                "count": (await watched.call("count", *step, True), "Index Scan"),
                "count without names": (
                    await watched.call("count", *step, False),
                    "Index Only Scan" if index == "instance_status" else "Index Scan",
                ),
            }
            for name, (plans, scan) in asked.items():
                bound, walk = (plan for plan in plans if f"using {index} on" in plan)
                assert f"Index Only Scan using {index} on" in bound, bound
                assert re.search(rf"{scan} using {index} on .*\n.*\n *Index Cond: \(\({condition}", walk), (name, walk)
                order = re.split(rf"{scan} using {index}", walk)[0].rsplit("Limit" if name == "page" else "Subquery")[
                    -1
                ]
                assert "Sort" not in order, f"{name}: what the index gives in order is sorted: {walk}"
        await watched.connection.close()

    asyncio.run(run())
