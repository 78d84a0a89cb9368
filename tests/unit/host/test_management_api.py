"""The webhook API over a real server and a hub that answers what a test says: codes, bodies, headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from perdure.host.functions.routing import RouteTable
from perdure.host.http.exchange import ClientGone, Request
from perdure.host.http.management_api import ManagementApi
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus
from perdure.model.operations import (
    Done,
    EntityFound,
    Found,
    GetInstance,
    Listed,
    ListInstances,
    Purged,
    PurgeInstance,
    PurgeInstances,
    RaiseEvent,
    ReadEntity,
    RefusalCode,
    Refused,
    RestartInstance,
    ResumeInstance,
    RewindInstance,
    SignalEntityOperation,
    Started,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)
from tests.unit.host.front_fakes import FakeHub, Running, configured, running

HOOK = "/runtime/webhooks/durabletask"
CREATED = 1_519_795_129_654_321
JSON = {"Content-Type": "application/json"}


def record(status: RuntimeStatus = RuntimeStatus.RUNNING, **fields: Any) -> InstanceRecord:
    values: dict[str, Any] = {
        "n": 1,
        "instance_id": "abc",
        "kind": InstanceKind.ORCHESTRATION,
        "name": "Hello",
        "version": "",
        "generation": 0,
        "turn": 3,
        "status": status,
        "owner": 1,
        "created": CREATED,
        "updated": CREATED + 5_000_000,
        "input": '{"a": 1}',
        "custom_status": '"half"',
        **fields,
    }
    return InstanceRecord(**values)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[FakeHub, httpx.Client]]:
    def prepare(server: Running) -> None:
        async def no_admin(request: Any) -> Any:
            raise AssertionError("not used here")

        server.front.attach(no_admin, ManagementApi(server.hub, task_hub="MyHub", code="key="))
        server.front.serve(RouteTable())

    with running(configured(tmp_path), prepare) as (server, client):
        yield server.hub, client


def test_start(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[StartInstance] = lambda operation: Started(operation.instance_id or "generated")
    answer = client.post(f"{HOOK}/orchestrators/Hello/a%20b", content=b' {"when": "2024-01-01T00:00:00Z"} ')
    assert answer.status_code == 202
    assert hub.operations == [StartInstance("Hello", "a b", '{"when":"2024-01-01T00:00:00Z"}')]
    links = answer.json()
    base = f"http://{answer.request.url.netloc.decode()}{HOOK}"
    query = "taskHub=MyHub&connection=AzureWebJobsStorage&code=key%3D"
    assert list(links) == [
        "id",
        "statusQueryGetUri",
        "sendEventPostUri",
        "terminatePostUri",
        "purgeHistoryDeleteUri",
        "restartPostUri",
        "suspendPostUri",
        "resumePostUri",
    ]
    assert links["id"] == "a b"
    assert links["statusQueryGetUri"] == f"{base}/instances/a%20b?{query}"
    assert links["sendEventPostUri"] == f"{base}/instances/a%20b/raiseEvent/{{eventName}}?{query}"
    assert links["terminatePostUri"] == f"{base}/instances/a%20b/terminate?reason={{text}}&{query}"
    assert links["restartPostUri"] == f"{base}/instances/a%20b/restart?{query}"
    assert answer.headers["location"] == links["statusQueryGetUri"]
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_start_without_body_and_id(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[StartInstance] = Started("generated")
    assert client.post(f"{HOOK}/ORCHESTRATORS/Hello").json()["id"] == "generated"
    assert client.post(f"{HOOK}/orchestrators/Hello?version=2.1").status_code == 202
    assert hub.operations == [StartInstance("Hello"), StartInstance("Hello", version="2.1")]


@pytest.mark.parametrize("body", [b"{", b"[1,]", b"nul", b'"\xff"', b"{} {}", b"NaN", b"[" * 100_000])
def test_start_with_a_body_that_is_not_json(api: tuple[FakeHub, httpx.Client], body: bytes) -> None:
    answer = api[1].post(f"{HOOK}/orchestrators/Hello", content=body)
    assert answer.status_code == 400
    assert answer.json()["Message"] == "Invalid JSON content"
    assert list(answer.json()) == ["Message", "ExceptionMessage", "ExceptionType", "StackTrace"]
    assert api[0].operations == []


@pytest.mark.parametrize(
    ("code", "status", "message"),
    [
        (RefusalCode.UNKNOWN_FUNCTION, 400, "One or more of the arguments submitted is incorrect"),
        (RefusalCode.EXISTS, 500, "Something went wrong while processing your request"),
    ],
)
def test_start_refused(api: tuple[FakeHub, httpx.Client], code: RefusalCode, status: int, message: str) -> None:
    hub, client = api
    hub.answers[StartInstance] = Refused(code, "the reason")
    answer = client.post(f"{HOOK}/orchestrators/Hello")
    assert answer.status_code == status
    assert answer.json()["Message"] == message
    assert answer.json()["ExceptionMessage"] == "the reason"
    assert answer.json()["StackTrace"] == ""


def test_start_and_wait(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[StartInstance] = Started("abc")
    states = iter([record(), record(), record(RuntimeStatus.COMPLETED, output="[1, 2]")])
    hub.answers[GetInstance] = lambda operation: Found(next(states))
    answer = client.post(f"{HOOK}/orchestrators/Hello?timeout=5&pollingInterval=0.01")
    assert (answer.status_code, answer.json()) == (200, [1, 2])
    hub.answers[GetInstance] = Found(record(RuntimeStatus.FAILED, output='"why"'))
    answer = client.post(f"{HOOK}/orchestrators/Hello?timeout=5")
    assert (answer.status_code, answer.json()["runtimeStatus"]) == (200, "Failed")
    hub.answers[GetInstance] = Found(record())
    answer = client.post(f"{HOOK}/orchestrators/Hello?timeout=0.03&pollingInterval=0.01")
    assert (answer.status_code, answer.json()["id"]) == (202, "abc")


def waiting_request(*messages: dict[str, Any]) -> Request:
    """A status request that would wait for minutes; its connection says `messages` and then nothing."""
    said = iter(messages)

    async def receive() -> Any:
        found = next(said, None)
        if found is None:
            await asyncio.Event().wait()
        return found

    path = f"{HOOK}/instances/abc".encode()
    scope = {
        "type": "http", "method": "GET", "path": path.decode(), "raw_path": path, "query_string": b"wait=200",
        "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    return Request(scope, receive, 100)


def test_nobody_looks_on_for_a_client_that_has_gone() -> None:
    hub = FakeHub()
    hub.answers[GetInstance] = Found(record())
    request = waiting_request({"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"})
    with pytest.raises(ClientGone):
        asyncio.run(ManagementApi(hub, task_hub="MyHub", code="key=")(request))
    assert len(hub.operations) == 1


def test_waits_are_answered_when_the_host_stops() -> None:
    hub = FakeHub()

    def running(_: Any) -> Found:
        api.end_waits()
        return Found(record())

    hub.answers[GetInstance] = running
    api = ManagementApi(hub, task_hub="MyHub", code="key=")
    answer = asyncio.run(api(waiting_request()))
    assert (answer.status, json.loads(answer.body)["runtimeStatus"]) == (202, "Running")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("timeout=1&pollingInterval=2", "Total timeout 1 should be bigger than retry timeout 2"),
        ("timeout=x", "The value 'x' of parameter 'timeout' is not a number of seconds."),
        ("timeout=nan", "The value 'nan' of parameter 'timeout' is not a number of seconds."),
    ],
)
def test_wait_arguments(api: tuple[FakeHub, httpx.Client], query: str, text: str) -> None:
    answer = api[1].post(f"{HOOK}/orchestrators/Hello?{query}")
    assert (answer.status_code, answer.json()["ExceptionMessage"]) == (400, text)


@pytest.mark.parametrize("status", [RuntimeStatus.RUNNING, RuntimeStatus.PENDING, RuntimeStatus.SUSPENDED])
def test_status_of_an_unfinished_instance(api: tuple[FakeHub, httpx.Client], status: RuntimeStatus) -> None:
    hub, client = api
    hub.answers[GetInstance] = Found(record(status))
    answer = client.get(f"{HOOK}/instances/abc?taskHub=other&x=1")
    assert answer.status_code == 202
    assert answer.headers["location"] == str(answer.request.url)
    assert answer.headers["retry-after"] == "5"
    assert answer.json() == {
        "name": "Hello",
        "instanceId": "abc",
        "runtimeStatus": status.label,
        "input": {"a": 1},
        "customStatus": "half",
        "output": None,
        "createdTime": "2018-02-28T05:18:49Z",
        "lastUpdatedTime": "2018-02-28T05:18:54Z",
    }
    assert hub.hubs == ["other"]


def test_status_of_a_finished_instance(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[GetInstance] = Found(record(RuntimeStatus.FAILED, output='"why"'))
    answer = client.get(f"{HOOK}/instances/abc?SHOWINPUT=False")
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert (answer.json()["input"], answer.json()["output"]) == (None, "why")
    assert client.get(f"{HOOK}/instances/abc?returnInternalServerErrorOnFailure=true").status_code == 500


def test_status_of_nobody(api: tuple[FakeHub, httpx.Client]) -> None:
    answer = api[1].get(f"{HOOK}/instances/nobody")
    assert (answer.status_code, answer.content) == (404, b"")
    assert "content-type" not in answer.headers


def test_list(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[ListInstances] = Listed([record(), record(RuntimeStatus.COMPLETED)], "next")
    answer = client.get(
        f"{HOOK}/instances/?createdTimeFrom=2018-02-28T05:18:49Z&createdTimeTo=nonsense&runtimeStatus=Running,bogus"
        "&runtimeStatus=1&runtimeStatus=failed&instanceIdPrefix=a&top=7&showInput=false",
        headers={"x-ms-continuation-token": "here"},
    )
    assert answer.status_code == 200
    assert answer.headers["x-ms-continuation-token"] == "next"
    assert [item["input"] for item in answer.json()] == [None, None]
    (operation,) = hub.operations
    assert isinstance(operation, ListInstances)
    assert (operation.top, operation.continuation) == (7, "here")
    chosen = operation.filter
    assert (chosen.created_from, chosen.created_to) == (1_519_795_129_000_000, None)
    assert chosen.statuses == (RuntimeStatus.RUNNING, RuntimeStatus.COMPLETED)
    assert chosen.id_prefix == "a"


def test_last_page_has_an_empty_token(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[ListInstances] = Listed([])
    answer = client.get(f"{HOOK}/instances")
    assert (answer.json(), answer.headers["x-ms-continuation-token"]) == ([], "")


@pytest.mark.parametrize("top", ["0", "-1", "x", "1.5"])
def test_list_with_a_wrong_top(api: tuple[FakeHub, httpx.Client], top: str) -> None:
    answer = api[1].get(f"{HOOK}/instances?top={top}")
    assert answer.status_code == 400
    assert "parameter 'top'" in answer.json()["ExceptionMessage"]


def test_purge(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[PurgeInstance] = Purged(1)
    answer = client.delete(f"{HOOK}/instances/abc")
    assert (answer.status_code, answer.json()) == (200, {"instancesDeleted": 1})
    assert client.delete(f"{HOOK}/instances").json() == "Please provide value for 'createdTimeFrom' parameter."
    hub.answers[PurgeInstances] = Purged(12)
    answer = client.delete(f"{HOOK}/instances?createdTimeFrom=2018-01-01&runtimeStatus=completed,Running")
    assert answer.json() == {"instancesDeleted": 12}
    operation = hub.operations[-1]
    assert isinstance(operation, PurgeInstances)
    # the hub leaves what has not finished
    assert operation.filter.statuses == (RuntimeStatus.COMPLETED, RuntimeStatus.RUNNING)
    assert not operation.include_running
    hub.answers[PurgeInstances] = Purged(0)
    answer = client.delete(f"{HOOK}/instances?createdTimeFrom=2018-01-01")
    assert (answer.status_code, answer.content) == (404, b"")
    operation = hub.operations[-1]
    assert isinstance(operation, PurgeInstances)
    assert operation.filter.statuses == ()
    for wrong in ("runtimeStatus=bogus", "createdTimeTo=bogus"):
        answer = client.delete(f"{HOOK}/instances?createdTimeFrom=2018-01-01&{wrong}")
        assert answer.status_code == 400
        text = answer.json()["ExceptionMessage"]
        assert text.startswith(f"The value 'bogus' of parameter '{wrong.split('=')[0]}' is no")


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("terminate", TerminateInstance("abc", "so what", by="127.0.0.1")),
        ("Suspend", SuspendInstance("abc", "so what", by="127.0.0.1")),
        ("resume", ResumeInstance("abc", "so what", by="127.0.0.1")),
        ("rewind", RewindInstance("abc", "so what", by="127.0.0.1")),
    ],
)
def test_control_operations(api: tuple[FakeHub, httpx.Client], name: str, operation: Any) -> None:
    hub, client = api
    hub.answers[type(operation)] = Done()
    answer = client.post(f"{HOOK}/instances/abc/{name}?reason=so%20what")
    assert (answer.status_code, answer.content) == (202, b"")
    assert hub.operations == [operation]
    for code, status in ((RefusalCode.NOT_FOUND, 404), (RefusalCode.GONE, 410)):
        hub.answers[type(operation)] = Refused(code, "text")
        answer = client.post(f"{HOOK}/instances/abc/{name}")
        assert (answer.status_code, answer.content) == (status, b"")
    hub.answers[type(operation)] = Refused(RefusalCode.WRONG_STATE, "Cannot.")
    answer = client.post(f"{HOOK}/instances/abc/{name}")
    assert (answer.status_code, answer.json()["ExceptionMessage"]) == (500, "Cannot.")


def test_raise_event(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[RaiseEvent] = Done()
    url = f"{HOOK}/instances/abc/raiseEvent/My%20Event"
    assert (
        client.post(url, content=b'{"a": [1]}', headers={"Content-Type": "Application/JSON; charset=utf-8"}).status_code
        == 202
    )
    assert client.post(url, headers=JSON).status_code == 202
    assert hub.operations == [RaiseEvent("abc", "My Event", '{"a":[1]}'), RaiseEvent("abc", "My Event", "null")]


@pytest.mark.parametrize(
    ("content", "headers", "message"),
    [
        (b"{}", {"Content-Type": "text/plain"}, "Only application/json request content is supported"),
        (b"{", JSON, "Invalid JSON content"),
    ],
)
def test_raise_event_checks_the_instance_before_the_body(
    api: tuple[FakeHub, httpx.Client], content: bytes, headers: dict[str, str], message: str
) -> None:
    hub, client = api
    url = f"{HOOK}/instances/abc/raiseEvent/E"
    assert client.post(url, content=content, headers=headers).status_code == 404
    hub.answers[GetInstance] = Found(record(RuntimeStatus.COMPLETED))
    assert client.post(url, content=content, headers=headers).status_code == 410
    hub.answers[GetInstance] = Found(record())
    answer = client.post(url, content=content, headers=headers)
    assert (answer.status_code, answer.json()["Message"]) == (400, message)


def test_restart(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[RestartInstance] = Started("new")
    answer = client.post(f"{HOOK}/instances/abc/restart")
    assert (answer.status_code, answer.json()["id"]) == (202, "new")
    assert client.post(f"{HOOK}/instances/abc/restart?restartWithNewInstanceId=FALSE").status_code == 202
    assert hub.operations == [RestartInstance("abc", new, by="127.0.0.1") for new in (True, False)]
    hub.answers[RestartInstance] = Refused(RefusalCode.NOT_FOUND, "nobody")
    answer = client.post(f"{HOOK}/instances/abc/restart")
    assert answer.status_code == 400
    assert answer.json()["Message"] == "InstanceId does not match a valid orchestration instance."
    assert answer.json()["ExceptionMessage"].startswith("An orchestrastion with the instanceId abc")
    answer = client.post(f"{HOOK}/instances/abc/restart", content=b"{")
    assert (answer.status_code, answer.json()["Message"]) == (400, "Invalid JSON content")


def test_entities(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    hub.answers[SignalEntityOperation] = Done()
    assert client.post(f"{HOOK}/entities/Counter/Cats?op=add", content=b" 5 ", headers=JSON).status_code == 202
    assert client.post(f"{HOOK}/entities/Counter?op=add", content=b"text").status_code == 202
    assert client.delete(f"{HOOK}/entities/Counter/Cats").status_code == 202
    assert hub.operations == [
        SignalEntityOperation("@counter@Cats", "add", "5"),
        SignalEntityOperation("@counter@", "add", '"text"'),
        SignalEntityOperation("@counter@Cats", "delete", None, by="127.0.0.1"),
    ]
    answer = client.post(f"{HOOK}/entities/Counter/Cats", content=b"{", headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["Message"].startswith("Could not parse JSON content: ")
    hub.answers[ReadEntity] = EntityFound(True, '{"n":1}')
    assert client.get(f"{HOOK}/entities/Counter/$").json() == {"n": 1}
    assert hub.operations[-1] == ReadEntity("@counter@")
    hub.answers[ReadEntity] = EntityFound(False)
    assert client.get(f"{HOOK}/entities/Counter/x").status_code == 404


@pytest.mark.parametrize("path", ["entities", "entities//x", "entities/a@b/x"])
def test_signals_to_no_entity(api: tuple[FakeHub, httpx.Client], path: str) -> None:
    answer = api[1].post(f"{HOOK}/{path}")
    assert (answer.status_code, list(answer.json())) == (400, ["Message"])
    assert api[0].operations == []


def test_entity_list(api: tuple[FakeHub, httpx.Client]) -> None:
    hub, client = api
    entity = record(instance_id="@counter@a@b", kind=InstanceKind.ENTITY, state="7", updated=CREATED)
    hub.answers[ListInstances] = Listed([entity])
    answer = client.get(f"{HOOK}/entities/COUNTER?fetchState=true")
    assert answer.json() == [
        {
            "entityId": {"name": "counter", "key": "a@b"},
            "lastOperationTime": "2018-02-28T05:18:49.6543210Z",
            "state": 7,
        }
    ]
    assert client.get(f"{HOOK}/entities/").json()[0]["state"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/instances/abc"),
        ("PATCH", "/instances/abc"),
        ("POST", "/instances/abc/foo"),
        ("GET", "/orchestrators/Hello"),
        ("GET", "/nothing"),
        ("GET", ""),
        ("POST", "/instances/abc/raiseEvent"),
    ],
)
def test_everything_else_is_a_404(api: tuple[FakeHub, httpx.Client], method: str, path: str) -> None:
    answer = api[1].request(method, HOOK + path)
    assert (answer.status_code, answer.content) == (404, b"")


def test_other_extensions_are_a_404(api: tuple[FakeHub, httpx.Client]) -> None:
    assert api[1].get("/runtime/webhooks/other/instances").status_code == 404
    assert api[1].get(f"{HOOK}x/instances/abc").status_code == 404


def test_make_primary(api: tuple[FakeHub, httpx.Client]) -> None:
    answer = api[1].post(f"{HOOK}/makeprimary")
    assert answer.status_code == 500
    assert json.loads(answer.content)["ExceptionMessage"].startswith("Cannot make current app primary.")
