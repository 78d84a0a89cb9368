"""Traces of real hosts, as a collector gets them: names, parents, and none twice."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import azure.durable_functions as df
import pytest
from opentelemetry.sdk.trace import TracerProvider

import perdure
from tests.acceptance.collector import Collector, Span
from tests.acceptance.host import APPS, WEBHOOK, Host, eventually
from tests.postgres_server import PostgresServer

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=one"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def of_trace(collector: Collector, trace: str = TRACE) -> list[Span]:
    return [span for span in collector.spans if span.trace == trace]


def ended(collector: Collector, name: str, count: int = 1) -> None:
    eventually(lambda: len(collector.named(name)) >= count, what=f"the span {name}")


def test_a_trace_goes_from_the_caller_through_everything(new_host: Callable[..., Host], collector: Collector) -> None:
    settings = {**collector.settings, "AzureFunctionsJobHost__extensions__durableTask__defaultVersion": "2.0"}
    host = new_host(APPS / "observed", settings=settings).start()
    answer = host.post("/api/start/Whole", 0, headers=HEADERS)
    assert (answer.headers["x-traceparent"], answer.headers["x-tracestate"]) == tuple(HEADERS.values())
    whole = answer.json()["id"]
    sender = "00-" + TRACE + "-00f067aa0ba90fff-01"
    eventually(lambda: (host.status(f"{whole}-child") or {}).get("runtimeStatus") == "Completed", what="the child")
    host.post(f"{WEBHOOK}/instances/{whole}/raiseEvent/go", 1, headers={"traceparent": sender})
    output = host.completed(whole)
    ended(collector, "orchestration:Whole@(2.0)")
    ended(collector, "entity:counter:add", 2)

    created, run = collector.one("create_orchestration:Whole@(2.0)"), collector.one("orchestration:Whole@(2.0)")
    assert (created.kind, created.parent, run.kind, run.parent) == ("producer", CALLER, "server", created.id)
    first, inner, second = collector.named("activity:Tell")
    child = collector.one("orchestration:Child@(2.0)")
    assert (first.kind, first.parent, second.parent, inner.parent) == ("server", run.id, run.id, child.id)
    assert (child.kind, child.parent) == ("server", run.id)
    timer = collector.one("orchestration:Whole:timer")
    assert (timer.kind, timer.parent) == ("internal", run.id)
    event = collector.one("orchestration_event:go")
    assert (event.kind, event.parent) == ("producer", "00f067aa0ba90fff")
    call, signal = sorted(collector.named("entity:counter:add"), key=lambda span: span.kind, reverse=True)
    assert (call.kind, call.parent, signal.kind, signal.parent) == ("server", run.id, "consumer", run.id)

    spans = of_trace(collector)
    assert len(spans) == len(collector.spans) == 10
    assert len({span.id for span in spans}) == 10
    assert all(span.state == "vendor=one" for span in spans if span is not event)
    assert all(span.start <= span.end for span in spans)
    # activities are timed by their worker's clock, all else by the store's: near, not the same
    for span in (first, child, timer, call, second):
        assert run.start - 0.1 <= span.start <= span.end <= run.end + 0.1, span
    assert 0.05 <= timer.end - timer.start < 5

    # what the functions saw is what they are in the trace
    told = [json.loads(output[key]) for key in ("told", "child", "again")]
    assert told == [[f"00-{TRACE}-{span.id}-01", "vendor=one"] for span in (first, inner, second)]

    execution = run.attributes["durabletask.task.execution_id"]
    assert run.attributes == {
        "durabletask.type": "orchestration",
        "durabletask.task.name": "Whole",
        "durabletask.task.instance_id": whole,
        "durabletask.task.execution_id": execution,
        "durabletask.task.version": "2.0",
        "durabletask.task.status": "Completed",
    }
    assert second.attributes == {
        "durabletask.type": "activity",
        "durabletask.task.name": "Tell",
        "durabletask.task.instance_id": whole,
        "durabletask.task.execution_id": execution,
        "durabletask.task.task_id": 5,
    }
    assert timer.attributes["durabletask.task.task_id"] == 2
    assert timer.attributes["durabletask.fire_at"].endswith("Z")
    assert event.attributes == {
        "durabletask.type": "event",
        "durabletask.task.name": "go",
        "durabletask.event.target_instance_id": whole,
    }
    assert signal.attributes["durabletask.task.operation"] == "signal_entity"
    assert (run.resource["service.name"], run.scope) == ("app", "perdure")

    # the history tells as the published one does
    status = host.status(whole, showHistory="true")
    assert status is not None
    parents = {e["EventType"]: e["ParentTraceContext"] for e in status["historyEvents"] if "ParentTraceContext" in e}
    assert parents == {
        "ExecutionStarted": {"TraceParent": f"00-{TRACE}-{created.id}-01", "TraceState": "vendor=one"},
        "EventRaised": {"TraceParent": f"00-{TRACE}-{event.id}-01", "TraceState": None},
    }
    assert "$trace" not in json.dumps(host.get(f"{WEBHOOK}/instances").json())


def test_a_kill_in_the_middle_doubles_nothing(new_host: Callable[..., Host], collector: Collector) -> None:
    host = new_host(APPS / "observed", settings=collector.settings).start()
    whole = host.begin("/api/start/Whole", 0.5, headers=HEADERS)["id"]
    ended(collector, "create_orchestration:Whole")
    host.kill()
    host.start()
    ended(collector, "activity:Tell", 2)
    ended(collector, "entity:counter:add", 2)
    host.kill()
    host.start()
    host.post(f"{WEBHOOK}/instances/{whole}/raiseEvent/go", 1)
    assert host.completed(whole)["total"] == 2
    ended(collector, "orchestration:Whole")
    spans = of_trace(collector)
    counts = Counter(span.name for span in spans)
    assert counts == {
        "create_orchestration:Whole": 1,
        "orchestration:Whole": 1,
        "orchestration:Child": 1,
        "activity:Tell": 3,
        "orchestration:Whole:timer": 1,
        "entity:counter:add": 2,
    }
    assert len({span.id for span in spans}) == len(spans)
    known = {span.id for span in spans} | {CALLER}
    assert {span.parent for span in spans} <= known
    run = collector.one("orchestration:Whole")
    assert run.start < collector.named("activity:Tell")[0].start
    # the event came without a context: a trace of its own
    event = collector.one("orchestration_event:go")
    assert (event.trace != TRACE, event.parent) == (True, "")


def test_generations_are_spans_beside_one_another(new_host: Callable[..., Host], collector: Collector) -> None:
    host = new_host(APPS / "observed", settings=collector.settings).start()
    again = host.begin_webhook("Again", 2, "again")["id"]
    host.completed(again)
    ended(collector, "orchestration:Again", 3)
    runs = collector.named("orchestration:Again")
    created = collector.one("create_orchestration:Again")
    assert [run.parent for run in runs] == [created.id] * 3
    # nobody named a context: the trace begins with the creation
    assert created.parent == ""
    status = [run.attributes["durabletask.task.status"] for run in runs]
    assert status == ["ContinuedAsNew", "ContinuedAsNew", "Completed"]
    assert [span.parent for span in collector.named("activity:Tell")] == [run.id for run in runs]
    assert runs[0].end <= runs[1].start and runs[1].end <= runs[2].start
    assert len({span.trace for span in collector.spans}) == 1


def test_failures_are_marked(new_host: Callable[..., Host], collector: Collector) -> None:
    host = new_host(APPS / "observed", settings=collector.settings).start()
    host.completed(host.begin("/api/start/Failing", 0, headers=HEADERS)["id"])
    host.finished(host.begin("/api/start/Steps", "no number", headers=HEADERS)["id"])
    waiting = host.begin("/api/start/Shaped", 0, headers=HEADERS)["id"]
    host.post(f"{WEBHOOK}/instances/{waiting}/terminate")
    host.finished(waiting)
    ended(collector, "orchestration:Shaped")
    ended(collector, "orchestration:Steps")
    assert collector.one("activity:Boom").error == "Activity function 'Boom' failed:  ValueError: as asked"
    assert collector.one("orchestration:Failing").error is None
    failed = collector.one("orchestration:Steps")
    assert (failed.error or "").startswith("Orchestrator function 'Steps' failed")
    assert failed.attributes["durabletask.task.status"] == "Failed"
    assert collector.one("orchestration:Shaped").attributes["durabletask.task.status"] == "Terminated"


def test_a_caller_that_does_not_sample_is_not_traced_but_known(
    new_host: Callable[..., Host], collector: Collector
) -> None:
    host = new_host(APPS / "observed", settings=collector.settings).start()
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-00"}
    child = host.begin("/api/start/Child", 0, headers=headers)["id"]
    told = json.loads(host.completed(child))[0]
    assert told.startswith(f"00-{TRACE}-") and told.endswith("-00")
    host.stop()
    assert collector.spans == []


def test_a_stop_sends_what_is_queued(new_host: Callable[..., Host], collector: Collector) -> None:
    settings = {**collector.settings, "OTEL_BSP_SCHEDULE_DELAY": "60000", "OTEL_SERVICE_NAME": "shop"}
    host = new_host(APPS / "observed", settings=settings).start()
    host.completed(host.begin("/api/start/Child", 0)["id"])
    assert collector.spans == []
    host.stop()
    assert collector.one("orchestration:Child").resource["service.name"] == "shop"


def test_a_collector_that_is_away_costs_a_line(new_host: Callable[..., Host]) -> None:
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_BSP_SCHEDULE_DELAY": "50"}
    host = new_host(APPS / "observed", settings=settings).start()
    for _ in range(3):
        host.completed(host.begin("/api/start/Child", 0)["id"])
    assert host.stop(seconds=15) == 0
    assert host.log().count("Traceback") == 0


def blocked(folder: Path, *modules: str) -> str:
    """A folder for PYTHONPATH: these modules are not there, and who looks for them leaves a line in `wanted`."""
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name in {modules!r}:\n"
        f"            with open({str(folder / 'wanted')!r}, 'a') as wanted:\n"
        "                wanted.write(name + '\\n')\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    return str(folder)


def test_spans_of_the_app_and_of_the_host_are_one_trace(new_host: Callable[..., Host], collector: Collector) -> None:
    settings = {**collector.settings, "PYTHON_ENABLE_OPENTELEMETRY": "true"}
    host = new_host(APPS / "instrumented", settings=settings).start()
    instance_id = host.begin("/api/start", f"{host.url}/api/seen", headers=HEADERS)["id"]
    seen = host.completed(instance_id)
    ended(collector, "orchestration:Calls")
    asking, created = collector.one("asking"), collector.one("create_orchestration:Calls")
    assert (asking.scope, asking.parent, created.parent) == ("app", CALLER, asking.id)
    for user, activity in (
        ("plain work", "activity:Plain"),
        ("async work", "activity:Async"),
        ("answering", "activity:BuiltIn::HttpActivity"),
    ):
        assert collector.one(user).parent == collector.one(activity).id, user
    call = collector.one("activity:BuiltIn::HttpActivity")
    assert seen == f"00-{TRACE}-{call.id}-01"
    assert {span.trace for span in collector.spans} == {TRACE}


def test_a_trace_goes_over_hosts(new_host: Callable[..., Host], collector: Collector, tmp_path: Path) -> None:
    """A host that was not there when the work began, on PostgreSQL: it has all contexts from the store."""
    server = PostgresServer(fsync=True)
    server.make()
    try:
        with server.database() as url:
            settings = {
                **collector.settings,
                "PERDURE_STORE": url,
                "AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions": "1",
                "AzureFunctionsJobHost__extensions__perdure__hostTtl": "00:00:03",
            }
            names = ("one", "two")
            hosts = [new_host(APPS / "observed", settings={**settings, "OTEL_SERVICE_NAME": n}).start() for n in names]
            time.sleep(1.2)  # a host asks who else is there three times in a TTL
            started = [hosts[0].begin("/api/start/Child", 0.5, headers=HEADERS)["id"] for _ in range(6)]
            slow = hosts[0].begin("/api/start/Whole", 0.5, headers=HEADERS)["id"]
            ended(collector, "activity:Tell", 6)
            hosts[0].kill()
            hosts[1].post(f"{WEBHOOK}/instances/{slow}/raiseEvent/go", 1)
            for instance_id in (*started, slow):
                hosts[1].completed(instance_id)
            ended(collector, "orchestration:Whole")
            hosts[1].stop()
    finally:
        server.remove()
    spans = of_trace(collector)
    assert len({span.id for span in spans}) == len(spans)
    by_id = {span.id: span for span in spans}
    # what the first host had done and not sent when it was killed is missing, but nothing hangs on a wrong parent
    run = collector.one("orchestration:Whole")
    created = by_id[run.parent]
    assert (created.name, created.parent) == ("create_orchestration:Whole", CALLER)
    assert (created.resource["service.name"], run.resource["service.name"]) == names
    where = {span.resource["service.name"] for span in collector.named("activity:Tell")}
    assert where == set(names)


@pytest.mark.parametrize("by", ["store", "host"])
def test_a_span_of_a_script_is_the_parent_of_what_it_starts(
    new_host: Callable[..., Host], collector: Collector, by: str
) -> None:
    host = new_host(APPS / "observed", settings=collector.settings).start()
    url = host.url if by == "host" else f"sqlite:///{host.app}/.perdure/TestHubName.db"
    tracer = TracerProvider().get_tracer("script")
    with perdure.client(url, sync=True) as client, tracer.start_as_current_span("script") as span:
        context = span.get_span_context()
        instance_id = client.start_new("Shaped", client_input=0)
        client.raise_event(instance_id, "go", 1)
        client.signal_entity(df.EntityId("Counter", "all"), "add", 1)
    host.completed(instance_id)
    ended(collector, "orchestration:Shaped")
    ended(collector, "entity:counter:add")
    expected = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    created, signalled = collector.one("create_orchestration:Shaped"), collector.one("entity:counter:add")
    assert (created.trace, created.parent) == (signalled.trace, signalled.parent) == expected
    event = collector.named("orchestration_event:go")
    # a script beside the hosts sends no spans itself; what the event began is in the history
    assert [(one.trace, one.parent) for one in event] == ([expected] if by == "host" else [])


def test_what_is_off_loads_nothing_and_stores_nothing(new_host: Callable[..., Host], tmp_path: Path) -> None:
    folder = tmp_path / "blocked"
    folder.mkdir()
    host = new_host(APPS / "observed", settings={"PYTHONPATH": blocked(folder, "opentelemetry")}).start()
    whole = host.begin("/api/start/Whole", 0, headers=HEADERS)["id"]
    host.post(f"{WEBHOOK}/instances/{whole}/raiseEvent/go", 1, headers=HEADERS)
    host.completed(whole)
    host.stop()
    assert not (folder / "wanted").exists()
    with sqlite3.connect(host.app / ".perdure" / "TestHubName.db") as store:
        assert store.execute("SELECT count(*), count(tags) FROM instance").fetchone() == (3, 0)
        bodies = [body for (body,) in store.execute("SELECT body FROM history")]
    keys = {key for body in bodies for event in json.loads(body) for key in event}
    assert "FireAt" in keys and not keys & {"Trace", "Created"}


def test_without_the_extra_there_is_a_hint(new_host: Callable[..., Host], collector: Collector, tmp_path: Path) -> None:
    folder = tmp_path / "blocked"
    folder.mkdir()
    settings = {**collector.settings, "PYTHONPATH": blocked(folder, "opentelemetry")}
    host = new_host(APPS / "observed", settings=settings).start()
    assert "Traces need an extra: pip install perdure[otel]. No spans are sent." in host.log()
    assert json.loads(host.completed(host.begin("/api/start/Child", 0, headers=HEADERS)["id"])) == ["", ""]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_TRACES_EXPORTER": "none"},
        {"AzureFunctionsJobHost__extensions__durableTask__tracing__distributedTracingEnabled": "false"},
    ],
)
def test_off_unless_configured(new_host: Callable[..., Host], collector: Collector, settings: dict[str, str]) -> None:
    host = new_host(APPS / "observed", settings={**(collector.settings if settings else {}), **settings}).start()
    child = host.begin("/api/start/Child", 0, headers=HEADERS)["id"]
    assert json.loads(host.completed(child)) == ["", ""]
    host.stop()
    assert collector.spans == []
    assert TRACE.encode() not in (host.app / ".perdure" / "TestHubName.db").read_bytes()


def test_asked_for_without_a_destination_is_told(new_host: Callable[..., Host]) -> None:
    host = new_host(APPS / "observed", settings={"AzureFunctionsJobHost__telemetryMode": "OpenTelemetry"}).start()
    assert "host.json asks for distributed tracing, but nothing says where spans go." in host.log()
