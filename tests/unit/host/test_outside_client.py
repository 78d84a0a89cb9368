"""`perdure.client` on a store without a host: what it writes, what it answers, who owns what."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

import perdure
from perdure.host.client_hubs import hub_names
from perdure.host.settings.store_url import StoreUrl
from perdure.model.operations import ExistingPolicy


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/hub.db"


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        return connection.execute(query).fetchall()


def test_starts_are_left_to_the_hosts(url: str) -> None:
    with perdure.client(url, sync=True) as client:
        started = client.start_new("anything", "one", {"a": 1})
        status = client.get_status(started)
        assert (status.name, status.instance_id, status.input_) == ("anything", "one", '{"a": 1}')
    assert rows(url, "SELECT owner FROM instance") == [(0,)]
    assert rows(url, "SELECT dead FROM host") == [(1,)], "the token is closed"


def test_fifty_simultaneous_starts_of_one_id_give_one(url: str) -> None:
    async def race() -> list[object]:
        async with perdure.client(url) as client:
            starts = [client.start_new("singleton", "the-one") for _ in range(50)]
            return await asyncio.gather(*starts, return_exceptions=True)

    answers = asyncio.run(race())
    assert answers.count("the-one") == 1
    assert all("already exists" in str(answer) for answer in answers if answer != "the-one")
    assert rows(url, "SELECT count(*) FROM instance") == [(1,)]


def test_policies_of_a_start(url: str) -> None:
    with perdure.client(url, sync=True) as client:

        def start(policy: ExistingPolicy | None) -> str:
            return client.schedule_new_orchestration("x", instance_id="one", reuse_id_policy=policy)

        start(None)
        first = rows(url, "SELECT n FROM instance")
        assert start(ExistingPolicy.RETURN_EXISTING) == "one"
        assert rows(url, "SELECT n FROM instance") == first
        for policy in (None, ExistingPolicy.FAIL_IF_EXISTS, ExistingPolicy.FAIL_IF_RUNNING):
            with pytest.raises(ValueError, match="with the status Pending already exists"):
                start(policy)
        assert start(ExistingPolicy.REPLACE_ANY) == "one"
        assert rows(url, "SELECT n FROM instance") != first


def test_messages_wait_for_a_host(url: str) -> None:
    with perdure.client(url, sync=True) as client:
        client.start_new("x", "one")
        client.raise_event("one", "go", 5)
        client.signal_entity(perdure.EntityId("counter", "a"), "add", 1)
        with pytest.raises(Exception, match="No instance with ID nobody found"):
            client.raise_event("nobody", "go", 5)
    assert rows(url, "SELECT count(*) FROM inbox") == [(2,)]


def test_hubs_by_name(url: str, tmp_path: Path) -> None:
    store = StoreUrl("sqlite", str(tmp_path / "hub.db"))
    assert hub_names(store) == []
    with perdure.client(url, task_hub="First", sync=True) as first:
        first.start_new("x", "one")
    assert hub_names(store) == ["First"]
    with perdure.client(url, sync=True) as again:
        assert again.get_status("one"), "the only hub of a store needs no name"
    with perdure.client(url, task_hub="Second", sync=True) as second:
        assert not second.get_status("one")
        assert hub_names(store) == ["First"], "reading makes no hub"
        second.start_new("x", "two")
    with pytest.raises(ValueError, match="holds the task hubs First, Second: give task_hub"):
        perdure.client(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("mysql://x", "names no store. Expected sqlite:///"),
        ("memory:", "memory: is the state of one host alone"),
        ("http://", "names no host"),
    ],
)
def test_urls_that_name_nothing(url: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        perdure.client(url)


def test_what_is_no_text_is_no_url() -> None:
    with pytest.raises(TypeError, match=r"None is no URL\. Expected a text such as 'sqlite:///"):
        perdure.client(None)  # type: ignore[call-overload]


def test_a_host_that_is_down_is_named() -> None:
    with perdure.client("http://127.0.0.1:9", sync=True) as client, pytest.raises(Exception, match="No host answers"):
        client.start_new("x")


def test_a_closed_client_says_so(url: str) -> None:
    client = perdure.client(url, sync=True)
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        client.get_status("one")


def test_pages_of_ids(url: str) -> None:
    with perdure.client(url, sync=True) as client:
        for number in range(3):
            client.start_new("x", f"i{number}")
        assert client.list_instance_ids(page_size=2).items == ["i0", "i1"]
        assert client.list_instance_ids(page_size=5000).items == ["i0", "i1", "i2"]
        with pytest.raises(ValueError, match=r"page_size is 0\. Expected at least 1\."):
            client.list_instance_ids(page_size=0)
        query = perdure.sdk.client_types.OrchestrationQuery
        assert client.get_all_orchestration_states(query(max_instance_count=0)) == []
        assert len(client.get_all_orchestration_states(query(max_instance_count=2))) == 2


def test_links_of_a_client_that_knows_neither_hub_nor_key() -> None:
    with perdure.client("http://localhost:7071", sync=True) as client:
        links = client.create_http_management_payload("one")
        assert links["purgeHistoryDeleteUri"].endswith("/instances/one?connection=AzureWebJobsStorage")
