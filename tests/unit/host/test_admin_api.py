"""The admin API over a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import perdure
from perdure.host.functions.function_list import FunctionList, list_functions
from perdure.host.http.admin_api import AdminApi
from perdure.host.protocol.messages import IndexedFunction
from tests.unit.host.front_fakes import Running, configured, running
from tests.unit.host.test_function_list import FUNCTIONS


class FakeHost:
    """Records what it is told."""

    state = "Running"
    host_id = "0123456789abcdef"

    def __init__(self, functions: FunctionList) -> None:
        self.functions = functions
        self.errors: list[str] = []
        self.drained = False
        self.runs: list[tuple[str, str | None]] = []
        self.ran = threading.Event()

    def working(self) -> dict[str, Any]:
        return {"workItems": {"activities": {"active": 1, "maximum": 20, "threads": 6}}}

    def drain(self) -> None:
        self.drained = True

    def drain_state(self) -> tuple[str, int]:
        return ("InProgress", 2) if self.drained else ("Disabled", 0)

    async def resume(self) -> str | None:
        return "The host is stopping." if self.state == "Stopping" else None

    def effective_settings(self) -> dict[str, Any]:
        return {"hub_name": "Hub"}

    async def run_by_hand(self, function: IndexedFunction, payload: str | None) -> None:
        self.runs.append((function.name, payload))
        self.ran.set()


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[tuple[FakeHost, httpx.Client]]:
    config = configured(tmp_path)
    host = FakeHost(list_functions(FUNCTIONS, config))

    async def no_management(request: Any) -> Any:
        raise AssertionError("not used here")

    def prepare(server: Running) -> None:
        # the front is not ready: the admin API answers all the same
        server.front.attach(AdminApi(host), no_management)

    with running(config, prepare) as (_, client):
        yield host, client


def test_status_and_ping(admin: tuple[FakeHost, httpx.Client]) -> None:
    host, client = admin
    status = client.get("/Admin/Host/Status").json()
    assert status["state"] == "Running"
    assert status["id"] == status["instanceId"] == host.host_id
    assert status["version"] == perdure.__version__
    assert status["workItems"] == {"activities": {"active": 1, "maximum": 20, "threads": 6}}
    assert "errors" not in status
    assert status["processUptime"] >= 0
    host.errors = ["broken"]
    assert client.get("/admin/host/status").json()["errors"] == ["broken"]
    assert client.get("/admin/host/ping").status_code == 200
    assert client.post("/admin/host/ping").status_code == 200
    assert client.get("/admin/host/config").json() == {"hub_name": "Hub"}
    assert client.post("/admin/host/synctriggers").json() == {"status": "success"}


def test_functions(admin: tuple[FakeHost, httpx.Client]) -> None:
    client = admin[1]
    functions = {item["name"]: item for item in client.get("/admin/functions").json()}
    assert "Again" not in functions
    hello = functions["Hello"]
    assert hello["invoke_url_template"].endswith("/api/hello/{name}")
    assert hello["config"]["bindings"][0]["Route"] == "hello/{name}"
    assert (functions["Off"]["isDisabled"], functions["cook"]["isDisabled"]) == (True, False)
    assert client.get("/admin/functions/hello").json() == hello
    assert client.get("/admin/functions/nobody").status_code == 404
    assert client.get("/admin/functions/cook/status").json() == {}
    assert "conflicts" in client.get("/admin/functions/Again/status").json()["errors"][0]
    assert client.get("/admin/functions/nobody/status").status_code == 404


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (b'{"input": "text"}', "text"),
        (b"{}", None),
        (b'{"Input": null}', None),
        (b'{"input": {"a": [1]}}', '{"a":[1]}'),
    ],
)
def test_run_by_hand(admin: tuple[FakeHost, httpx.Client], body: bytes, payload: str | None) -> None:
    host, client = admin
    answer = client.post("/admin/functions/OFF", content=body)
    assert (answer.status_code, answer.content) == (202, b"")
    assert host.ran.wait(5), "it runs after the answer"
    assert host.runs == [("Off", payload)]


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b'"x"'])
def test_run_by_hand_without_an_object(admin: tuple[FakeHost, httpx.Client], body: bytes) -> None:
    answer = admin[1].post("/admin/functions/Off", content=body)
    assert answer.status_code == 400
    assert '{"input": "..."}' in answer.json()["Message"]


def test_run_by_hand_of_nobody(admin: tuple[FakeHost, httpx.Client]) -> None:
    assert admin[1].post("/admin/functions/nobody", json={}).status_code == 404


def test_drain(admin: tuple[FakeHost, httpx.Client]) -> None:
    host, client = admin
    status = "/admin/host/drain/status"
    assert client.get(status).json() == {"state": "Disabled", "outstandingInvocations": 0, "outstandingRetries": 0}
    assert client.post("/admin/host/resume").status_code == 200
    assert client.post("/admin/host/drain").status_code == 202
    assert client.get(status).json()["state"] == "InProgress"
    assert host.drained
    assert client.post("/admin/host/resume").status_code == 200
    host.state = "Stopping"
    refused = client.post("/admin/host/resume")
    assert (refused.status_code, refused.json()) == (409, {"Message": "The host is stopping."})


@pytest.mark.parametrize("path", ["/admin/", "/admin/nothing", "/admin/host", "/admin/functions/a/b/c"])
def test_everything_else_is_a_404(admin: tuple[FakeHost, httpx.Client], path: str) -> None:
    assert admin[1].get(path).status_code == 404
