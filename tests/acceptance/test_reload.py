"""An app that is edited while it runs: saved, broken, saved again, with an orchestration under way all the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import Host, eventually

APP = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route(route="version")
def version(req: func.HttpRequest) -> str:
    return "VERSION"


@app.route(route="go", methods=["POST"])
@app.durable_client_input(client_name="client")
async def go(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    return client.create_check_status_response(req, await client.start_new("steps", "edited"))


@app.orchestration_trigger(context_name="context")
def steps(context: df.DurableOrchestrationContext):
    done = []
    while (yield context.wait_for_external_event("step")) != "end":
        done.append((yield context.call_activity("step", len(done))))
    return done


@app.activity_trigger(input_name="number")
def step(number: int) -> int:
    return number
"""
ROUNDS = 10


@pytest.fixture
def host(new_host: NewHost, tmp_path: Path) -> Host:
    app = tmp_path / "edited"
    app.mkdir()
    (app / "host.json").write_text('{"version": "2.0"}')
    (app / "function_app.py").write_text(APP.replace("VERSION", "0"))
    return new_host(app)


def test_an_app_that_is_edited_ten_times(host: Host) -> None:
    host.start()
    assert host.process is not None
    pid = host.process.pid
    host.post("/api/go", {})
    source = host.app / "function_app.py"
    refused = f"The app could not be imported ({source}:1)"
    for number in range(1, ROUNDS + 1):
        assert raised(host, "step") == 202
        source.write_text("def broken(:\n")
        eventually(lambda count=number: host.log().count(refused) >= count)
        assert host.get("/api/version").text == str(number - 1), "what was loaded last goes on"
        source.write_text(APP.replace("VERSION", str(number)))
        eventually(lambda wanted=str(number): host.get("/api/version").text == wanted)
    assert raised(host, "end") == 202
    assert host.completed("edited") == list(range(ROUNDS))
    assert host.process.pid == pid
    assert host.process.poll() is None
    assert host.log().count("Functions:") == 1
    assert host.log().count("Host lock lease acquired") == 1, "the host kept its token"


def raised(host: Host, data: str) -> int:
    url = "/runtime/webhooks/durabletask/instances/edited/raiseEvent/step"
    return host.post(url, data).status_code


def test_an_edit_that_no_longer_fits_parks_the_instance_until_it_is_taken_back(host: Host) -> None:
    host.start()
    links = host.post("/api/go", {}).json()
    event = links["sendEventPostUri"].replace("{eventName}", "step")
    host.post(event, "on")
    eventually(lambda: "Executed 'Functions.step'" in host.log())
    source = host.app / "function_app.py"
    good = source.read_text()
    source.write_text(good.replace('call_activity("step", len(done))', 'call_sub_orchestrator("steps", 1)'))
    eventually(lambda: host.log().count("Worker process started and initialized.") == 2)
    host.post(event, "on")
    eventually(lambda: "is parked." in host.log())
    source.write_text(good)
    host.post(event, "end")
    assert host.completed(links["id"]) == [0, 1]
