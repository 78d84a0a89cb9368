"""A function of every kind, in both programming models, fired by hand through the admin API."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import APPS, Host, eventually

#: function, input by hand, what it then logs
FIRED = [
    ("queue", "hi", "QueueMessage b'hi'"),
    ("blob", "hi", "InputStream b'hi'"),
    ("event_grid", '{"id": "1", "data": {"x": 1}}', "EventGridEvent {'x': 1}"),
    ("event_hub", "hi", "EventHubEvent b'hi'"),
    ("event_hub_many", '["a", "b"]', "list [b'a', b'b']"),
    ("service_bus_queue", "hi", "ServiceBusMessage b'hi'"),
    ("service_bus_topic", "hi", "ServiceBusMessage b'hi'"),
    ("cosmos_db", '[{"id": "1"}]', "DocumentList [{'id': '1'}]"),
    ("kafka", "hi", "KafkaEvent b'hi'"),
    ("rabbit", "hi", "str hi"),
    ("generic", "hi", "str hi"),
    ("timer", "", "TimerRequest False"),
    ("http", "hi", "HttpRequest b'hi'"),
    ("activity", '"hi"', "str hi"),
    ("orchestration", "in words", "GOT activity str in words"),
    ("entity", '{"key": "k", "operation": "add", "input": 2}', "int k add 2"),
]
NOT_FIRED = (
    "Not fired here, only by hand with POST /admin/functions/NAME: queue (queueTrigger), blob (blobTrigger), "
    "event_grid (eventGridTrigger), event_hub (eventHubTrigger), event_hub_many (eventHubTrigger), service_bus_queue "
    "(serviceBusTrigger), service_bus_topic (serviceBusTrigger), cosmos_db (cosmosDBTrigger), kafka (kafkaTrigger), "
    "rabbit (rabbitMQTrigger), generic (thingTrigger), returning (queueTrigger)."
)


@pytest.fixture(params=["v2", "v1"])
def host(request: pytest.FixtureRequest, new_host: NewHost, tmp_path: Path) -> Host:
    if request.param == "v2":
        return new_host(APPS / "kinds").start()
    return new_host(as_folders(APPS / "kinds", tmp_path / "folders")).start()


def as_folders(source: Path, target: Path) -> Path:
    """The same functions as an app of the v1 model: a function.json for each, the code shared."""
    import azure.durable_functions as df

    shutil.copytree(source, target / "shared")
    (target / "host.json").write_text('{"version": "2.0"}')
    module: dict[str, object] = {}
    exec(compile((source / "function_app.py").read_text(), "function_app.py", "exec"), module)
    app = module["app"]
    assert isinstance(app, df.DFApp)
    for function in app.get_functions():
        name = function.get_function_name()
        bindings = [json.loads(text) for text in function.get_raw_bindings()]
        for binding in bindings:
            binding["type"] = binding["type"].upper() if binding["type"] == "blobTrigger" else binding["type"]
            binding["Unknown"] = "key"
        written = {"bindings": bindings, **({"retry": retry} if (retry := retry_of(function)) else {})}
        folder = target / name
        folder.mkdir()
        (folder / "function.json").write_text(json.dumps(written))
        (folder / "__init__.py").write_text(MAIN.format(name=name))
    return target


def retry_of(function: object) -> dict[str, str] | None:
    settings = function.get_settings_dict("retry_policy")  # type: ignore[attr-defined]
    if not settings:
        return None
    return {"strategy": "fixedDelay", "maxRetryCount": "2", "delayInterval": "00:00:00"}


MAIN = """from ..shared import function_app
main = function_app.{name}._function.get_user_function()
"""


def test_every_kind_of_function(host: Host) -> None:
    log = eventually(lambda: host.log() if "Host started" in host.log() else "")
    assert log.count("Not fired here") == 1
    if not (host.app / "shared").exists():
        assert NOT_FIRED in log
    for function, given, logged in FIRED:
        answer = host.post(f"/admin/functions/{function}", {"input": given})
        assert answer.status_code == 202, function
        line = logged if logged.startswith("GOT ") else f"GOT {function} {logged}"
        eventually(lambda line=line: line in host.log(), what=line)
    assert "Traceback" not in host.log().replace("Stack:", "")


def test_a_timer_that_can_never_fire_is_no_function(host: Host) -> None:
    text = "The 'never' function is in error: The schedule expression 'soon' was not recognized"
    log = eventually(lambda: host.log() if "Host started" in host.log() else "")
    assert log.count(text) == 1
    assert "\tnever:" not in log
    assert "never" not in [function["name"] for function in host.get("/admin/functions").json()]
    assert host.post("/admin/functions/never", {}).status_code == 404
    assert [error for error in host.get("/admin/host/status").json()["errors"] if error.startswith(text)]


def test_retries_are_told_to_the_function(host: Host) -> None:
    for line in ("0 of 0 ", "1 of 2 OSError: not yet", "2 of 2 OSError: not yet"):
        eventually(lambda line=line: f"GOT retried TimerRequest {line}" in host.log(), what=line)


def test_one_line_says_what_was_not_delivered(host: Host) -> None:
    for _ in range(2):
        assert host.get("/api/outputs").text == "ok"
        host.post("/admin/functions/returning", {"input": "x"})
    eventually(lambda: host.log().count("Executed 'Functions.returning' (Succeeded") == 2)
    lines = [line for line in host.log().splitlines() if "not delivered" in line]
    assert len(lines) == 2, lines
    assert "Function outputs gave values to its output bindings" in lines[0]
    for binding in ("queued (queue)", "stored (blob)", "sent (sendGrid)"):
        assert binding in lines[0]
    assert "unused" not in lines[0]
    assert "Function returning gave values to its output binding $return (queue)" in lines[1]
