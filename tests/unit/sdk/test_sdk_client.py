"""The durable clients: operations, published errors, patched requests, links (sdk-api.md section 5)."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import azure.functions as func
import pytest

from perdure.model import operations as ops
from perdure.model.history import ExecutionStarted, HistoryEvent, OrchestratorStarted
from perdure.model.instance import InstanceFilter, InstanceKind, InstanceRecord, RuntimeStatus
from perdure.sdk.blocking_client import SyncDurableFunctionsClient
from perdure.sdk.client_transport import set_transport
from perdure.sdk.client_types import OrchestrationQuery, OrchestrationStatus
from perdure.sdk.options import SdkOptions
from perdure.sdk.orchestration_client import DurableOrchestrationClient
from perdure.sdk.statuses import DurableOrchestrationStatus
from perdure.sdk.types import EntityId, EntityInstanceId, OrchestrationRuntimeStatus
from tests.unit.sdk.client_binding import BINDING, QUERY, RPC

UTC = timezone.utc


class Hub:
    """Answers operations from a list and remembers them."""

    def __init__(self) -> None:
        self.answers: list[ops.OperationAnswer] = []
        self.asked: list[tuple[ops.Operation, str]] = []

    async def call(self, operation: ops.Operation, task_hub: str = "") -> ops.OperationAnswer:
        return self.call_sync(operation, task_hub)

    def call_sync(self, operation: ops.Operation, task_hub: str = "") -> ops.OperationAnswer:
        self.asked.append((operation, task_hub))
        return self.answers.pop(0)


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    set_transport(hub, SdkOptions())
    yield hub
    set_transport(None, SdkOptions())


@pytest.fixture
def client() -> DurableOrchestrationClient:
    return DurableOrchestrationClient(BINDING, "inv")


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def record(status: RuntimeStatus = RuntimeStatus.RUNNING, **fields: Any) -> InstanceRecord:
    values: dict[str, Any] = {
        "n": 1, "instance_id": "i", "kind": InstanceKind.ORCHESTRATION, "name": "Orch", "version": "",
        "generation": 0, "turn": 1, "status": status, "owner": 1, "created": 1_000_000, "updated": 2_000_000,
    }  # fmt: skip
    return InstanceRecord(**{**values, **fields})


REFUSED = ops.Refused
NOT_FOUND = REFUSED(ops.RefusalCode.NOT_FOUND, "no instance")
GONE = REFUSED(ops.RefusalCode.GONE, "has ended")
WRONG = REFUSED(ops.RefusalCode.WRONG_STATE, "Cannot suspend: it is suspended")
Call = Callable[[DurableOrchestrationClient], Any]


@pytest.mark.parametrize(
    ("call", "operation", "answer", "result"),
    [
        (lambda c: c.start_new("Orch"), ops.StartInstance("Orch"), ops.Started("x"), "x"),
        (
            lambda c: c.start_new("Orch", "id", {"a": 1}, "2"),
            ops.StartInstance("Orch", "id", '"{\\"a\\": 1}"', "2"),
            ops.Started("id"),
            "id",
        ),
        (lambda c: c.start_new("Orch", "", 0), ops.StartInstance("Orch", None, '"0"'), ops.Started("id"), "id"),
        (
            lambda c: c.raise_event("i", "E", {"a": 1}),
            ops.RaiseEvent("i", "E", '{"a": 1}', client=True),
            ops.Done(),
            None,
        ),
        (lambda c: c.raise_event("i", "E"), ops.RaiseEvent("i", "E", "null", client=True), ops.Done(), None),
        (lambda c: c.terminate("i", "why"), ops.TerminateInstance("i", "why"), ops.Done(), None),
        (lambda c: c.terminate("i", "why"), ops.TerminateInstance("i", "why"), GONE, None),
        (lambda c: c.suspend("i", "why"), ops.SuspendInstance("i", "why"), GONE, None),
        (lambda c: c.resume("i", "why"), ops.ResumeInstance("i", "why"), ops.Done(), None),
        (lambda c: c.rewind("i", "why"), ops.RewindInstance("i", "why"), ops.Done(), None),
        (lambda c: c.restart("i"), ops.RestartInstance("i", True), ops.Started("new"), "new"),
        (lambda c: c.restart("i", False), ops.RestartInstance("i", False), ops.Started("i"), "i"),
        (
            lambda c: c.signal_entity(EntityId("Counter", "K"), "add", 0),
            ops.SignalEntityOperation("@counter@K", "add", "0", client=True),
            ops.Done(),
            None,
        ),
        (
            lambda c: c.signal_entity(EntityInstanceId("c", "k"), "add", input=1, signal_time=datetime(1970, 1, 2)),
            ops.SignalEntityOperation("@c@k", "add", "1", 86_400_000_000, client=True),
            ops.Done(),
            None,
        ),
        (
            lambda c: c.schedule_new_orchestration("Orch", input=[1], start_at=datetime(1970, 1, 2, tzinfo=UTC)),
            ops.StartInstance("Orch", None, '"[1]"', start_at=86_400_000_000),
            ops.Started("x"),
            "x",
        ),
        (
            lambda c: c.terminate_orchestration("i", output={"a": 1}, recursive=False),
            ops.TerminateInstance("i", '{"a": 1}', False),
            GONE,
            None,
        ),
        (lambda c: c.get_orchestration_state("i"), ops.GetInstance("i"), NOT_FOUND, None),
        (lambda c: c.get_entity(EntityId("a", "b")), ops.GetInstance("@a@b"), NOT_FOUND, None),
    ],
)
def test_operations(hub: Hub, client: Any, call: Call, operation: Any, answer: Any, result: Any) -> None:
    hub.answers = [answer, answer]
    assert run(call(client)) == result
    blocking: Any = SyncDurableFunctionsClient(BINDING)
    assert call(blocking) == result
    assert hub.asked == [(operation, ""), (operation, "")]


@pytest.mark.parametrize(
    ("call", "answer", "text"),
    [
        (lambda c: c.raise_event("i", "E"), NOT_FOUND, "No instance with ID i found."),
        (lambda c: c.raise_event("i", "E"), GONE, "Instance with ID i is gone: either completed or failed"),
        (
            lambda c: c.raise_event("i", "E"),
            REFUSED(ops.RefusalCode.BAD_REQUEST, "x"),
            "Only application/json request content is supported",
        ),
        (
            lambda c: c.raise_event("i", "E"),
            REFUSED(ops.RefusalCode.UNAVAILABLE, "x"),
            "Webhook returned unrecognized status code 503",
        ),
        (lambda c: c.terminate("i", "r"), NOT_FOUND, "No instance with ID 'i' found."),
        (lambda c: c.suspend("i", "r"), NOT_FOUND, "No instance with ID 'i' found."),
        (
            lambda c: c.suspend("i", "r"),
            WRONG,
            "The operation failed with an unexpected status code 500: Cannot suspend: it is suspended",
        ),
        (lambda c: c.resume("i", "r"), NOT_FOUND, "No instance with ID 'i' found."),
        (lambda c: c.rewind("i", "r"), NOT_FOUND, "No instance with ID i found."),
        (
            lambda c: c.rewind("i", "r"),
            GONE,
            "The rewind operation is only supported on failed orchestration instances.",
        ),
        (lambda c: c.rewind("i", "r"), REFUSED(ops.RefusalCode.WRONG_STATE, "is running"), "is running"),
        (lambda c: c.restart("i"), NOT_FOUND, "No instance with ID 'i' found."),
        (
            lambda c: c.start_new("X"),
            REFUSED(ops.RefusalCode.UNKNOWN_FUNCTION, "The function 'X' doesn't exist"),
            "The function 'X' doesn't exist",
        ),
        (
            lambda c: c.get_status_all(),
            REFUSED(ops.RefusalCode.UNAVAILABLE, "stopping"),
            "The operation failed with an unexpected status code 503: stopping",
        ),
        (lambda c: c.get_orchestration_history("i"), NOT_FOUND, "no instance"),
    ],
)
def test_published_errors(hub: Hub, client: Any, call: Call, answer: Any, text: str) -> None:
    hub.answers = [answer]
    with pytest.raises(Exception) as caught:
        run(call(client))
    assert str(caught.value) == text


def test_id_in_use_raises_the_whole_body(hub: Hub, client: Any) -> None:
    text = "An Orchestration instance with the status Running already exists."
    hub.answers = [REFUSED(ops.RefusalCode.EXISTS, text)]
    with pytest.raises(Exception) as caught:
        run(client.start_new("Orch", "id"))
    body = caught.value.args[0]
    assert list(body) == ["Message", "ExceptionMessage", "ExceptionType", "StackTrace"]
    assert body["ExceptionMessage"] == text


def test_argument_errors(client: Any) -> None:
    with pytest.raises(ValueError, match=r"^event_name must be a non-empty string\.$"):
        run(client.raise_event("i", ""))
    with pytest.raises(ValueError, match="created_time_from is required when purging instance history"):
        run(client.purge_instance_history_by())
    with pytest.raises(Exception, match=r"^Total timeout 1 \(ms\) should be bigger than retry timeout 2 \(ms\)$"):
        run(client.wait_for_completion_or_create_check_status_response(None, "i", 1, 2))


def test_status(hub: Hub, client: Any) -> None:
    done = record(
        RuntimeStatus.COMPLETED, input='"{\\"a\\": 1}"', output='{"x": [1]}', custom_status='"half"', completed=3
    )
    events: list[HistoryEvent] = [OrchestratorStarted(1_000_000), ExecutionStarted("Orch", "1")]
    hub.answers = [ops.Found(done, events)]
    status = run(client.get_status("i", show_history=True))
    assert hub.asked == [(ops.GetInstance("i", with_history=True), "")]
    assert status
    assert (status.name, status.instance_id) == ("Orch", "i")
    assert status.input_ == '{"a": 1}'
    assert (status.output, status.custom_status) == ({"x": [1]}, "half")
    assert status.runtime_status is OrchestrationRuntimeStatus.Completed
    assert status.created_time == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert status.history == status.historyEvents
    assert [event["EventType"] for event in status.history] == ["ExecutionStarted"]
    assert list(status.to_json()) == [
        "name", "instanceId", "createdTime", "lastUpdatedTime", "output", "input", "runtimeStatus", "customStatus",
        "history",
    ]  # fmt: skip
    assert status.to_json()["createdTime"] == "1970-01-01T00:00:01.000000Z"
    assert status.to_json()["runtimeStatus"] == "Completed"


def test_status_of_nothing_is_false(hub: Hub, client: Any) -> None:
    hub.answers = [NOT_FOUND]
    status = run(client.get_status("i"))
    assert isinstance(status, DurableOrchestrationStatus)
    assert not status
    assert status.runtime_status is None and status.output is None and status.history is None
    assert json.loads(json.dumps(status.to_json()))["name"] is None


@pytest.mark.parametrize("digits", ["", ".1", ".1234567", ".123"])
@pytest.mark.parametrize("zone", ["Z", "+00:00", "+02:00", ""])
def test_times_of_statuses(digits: str, zone: str) -> None:
    created = DurableOrchestrationStatus(createdTime=f"2024-01-01T10:00:00{digits}{zone}").created_time
    assert created is not None and created.utcoffset() == timedelta(hours=2 if zone == "+02:00" else 0)


def test_listing_follows_all_pages(hub: Hub, client: Any) -> None:
    hub.answers = [ops.Listed([record()], "more"), ops.Listed([record(instance_id="j")])]
    start = datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    statuses = run(client.get_status_by(start, None, [OrchestrationRuntimeStatus.Failed], "p-"))
    assert [status.instance_id for status in statuses] == ["i", "j"]
    expected = InstanceFilter(0, None, (3,), "p-", kinds=(0,))
    assert [(operation.filter, operation.continuation) for operation, _ in hub.asked] == [
        (expected, None),
        (expected, "more"),
    ]


def test_purges(hub: Hub, client: Any) -> None:
    hub.answers = [ops.Purged(1), NOT_FOUND, ops.Purged(3), ops.Purged(0)]
    assert run(client.purge_instance_history("i")).instances_deleted == 1
    assert run(client.purge_instance_history("i")).instances_deleted == 0
    since = datetime(2024, 1, 1)
    assert run(client.purge_instance_history_by(since)).instances_deleted == 3
    assert run(client.purge_instance_history_by(created_time_from=since)).instances_deleted == 0


def test_entities(hub: Hub, client: Any) -> None:
    hub.answers = [ops.EntityFound(True, '{"a": 1}'), ops.EntityFound(False), ops.EntityFound(True, "null")]
    states = [run(client.read_entity_state(EntityId("Counter", "K"))) for _ in range(3)]
    assert [(state.entity_exists, state.entity_state) for state in states] == [
        (True, {"a": 1}),
        (False, None),
        (True, ""),
    ]
    assert hub.asked[0] == (ops.ReadEntity("@counter@K"), "")


def test_task_hub_argument_travels(hub: Hub, client: Any) -> None:
    hub.answers = [ops.Done(), ops.EntityFound(False)]
    run(client.raise_event("i", "E", None, "other", "ignored"))
    run(client.read_entity_state(EntityId("a", "b"), "other"))
    assert [task_hub for _, task_hub in hub.asked] == ["other", "other"]


# ---------------------------------------------------------------- patched requests, as user tests do


class Patched:
    def __init__(self, status: int, body: Any) -> None:
        self.answer = [status, body]
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        self.calls.append((args, kwargs))
        return self.answer


def test_patched_post_takes_effect(hub: Hub, client: Any) -> None:
    post = client._post_async_request = Patched(202, {"id": "abc"})
    assert run(client.start_new("Orch", "i d", {"a": 1}, "v 1")) == "abc"
    assert post.calls == [((f"{RPC}orchestrators/Orch/i%20d?version=v%201", '{"a": 1}', None, None, "inv"), {})]
    assert hub.asked == []
    post.answer = [400, {"ExceptionMessage": "unknown"}]
    with pytest.raises(Exception, match=r"^unknown$"):
        run(client.start_new("Orch"))
    post.answer = [500, {"Message": "x"}]
    with pytest.raises(Exception) as caught:
        run(client.start_new("Orch"))
    assert caught.value.args[0] == {"Message": "x"}


@pytest.mark.parametrize(
    ("call", "url"),
    [
        (lambda c: c.raise_event("i", "a/b", 1, "h", "c"), "instances/i/raiseEvent/a%2Fb?taskHub=h&connection=c"),
        (lambda c: c.terminate("i", "a b"), "instances/i/terminate?reason=a%20b"),
        (lambda c: c.suspend("i", "a b"), "instances/i/suspend?reason=a%20b"),
        (lambda c: c.resume("i", "r"), "instances/i/resume?reason=r"),
        (lambda c: c.rewind("i", "r", "h", "c"), "instances/i/rewind?reason=r&taskHub=h&connection=c"),
        (lambda c: c.restart("i", False), "instances/i/restart?restartWithNewInstanceId=false"),
        (lambda c: c.signal_entity(EntityId("N", "k"), "op", 1), "entities/N/k?op=op"),
        (
            lambda c: c.signal_entity(EntityId("N", "k"), "op", 1, "h", "c"),
            "entities/N/k?taskHub=h&connectionName=c&op=op",
        ),
    ],
)
def test_urls_of_posts(client: Any, call: Call, url: str) -> None:
    post = client._post_async_request = Patched(202, None)
    run(call(client))
    assert post.calls[0][0][0] == RPC + url


def test_urls_of_gets_and_deletes(client: Any) -> None:
    get = client._get_async_request = Patched(200, [])
    delete = client._delete_async_request = Patched(200, {"instancesDeleted": 2})
    start, end = datetime(2019, 12, 13, 16, 30, 9, 123), datetime(2019, 12, 13, 17, 0, tzinfo=UTC)
    both = [OrchestrationRuntimeStatus.Running, OrchestrationRuntimeStatus.Completed]
    run(client.get_status_all())
    run(client.get_status_by(start, end, both, "p"))
    assert run(client.purge_instance_history("i")).instances_deleted == 2
    run(client.purge_instance_history_by(start, end, both))
    get.answer = [200, dict(name="n", instanceId="i", createdTime="2020-01-01T05:00:00Z", runtimeStatus="Running")]
    assert run(client.get_status("i", show_history=True, show_history_output=True, show_input=True))
    assert run(client.read_entity_state(EntityId("N", "k"), "h", "c")).entity_exists
    times = "createdTimeFrom=2019-12-13T16:30:09.000123Z&createdTimeTo=2019-12-13T17:00:00.000000Z"
    assert [call[0][0] for call in get.calls] == [
        f"{RPC}instances/",
        f"{RPC}instances/?{times}&instanceIdPrefix=p&runtimeStatus=Running,Completed",
        f"{RPC}instances/i?showInput=True&showHistory=True&showHistoryOutput=True",
        f"{RPC}entities/N/k?taskHub=h&connectionName=c",
    ]
    assert [call[0][0] for call in delete.calls] == [
        f"{RPC}instances/i",
        f"{RPC}instances/?{times}&runtimeStatus=Running,Completed",
    ]


@pytest.mark.parametrize("status", [500, 409])
def test_unexpected_status_of_a_patched_request(client: Any, status: int) -> None:
    client._post_async_request = client._delete_async_request = client._get_async_request = Patched(status, None)
    text = f"^The operation failed with an unexpected status code {status}$"
    for call in (
        client.terminate("i", "r"),
        client.purge_instance_history("i"),
        client.read_entity_state(EntityId("a", "b")),
        client.signal_entity(EntityId("a", "b"), "op"),
        client.get_status_all(),
        client.restart("i"),
    ):
        with pytest.raises(Exception, match=text):
            run(call)


# ---------------------------------------------------------------- links and responses


def request(url: str = "https://app.example/api/start?x=1", **headers: str) -> func.HttpRequest:
    return func.HttpRequest("GET", url, headers=headers, body=b"")


def test_links(client: Any) -> None:
    links = client.create_http_management_payload("abc 1")
    assert list(links) == list(json.loads(BINDING)["managementUrls"])
    assert links["id"] == "abc 1"
    assert links["statusQueryGetUri"] == f"{RPC}instances/abc 1?{QUERY}"
    assert links["sendEventPostUri"] == f"{RPC}instances/abc 1/raiseEvent/{{eventName}}?{QUERY}"
    assert json.loads(str(links)) == links.to_json() == dict(links)
    assert "id" not in links.urls
    moved = client.get_client_response_links(request(), "i")
    assert moved["statusQueryGetUri"] == (f"https://app.example/runtime/webhooks/durabletask/instances/i?{QUERY}")
    assert client.get_client_response_links(None, "i")["statusQueryGetUri"].startswith("http://localhost:7071/")


def test_forwarded_host_only_when_the_binding_says_so() -> None:
    headers = {"X-Forwarded-Host": "a.b, c", "X-Forwarded-Proto": "https, http"}
    with_setting = json.dumps({**json.loads(BINDING), "useForwardedHost": True})
    for binding, origin in ((BINDING, "http://inner/"), (with_setting, "https://a.b/")):
        client = DurableOrchestrationClient(binding)
        links = client.get_client_response_links(request("http://inner/api", **headers), "i")
        assert links["statusQueryGetUri"].startswith(origin)
    client = DurableOrchestrationClient(with_setting)
    forwarded = client.get_client_response_links(request("http://inner/", Forwarded="for=1;host=x.y;proto=https"), "i")
    assert forwarded["purgeHistoryDeleteUri"].startswith("https://x.y/")


def test_check_status_response(client: Any) -> None:
    response = client.create_check_status_response(request(), "i")
    assert (response.status_code, response.mimetype) == (202, "text/plain")
    body = json.loads(response.get_body())
    assert response.headers["Location"] == body["statusQueryGetUri"]
    assert response.headers["Retry-After"] == "10"
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(client.create_check_status_response(None, "i").get_body())["id"] == "i"
    failing = client.create_check_status_response(None, "i", return_internal_server_error_on_failure=True)
    assert failing.headers["Location"].endswith("&returnInternalServerErrorOnFailure=true")


@pytest.mark.parametrize(
    ("status", "fields", "code", "body"),
    [
        (RuntimeStatus.COMPLETED, {"output": '"<b>raw</b>"'}, 200, "<b>raw</b>"),
        (RuntimeStatus.COMPLETED, {"output": '{"a": 1}'}, 200, '{"a": 1}'),
        (RuntimeStatus.COMPLETED, {}, 200, "null"),
        (RuntimeStatus.TERMINATED, {"output": '"why"'}, 200, None),
        (RuntimeStatus.CANCELED, {}, 200, None),
        (RuntimeStatus.FAILED, {"output": '"boom"'}, 500, None),
    ],
)
def test_waiting_for_completion(hub: Hub, client: Any, status: Any, fields: Any, code: int, body: Any) -> None:
    hub.answers = [ops.Found(record(status, **fields))]
    response = run(client.wait_for_completion_or_create_check_status_response(request(), "i"))
    assert response.status_code == code
    assert response.mimetype == response.headers["Content-Type"] == "application/json"
    text = response.get_body().decode()
    assert text == body if body is not None else json.loads(text)["runtimeStatus"] == status.label


def test_waiting_polls_at_the_interval_and_gives_links_at_the_end(hub: Hub, client: Any) -> None:
    clock, slept = [0.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    client._sleep, client._now = sleep, lambda: clock[0]
    hub.answers = [ops.Found(record()), NOT_FOUND, ops.Found(record())]
    response = run(client.wait_for_completion_or_create_check_status_response(request(), "i", 2000, 1000))
    assert (response.status_code, slept, hub.answers) == (202, [1.0, 1.0], [])


def test_waiting_of_2_0(hub: Hub, client: Any) -> None:
    clock = [0.0]

    async def sleep(seconds: float) -> None:
        clock[0] += seconds

    client._sleep, client._now = sleep, lambda: clock[0]
    hub.answers = [ops.Found(record()), ops.Found(record(RuntimeStatus.COMPLETED, output="[1]"))]
    state = run(client.wait_for_orchestration_completion("i"))
    assert (state.runtime_status, state.get_output(tuple[int, ...])) == (OrchestrationStatus.COMPLETED, (1,))
    hub.answers = [ops.Found(record(RuntimeStatus.PENDING))] * 100
    with pytest.raises(TimeoutError, match="Timed-out waiting for orchestration 'i' to start"):
        run(client.wait_for_orchestration_start("i", timeout=5))
    hub.answers = [ops.Found(record(RuntimeStatus.FAILED, output='"boom"'))]
    with pytest.raises(Exception, match="Orchestration 'i' failed: boom"):
        run(client.wait_for_orchestration_completion("i")).raise_if_failed()


def test_queries_of_2_0(hub: Hub, client: Any) -> None:
    hub.answers = [ops.Listed([record()], "more"), ops.Listed([record(instance_id="j")], "and more")]
    query = OrchestrationQuery(runtime_status=[OrchestrationStatus.RUNNING], max_instance_count=2)
    assert [state.instance_id for state in run(client.get_all_orchestration_states(query))] == ["i", "j"]
    entity = record(kind=InstanceKind.ENTITY, instance_id="@c@K@1", state='{"a": 1}')
    hub.answers = [
        ops.Listed([entity, record(instance_id="@c@x", kind=InstanceKind.ENTITY)]),
        ops.WaitingCounted((3,)),
    ]
    found = run(client.get_all_entities())
    assert [(str(e.id), e.get_typed_state()) for e in found] == [("@c@K@1", {"a": 1})]
    assert (found[0].backlog_queue_size, found[0].get_locked_by()) == (3, None)


def test_an_entity_tells_who_holds_its_lock_and_how_much_waits(hub: Hub, client: Any) -> None:
    status = '{"lockedBy":"o1","generation":0,"task":2}'
    entity = record(kind=InstanceKind.ENTITY, instance_id="@c@k", state="1", lock_holder=9, custom_status=status)
    hub.answers = [ops.Found(entity), ops.WaitingCounted((7,))]
    found = run(client.get_entity(EntityId("c", "k")))
    assert (found.get_locked_by(), found.backlog_queue_size) == ("o1", 7)
    assert hub.asked[-1][0] == ops.CountWaiting((entity.n,))


def test_dialect_2(hub: Hub, client: Any) -> None:
    set_transport(hub, SdkOptions(dialect=2))
    hub.answers = [ops.Started("i"), ops.Found(record(RuntimeStatus.FAILED, output='"boom"'))]
    run(client.start_new("Orch", client_input={"a": 1}))
    assert hub.asked[0][0] == ops.StartInstance("Orch", None, '{"a": 1}')
    assert run(client.wait_for_completion_or_create_check_status_response(None, "i")).status_code == 200


def test_outside_a_worker(client: Any) -> None:
    with pytest.raises(Exception, match="GetInstance needs a client inside a function that perdure runs"):
        run(client.get_orchestration_state("i"))


def test_building_a_client_needs_the_published_keys() -> None:
    assert DurableOrchestrationClient(BINDING).task_hub_name == "hub"
    with pytest.raises(TypeError, match="managementUrls"):
        DurableOrchestrationClient('{"taskHubName": "h", "creationUrls": {}}')


def test_the_blocking_client_has_every_method_of_the_other() -> None:
    for name, method in inspect.getmembers(DurableOrchestrationClient, inspect.isfunction):
        if not name.startswith("_"):
            own = getattr(SyncDurableFunctionsClient, name)
            assert not inspect.iscoroutinefunction(own)
            assert inspect.signature(own) == inspect.signature(method)
