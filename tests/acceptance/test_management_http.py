"""Every endpoint of the webhook API over real HTTP: outcomes, bodies, headers."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure.model.operations import ExistingPolicy
from tests.acceptance.host import APPS, WEBHOOK, Host, eventually

JSON = {"Content-Type": "application/json"}
_ids = count()


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("management")
    made = Host(APPS / "managed", folder, settings={"Elsewhere": f"sqlite:///{folder}/elsewhere.db"})
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def new_id() -> str:
    return f"i{next(_ids)}"


def waiting(host: Host, instance_id: str) -> str:
    host.begin_webhook("waiting", None, instance_id)
    eventually(lambda: (host.status(instance_id) or {}).get("customStatus") == "waits")
    return instance_id


def ended(host: Host, name: str, instance_id: str, input_: Any = None) -> str:
    host.begin_webhook(name, input_, instance_id)
    host.finished(instance_id)
    return instance_id


def post(host: Host, path: str, **more: Any) -> tuple[int, str]:
    answer = host.post(f"{WEBHOOK}/{path}", **more)
    return answer.status_code, answer.text


def error(host: Host, status: int, answer: tuple[int, str]) -> str:
    """The inner text of a documented error in the long shape."""
    assert answer[0] == status, answer
    body = json.loads(answer[1])
    assert list(body) == ["Message", "ExceptionMessage", "ExceptionType", "StackTrace"]
    assert body["StackTrace"] == ""
    text: str = body["ExceptionMessage"]
    return text


# ---- start


def test_start(host: Host, new_id: str) -> None:
    answer = host.post(f"{WEBHOOK}/orchestrators/echo/{new_id}?code=abc", json={"a": 1})
    assert answer.status_code == 202
    assert list(answer.json()) == [
        "id", "statusQueryGetUri", "sendEventPostUri", "terminatePostUri", "purgeHistoryDeleteUri", "restartPostUri",
        "suspendPostUri", "resumePostUri",
    ]  # fmt: skip
    assert answer.headers["retry-after"] == "10"
    assert answer.headers["location"] == answer.json()["statusQueryGetUri"]
    assert "code=abc" in answer.headers["location"]
    assert host.completed(new_id) == {"a": 1}
    assert len(host.post(f"{WEBHOOK}/orchestrators/echo").json()["id"]) == 32


def test_start_refused(host: Host, new_id: str) -> None:
    text = error(host, 400, post(host, "orchestrators/nobody"))
    assert text.startswith("The function 'nobody' doesn't exist, is disabled, or is not an orchestrator function.")
    assert "'echo', 'failing', 'long_ids', 'parent', 'waiting'" in text
    assert "@" in error(host, 400, post(host, "orchestrators/echo/@a"))
    assert "256" in error(host, 400, post(host, "orchestrators/echo/" + "x" * 257))
    assert "not UTF-8" in error(host, 400, post(host, "orchestrators/echo/%ff"))
    error(host, 400, post(host, f"orchestrators/echo/{new_id}", content=b"{"))
    assert host.status(new_id) is None
    waiting(host, new_id)
    text = error(host, 500, post(host, f"orchestrators/echo/{new_id}"))
    assert text == "An Orchestration instance with the status Running already exists."


def test_half_an_emoji_is_json(host: Host, new_id: str) -> None:
    half = '"\\ud83d"'
    assert post(host, f"orchestrators/echo/{new_id}", content=half.encode())[0] == 202
    host.finished(new_id)
    assert f'"input":{half},"customStatus":null,"output":{half},' in host.get(f"{WEBHOOK}/instances/{new_id}").text


def test_start_over_a_finished_one(host: Host, new_id: str) -> None:
    ended(host, "echo", new_id, 1)
    host.begin_webhook("echo", 2, new_id)
    assert host.completed(new_id) == 2


@pytest.mark.parametrize(("name", "body"), [("echo", 5), ("failing", None), ("waiting", None)])
def test_start_and_wait(host: Host, name: str, body: Any) -> None:
    answer = host.post(f"{WEBHOOK}/orchestrators/{name}?timeout=0.6&pollingInterval=0.05", json=body)
    if name == "echo":
        assert (answer.status_code, answer.json()) == (200, 5)
    elif name == "failing":
        assert (answer.status_code, answer.json()["runtimeStatus"]) == (200, "Failed")
    else:
        assert (answer.status_code, "statusQueryGetUri" in answer.json()) == (202, True)


def test_wait_arguments(host: Host) -> None:
    text = error(host, 400, post(host, "orchestrators/echo?timeout=1&pollingInterval=2"))
    assert text == "Total timeout 1 should be bigger than retry timeout 2"
    assert "timeout" in error(host, 400, post(host, "orchestrators/echo?timeout=soon"))


def test_an_idempotency_key_starts_once(host: Host) -> None:
    def start(body: Any, key: str = "k1", name: str = "echo") -> Any:
        return host.post(f"{WEBHOOK}/orchestrators/{name}", json=body, headers={"Idempotency-Key": key})

    first = start({"a": 1})
    assert first.status_code == 202
    assert start({"a": 1}).json()["id"] == first.json()["id"]
    host.finished(first.json()["id"])
    assert start({"a": 1}).json()["id"] == first.json()["id"], "finished or not"
    assert start({"a": 1}, "k2").json()["id"] != first.json()["id"]
    assert start({"a": 1}, "k1", "waiting").json()["id"] != first.json()["id"], "another function"
    other = start({"a": 2})
    assert "Idempotency-Key 'k1' was used with another input" in error(host, 400, (other.status_code, other.text))
    too_long = start(1, "x" * 300)
    assert "at most 256" in error(host, 400, (too_long.status_code, too_long.text))


def test_simultaneous_starts_with_a_key(host: Host) -> None:
    def start(_: int) -> str:
        answer = host.post(f"{WEBHOOK}/orchestrators/echo", json=1, headers={"Idempotency-Key": "race"})
        assert answer.status_code == 202, answer.text
        identifier: str = answer.json()["id"]
        return identifier

    with ThreadPoolExecutor(20) as pool:
        assert len(set(pool.map(start, range(50)))) == 1


# ---- one instance


def test_status(host: Host, new_id: str) -> None:
    waiting(host, new_id)
    answer = host.get(f"{WEBHOOK}/instances/{new_id}?showHistory=true")
    assert answer.status_code == 202
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["location"].endswith(f"/instances/{new_id}?showHistory=true")
    assert list(answer.json()) == [
        "name", "instanceId", "runtimeStatus", "input", "customStatus", "output", "createdTime", "lastUpdatedTime",
        "historyEvents",
    ]  # fmt: skip
    missing = host.get(f"{WEBHOOK}/instances/nobody")
    assert (missing.status_code, missing.content, missing.headers.get("content-type")) == (404, b"", None)


def test_status_of_a_failed_one(host: Host, new_id: str) -> None:
    ended(host, "failing", new_id)
    path = f"{WEBHOOK}/instances/{new_id}"
    assert host.get(path).status_code == 200
    answer = host.get(f"{path}?returnInternalServerErrorOnFailure=true")
    assert (answer.status_code, answer.json()["runtimeStatus"]) == (500, "Failed")
    assert answer.json()["output"].startswith("Orchestrator function 'failing' failed: ")
    history = host.get(f"{path}?showHistory=true&showHistoryOutput=true").json()["historyEvents"]
    assert [event["EventType"] for event in history] == ["ExecutionStarted", "TaskFailed", "ExecutionCompleted"]
    assert history[1]["FunctionName"] == "fail"
    assert "boom" in history[1]["Reason"]


def test_status_waits_for_the_end(host: Host, new_id: str) -> None:
    waiting(host, new_id)
    begun = time.monotonic()
    assert host.get(f"{WEBHOOK}/instances/{new_id}?wait=0.3").status_code == 202
    assert time.monotonic() - begun >= 0.3
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(host.get, f"{WEBHOOK}/instances/{new_id}?wait=20")
        time.sleep(0.2)
        begun = time.monotonic()
        post(host, f"instances/{new_id}/raiseEvent/go", json=7)
        assert (answer.result().status_code, answer.result().json()["output"]) == (200, 7)
        assert time.monotonic() - begun < 5
    assert host.get(f"{WEBHOOK}/instances/nobody?wait=20").status_code == 404
    assert "'wait'" in error(host, 400, _get(host, f"instances/{new_id}?wait=long"))


def _get(host: Host, path: str) -> tuple[int, str]:
    answer = host.get(f"{WEBHOOK}/{path}")
    return answer.status_code, answer.text


def test_raise_event(host: Host, new_id: str) -> None:
    waiting(host, new_id)
    path = f"instances/{new_id}/raiseEvent/go"
    code, text = post(host, path, content=b"1", headers={"content-type": "text/plain"})
    assert (code, text) == (400, '{"Message":"Only application/json request content is supported"}')
    error(host, 400, post(host, path, content=b"{", headers=JSON))
    assert post(host, "instances/nobody/raiseEvent/go", content=b"{") == (404, "")
    assert post(host, path, content=b'{"x": [1]}', headers=JSON) == (202, "")
    assert host.completed(new_id) == {"x": [1]}
    assert post(host, path, json=1) == (410, "")


@pytest.mark.parametrize("verb", ["terminate", "suspend", "resume", "rewind"])
def test_control_of_nobody_and_of_the_finished(host: Host, new_id: str, verb: str) -> None:
    assert post(host, f"instances/nobody/{verb}") == (404, "")
    ended(host, "echo", new_id)
    assert post(host, f"instances/{new_id}/{verb}") == (410, "")


def test_suspend_resume_terminate(host: Host, new_id: str) -> None:
    waiting(host, new_id)
    base = f"instances/{new_id}"
    assert "in the Running state" in error(host, 500, post(host, f"{base}/resume"))
    assert "only supported on failed" in error(host, 500, post(host, f"{base}/rewind"))
    assert post(host, f"{base}/suspend?reason=lunch") == (202, "")
    eventually(lambda: (host.status(new_id) or {})["runtimeStatus"] == "Suspended")
    assert "in the Suspended state" in error(host, 500, post(host, f"{base}/suspend"))
    assert post(host, f"{base}/resume") == (202, "")
    eventually(lambda: (host.status(new_id) or {})["runtimeStatus"] == "Running")
    assert post(host, f"{base}/terminate?reason=enough") == (202, "")
    status = host.finished(new_id)
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")
    assert post(host, f"{base}/foo") == (404, "")


def test_terminate_takes_the_children(host: Host, new_id: str) -> None:
    host.begin_webhook("parent", None, new_id)
    eventually(lambda: host.status(f"{new_id}-child"))
    assert host.get(f"{WEBHOOK}/instances?parentInstanceId={new_id}").json()[0]["instanceId"] == f"{new_id}-child"
    post(host, f"instances/{new_id}/terminate?reason=x")
    assert host.finished(f"{new_id}-child")["runtimeStatus"] == "Terminated"


def test_rewind(host: Host, new_id: str) -> None:
    ended(host, "failing", new_id)
    assert post(host, f"instances/{new_id}/rewind?reason=again") == (202, "")
    assert host.finished(new_id)["runtimeStatus"] == "Failed"


def test_restart(host: Host, new_id: str) -> None:
    text = error(host, 400, post(host, "instances/nobody/restart"))
    assert text == "An orchestrastion with the instanceId nobody was not found."
    ended(host, "echo", new_id, [1])
    code, body = post(host, f"instances/{new_id}/restart")
    assert code == 202
    assert new_id not in body
    assert post(host, f"instances/{new_id}/restart?restartWithNewInstanceId=false")[0] == 202
    assert host.completed(new_id) == [1]
    other = waiting(host, f"{new_id}w")
    error(host, 500, post(host, f"instances/{other}/restart?restartWithNewInstanceId=false"))


def test_purge_one(host: Host, new_id: str) -> None:
    path = f"{WEBHOOK}/instances/{new_id}"
    assert host.delete(path).status_code == 404
    waiting(host, new_id)
    answer = host.delete(path)
    assert (answer.status_code, answer.json()) == (200, {"instancesDeleted": 1})
    assert host.status(new_id) is None


# ---- many instances


def test_list_pages_and_filters(host: Host) -> None:
    for number in range(7):
        ended(host, "echo", f"page-{number}", number)
    seen: list[str] = []
    token = ""
    while True:
        answer = host.get(
            f"{WEBHOOK}/instances?instanceIdPrefix=page-&top=3", headers={"x-ms-continuation-token": token}
        )
        seen += [item["instanceId"] for item in answer.json()]
        token = answer.headers["x-ms-continuation-token"]
        if not token:
            break
    assert seen == [f"page-{number}" for number in range(7)]
    query = f"{WEBHOOK}/instances?instanceIdPrefix=page-"
    assert len(host.get(f"{query}&runtimeStatus=Completed,Failed").json()) == 7
    assert host.get(f"{query}&runtimeStatus=Failed&runtimeStatus=Running").json() == []
    assert len(host.get(f"{query}&runtimeStatus=completed").json()) == 7, "an unknown name is no filter"
    assert len(host.get(f"{query}&namePrefix=ec").json()) == 7
    assert host.get(f"{query}&namePrefix=x").json() == []
    assert host.get(f"{query}&createdTimeFrom=2100-01-01").json() == []
    assert len(host.get(f"{query}&createdTimeTo=2100-01-01&showInput=false").json()) == 7
    assert "'top'" in error(host, 400, _get(host, "instances?top=0"))
    for path in ("instances", "entities"):
        wrong = host.get(f"{WEBHOOK}/{path}", headers={"x-ms-continuation-token": "nowhere"})
        text = error(host, 400, (wrong.status_code, wrong.text))
        assert text.startswith("x-ms-continuation-token: unknown continuation 'nowhere': pass on"), text


def test_pages_of_ids_in_any_script(host: Host) -> None:
    for number in range(3):
        ended(host, "echo", f"\u20ac-{number}")
    seen: list[str] = []
    token = ""
    while True:
        answer = host.get(
            f"{WEBHOOK}/instances?instanceIdPrefix=\u20ac&top=1", headers={"x-ms-continuation-token": token}
        )
        seen += [item["instanceId"] for item in answer.json()]
        token = answer.headers["x-ms-continuation-token"]
        if not token:
            break
    assert seen == [f"\u20ac-{number}" for number in range(3)]


def test_tags(host: Host) -> None:
    with perdure.client(host.url, sync=True) as client:
        for colour in ("red", "blue"):
            client.schedule_new_orchestration("echo", instance_id=colour, tags={"colour": colour, "kind": "t"})
    found = host.get(f"{WEBHOOK}/instances", params={"tag": ["colour=red", "kind=t"]}).json()
    assert [item["instanceId"] for item in found] == ["red"]
    assert "NAME=VALUE" in error(host, 400, _get(host, "instances?tag=red"))


def test_counts(host: Host) -> None:
    for number in range(3):
        ended(host, "echo", f"count-{number}")
    ended(host, "failing", "count-f")
    waiting(host, "count-w")
    assert host.get(f"{WEBHOOK}/counts?instanceIdPrefix=count-").json() == {
        "total": 5,
        "byStatus": {"Completed": 3, "Failed": 1, "Running": 1},
        "byName": {"echo": {"Completed": 3}, "failing": {"Failed": 1}, "waiting": {"Running": 1}},
    }
    assert host.get(f"{WEBHOOK}/counts?instanceIdPrefix=count-&byName=false&runtimeStatus=Failed,Running").json() == {
        "total": 2,
        "byStatus": {"Failed": 1, "Running": 1},
    }
    assert host.get(f"{WEBHOOK}/counts?instanceIdPrefix=nobody").json()["total"] == 0


def test_purge_many(host: Host) -> None:
    hub = "taskHub=PurgeHub"
    with perdure.client(f"sqlite:///{host.app}/.perdure/TestHubName.db", task_hub="PurgeHub", sync=True) as client:
        client.start_new("echo", "p1")
    base = f"{WEBHOOK}/instances?{hub}"
    answer = host.delete(base)
    assert (answer.status_code, answer.json()) == (400, "Please provide value for 'createdTimeFrom' parameter.")
    base += "&createdTimeFrom=2000-01-01"
    error(host, 400, (lambda answer: (answer.status_code, answer.text))(host.delete(f"{base}&runtimeStatus=Lost")))
    assert host.delete(base).status_code == 404, "what has not finished stays"
    dry = host.delete(f"{base}&includeRunning=true&dryRun=true")
    assert (dry.status_code, dry.json()) == (200, {"instancesDeleted": 1, "dryRun": True})
    assert host.delete(f"{base}&runtimeStatus=pending").status_code == 404
    assert host.delete(f"{base}&includeRunning=true&runtimeStatus=pending").json() == {"instancesDeleted": 1}
    for key in "ab":
        assert host.post(f"{WEBHOOK}/entities/counter/{key}?{hub}&op=add", json=1).status_code == 202
    assert host.delete(base).status_code == 404, "entities stay"
    assert host.delete(f"{base}&includeRunning=true&runtimeStatus=Running").status_code == 404
    assert host.get(f"{WEBHOOK}/counts?{hub}").json()["total"] == 2
    dry = host.delete(f"{base}&includeRunning=true&dryRun=true").json()
    assert dry == {"instancesDeleted": 2, "dryRun": True}


def test_purge_of_statuses_that_are_not_final_deletes_nothing(host: Host, new_id: str) -> None:
    ended(host, "echo", new_id)
    assert host.delete(f"{WEBHOOK}/instances?createdTimeFrom=2000-01-01&runtimeStatus=Running").status_code == 404
    assert host.status(new_id) is not None


def test_numbers_of_any_length(host: Host) -> None:
    long = "9" * 5000
    assert host.get(f"{WEBHOOK}/instances?top={long}&runtimeStatus={long}").status_code == 200
    assert host.get(f"{WEBHOOK}/entities?top={long}").status_code == 200
    error(host, 400, (lambda a: (a.status_code, a.text))(
        host.delete(f"{WEBHOOK}/instances?createdTimeFrom=2000-01-01&runtimeStatus={long}")
    ))  # fmt: skip


def test_other_hubs_and_stores(host: Host) -> None:
    for query in ("taskHub=Second", "connection=Elsewhere", "taskHub=Third&connection=elsewhere"):
        assert host.get(f"{WEBHOOK}/instances?{query}").json() == []
        assert host.get(f"{WEBHOOK}/instances/x?{query}").status_code == 404
        assert host.post(f"{WEBHOOK}/orchestrators/anything/x?{query}").status_code == 202, "names are not checked"
        status = host.get(f"{WEBHOOK}/instances/x?{query}")
        assert (status.status_code, status.json()["runtimeStatus"]) == (202, "Pending")
        assert host.get(f"{WEBHOOK}/instances/x?{query.replace('taskHub=S', 'taskHub=s')}").status_code == 202
        assert host.delete(f"{WEBHOOK}/instances/x?{query.upper()}").status_code == 200
    host.begin_webhook("echo")
    assert host.get(f"{WEBHOOK}/counts?connection=AzureWebJobsStorage").json()["total"] > 0
    assert "should contain only alphanumeric" in error(host, 400, _get(host, "instances?taskHub=no-hub!"))


# ---- entities, rest


def test_entities(host: Host) -> None:
    path = f"{WEBHOOK}/entities/Counter/a"
    assert host.get(path).status_code == 404
    assert host.post(f"{path}?op=add", json=4).status_code == 202
    eventually(lambda: host.get(path).status_code == 200)
    assert host.get(path).json() == 4
    listed = host.get(f"{WEBHOOK}/entities/counter?fetchState=true").json()
    assert [(item["entityId"], item["state"]) for item in listed] == [({"name": "counter", "key": "a"}, 4)]
    assert host.get(f"{WEBHOOK}/entities").json()[0]["state"] is None
    assert host.delete(path).status_code == 202
    eventually(lambda: host.get(path).status_code == 404)
    assert host.get(f"{WEBHOOK}/entities/counter").json() == []
    assert "doesn't exist" in host.post(f"{WEBHOOK}/entities/nobody/a?op=x").json()["Message"]
    bad = host.post(f"{path}?op=add", content=b"{", headers=JSON)
    assert (bad.status_code, bad.json()["Message"].startswith("Could not parse JSON content: ")) == (400, True)


def test_times_of_clients_from_outside(host: Host) -> None:
    with perdure.client(host.url, sync=True) as client:
        last = datetime.max.replace(tzinfo=timezone.utc)
        host.begin_webhook("echo")
        assert client.get_status_by(created_time_to=last)
        assert client.get_status_by(created_time_from=last) == []
        client.schedule_new_orchestration("echo", instance_id="in-8000-years", start_at=last)
        assert client.get_status("in-8000-years").runtime_status.value == "Pending"
        client.signal_entity(perdure.EntityId("counter", "late"), "add", 1, signal_time=last)


def test_keys_that_no_entity_has(host: Host) -> None:
    bad = host.post(f"{WEBHOOK}/entities/counter/a%2Fb?op=add", json=1)
    assert (bad.status_code, bad.json()["Message"].endswith("found '/'.")) == (400, True)
    bad = host.post(f"{WEBHOOK}/entities/counter/{'k' * 600}?op=add", json=1)
    assert (bad.status_code, "not be longer" in bad.json()["Message"]) == (400, True)
    with perdure.client(host.url, sync=True) as client, pytest.raises(Exception, match="Entity keys must not"):
        client.signal_entity(perdure.EntityId("counter", "a/b"), "add", 1)


def test_a_forwarded_host_that_is_none(host: Host, new_id: str) -> None:
    strange = {"Host": "bücher.example".encode("latin-1")}
    answer = host.post(f"{WEBHOOK}/orchestrators/echo/{new_id}", headers=strange)
    assert answer.status_code == 202
    assert answer.headers["location"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        ([2, {}, 5000], "top is 5000. Expected 1 to 1000."),
        ([0, "echo", None, "{"], "input is no JSON text: '{'."),
        ([0, "echo", None, None, None, None, 2**60], "start_at is 1152921504606846976. Expected microseconds"),
        ([2, {"statuses": [2**64]}], "statuses holds 18446744073709551616. Expected 0 (Running), 1 (Completed)"),
        ([10, {"statuses": [99]}], "statuses holds 99. Expected 0 (Running), 1 (Completed)"),
        ([17, 0, "forged"], "unknown continuation 'forged'"),
        ([18, None, -1], "top is -1. Expected 1 to 1000."),
        ([99], "The body is not an operation of this version: Invalid value 99"),
        ({}, "The body is not an operation of this version"),
    ],
)
def test_operations_that_no_hub_could_work_with(host: Host, operation: Any, text: str) -> None:
    assert text in error(host, 400, post(host, "operations", json=operation))


def test_make_primary(host: Host) -> None:
    assert "not using the AppLease feature" in error(host, 500, post(host, "makeprimary"))
    assert host.request("HEAD", f"{WEBHOOK}/makeprimary").status_code == 404


def test_races_of_a_singleton(host: Host) -> None:
    def start(_: int) -> int:
        return host.post(f"{WEBHOOK}/orchestrators/waiting/only-one").status_code

    with ThreadPoolExecutor(25) as pool:
        assert sorted(pool.map(start, range(50))) == [202] + [500] * 49
    with perdure.client(host.url, sync=True) as client:
        found = client.schedule_new_orchestration(
            "echo", instance_id="only-one", reuse_id_policy=ExistingPolicy.RETURN_EXISTING
        )
        assert found == "only-one"
        assert client.get_status("only-one").name == "waiting"
        client.schedule_new_orchestration(
            "echo", instance_id="only-one", reuse_id_policy=ExistingPolicy.REPLACE_ANY, input=3
        )
        with pytest.raises(ValueError, match="already exists"):
            client.schedule_new_orchestration(
                "echo", instance_id="only-one", reuse_id_policy=ExistingPolicy.FAIL_IF_EXISTS
            )
    assert host.completed("only-one") == 3


def test_retention_deletes_what_is_old(tmp_path: Path) -> None:
    app = tmp_path / "kept"
    shutil.copytree(APPS / "managed", app)
    retention = {"Completed": "00:00:01", "Failed": "00:00:01", "names": {"failing": {"Failed": "30.00:00:00"}}}
    (app / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"perdure": {"retention": retention}}}))
    host = Host(app, tmp_path)
    try:
        host.start()
        ended(host, "echo", "old")
        ended(host, "failing", "kept")
        waiting(host, "running")
        eventually(lambda: host.status("old") is None)
        assert host.status("kept") is not None
        assert host.status("running") is not None
        eventually(lambda: "Retention: 1 finished instances were deleted." in host.log())
    finally:
        host.close()
