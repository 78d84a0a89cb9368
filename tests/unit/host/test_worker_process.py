"""Real worker processes: crashes, hangs, blocking orchestrators, prints of every encoding, order of logs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from perdure.host.protocol.executions import RunEnded, RunKind, RunStarted
from perdure.host.protocol.messages import HttpAnswer, InvocationFailed
from perdure.host.supervision.supervisor import Supervisor, WorkerStartError
from perdure.host.supervision.worker_link import SupervisorOptions
from perdure.model.codec import encode_history
from perdure.model.execution import (
    ActivityCompleted,
    ActivityFailed,
    ActivityLost,
    EntityRequest,
    SessionMissing,
    TurnDecided,
    TurnLost,
)
from perdure.model.history import (
    EntityOperationRequested,
    ExecutionStarted,
    OrchestratorStarted,
    TaskCompleted,
    TaskScheduled,
)
from perdure.model.operations import StartInstance
from tests.unit.host.worker_world import world

APP = """
session = None
@app.orchestration_trigger(context_name="context")
def chain(context):
    logging.info("first line")
    print("first print")
    one = yield context.call_activity("say", "a")
    logging.info("second line %s", one)
    two = yield context.call_activity("say", "b")
    return [one, two]
@app.orchestration_trigger(context_name="context")
def block(context):
    time.sleep(1.2)
    yield context.call_activity("say", "a")
@app.orchestration_trigger(context_name="context")
def die(context):
    os._exit(9)
    yield
@app.orchestration_trigger(context_name="context")
def inner_loop(context):
    return asyncio.run(nap(7))
async def nap(value):
    await asyncio.sleep(0.001)
    return value
@app.activity_trigger(input_name="text")
def say(text): return f"said {text}"
@app.activity_trigger(input_name="x")
def fail(x): raise ValueError("boom")
@app.activity_trigger(input_name="x")
def leave(x): sys.exit("bye")
@app.activity_trigger(input_name="x")
def crash(x): os._exit(7)
@app.activity_trigger(input_name="x")
def sleep(x):
    time.sleep(x)
    return x
@app.activity_trigger(input_name="x")
async def nap_async(x):
    await asyncio.sleep(x)
    return os.getpid()
@app.activity_trigger(input_name="x")
def loops(x): return asyncio.run(nap(x))
@app.activity_trigger(input_name="x")
def unwritable(x): return {"a": [threading.Lock()]}
@app.activity_trigger(input_name="x")
def talk(x, context: func.Context):
    print("print 1")
    logging.info("log 2")
    sys.stdout.buffer.write("bytes é 3\\n".encode("latin-1"))
    logging.getLogger("my.own").warning("log %s 4 \\ud800", "ü")
    print("err 5", file=sys.stderr)
    print("a warning 6", file=sys.stderr)
    thread = threading.Thread(target=lambda: print("thread 7"), name="mine")
    thread.start(); thread.join()
    print("no end 8", end="")
    return context.invocation_id
@app.activity_trigger(input_name="x")
def native(x):
    os.write(1, b"native \\xff line\\n")
    os.system("echo child line")
    time.sleep(0.1)
@app.route(route="start")
@app.durable_client_input(client_name="client")
async def start(req, client: df.DurableOrchestrationClient):
    return await client.start_new("chain", client_input={"a": 1})
@app.route(route="start_plain")
@app.durable_client_input(client_name="client")
def start_plain(req, client):
    return client.start_new("chain")
@app.route(route="echo")
def echo(req): return func.HttpResponse(req.get_body(), status_code=201)
@app.route(route="loop")
async def loop(req):
    global session
    if session is None:
        session = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, session.set_result, "kept")
    return str(await asyncio.shield(session))
@app.route(route="wrong")
def wrong(req): raise KeyError("nope")
@app.timer_trigger(arg_name="timer", schedule="0 0 * * * *")
def tick(timer):
    logging.info("past due %s", timer.past_due)
@app.entity_trigger(context_name="context")
def counter(context):
    context.set_state(context.get_state(lambda: 0) + context.get_input())
"""


def run(scenario, root: Path, app: str | None = APP, **options) -> None:
    async def within() -> None:
        async with world(root, app, **options) as made:
            await asyncio.wait_for(scenario(made), 50)

    asyncio.run(within())


def test_functions_of_every_kind(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        assert w.app.errors == [] and w.app.pid in w.supervisor.processes and w.app.threads >= 1
        assert (await w.activity("SAY", '"x"')).result == '"said x"'
        assert (await w.activity("loops", "5")).result == "5"
        assert (await w.activity("nap_async", "0.01")).result == str(w.app.pid)
        failed = await w.activity("fail")
        assert failed.reason == "Activity function 'fail' failed:  ValueError: boom" and failed.details is None
        assert failed.failure.stack_trace.splitlines()[0].startswith(f'  File "{tmp_path}/function_app.py", line ')
        assert failed.failure.stack_trace.count("File ") == 1
        assert (await w.activity("leave")).reason == "Activity function 'leave' failed:  SystemExit: bye"
        assert "result.a[0]: " in (await w.activity("unwritable")).reason
        first = await w.turn("chain")
        assert isinstance(first, TurnDecided) and first.actions[0].input == '"a"'
        assert w.supervisor.has_session(1, 0, 1) and not w.supervisor.has_session(1, 0, 2)
        w.supervisor.turn_applied(1, 0, 1)
        await w.turn("chain", base=1, events=[TaskCompleted(0, '"r"')])
        last = await w.turn("chain", base=2, events=[TaskCompleted(1, '"s"')])
        assert last.actions[-1].result == '["r", "s"]'
        assert not w.supervisor.has_session(1, 0, 3)
        assert (await w.turn("inner_loop", n=5)).actions[-1].result == "7"
        await w.turn("chain", n=2)
        w.supervisor.drop_session(2)
        assert isinstance(await w.turn("chain", n=2, base=1, events=[TaskCompleted(0, '"r"')]), SessionMissing)
        operation = EntityOperationRequested("add", "5", caller=1)
        decided = await w.entity(EntityRequest(9, 0, "@counter@k", "counter", 1, None, [operation, operation]))
        assert decided.state == "10"
        assert (await w.http("echo", b"body")).body == b"body"
        assert (await w.http("start")).body == b"started" and (await w.http("start_plain")).body == b"started"
        assert [type(call.operation) for call in w.calls] == [StartInstance, StartInstance]
        assert (await w.http("loop")).body == b"kept" and (await w.http("loop")).body == b"kept"
        wrong = await w.http("wrong")
        assert isinstance(wrong, InvocationFailed) and wrong.failure.error_type == "KeyError"
        await w.supervisor.calls.invoke_trigger("tick", None)
        assert "past due False" in w.lines
        assert (await w.supervisor.calls.invoke_trigger("say", '"hand"')).result == '"said hand"'
        nobody = await w.http("nobody")
        assert nobody.failure.message == "The function 'nobody' doesn't exist or is disabled."

    run(scenario, tmp_path)


def test_logs_in_order_under_their_function(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        done = await w.activity("talk", n=3)
        said = [(line.level, line.category, line.text) for line in w.logs]
        assert said == [
            (20, "", "print 1"),
            (20, "root", "log 2"),
            (20, "", "bytes \\xe9 3"),
            (30, "my.own", "log ü 4 \\ud800"),
            (40, "", "err 5"),
            (30, "", "a warning 6"),
            (20, "", "thread 7"),
            (20, "", "no end 8"),
        ]
        assert {(line.function, line.instance_id, f'"{line.invocation}"') for line in w.logs} == {
            ("talk", "instance3", done.result)
        }
        assert w.logs[6].thread == "mine" and w.logs[0].time <= w.logs[7].time
        w.logs.clear()
        await w.activity("native", n=4)
        assert w.lines == ["native \\xff line", "child line"]
        assert {line.function for line in w.logs} == {"native"}

    run(scenario, tmp_path)


def test_lines_of_a_replay_are_dropped(tmp_path: Path) -> None:
    history = [encode_history([OrchestratorStarted(1), ExecutionStarted("chain"), TaskScheduled(0, "say", '"a"')])]

    async def scenario(w) -> None:
        await w.turn("chain", base=1, events=[TaskCompleted(0, '"r"')], history=history)
        shown = [line.text for line in w.logs if line.function == "chain"]
        assert shown[-1] == "second line r"
        assert shown[:-1] == (
            ["first line", "first print"] if w.supervisor.options.settings.trace_replay_events else []
        )

    run(scenario, tmp_path)
    run(scenario, tmp_path, settings={"trace_replay_events": True})


def test_where_every_turn_replays_no_session_is_expected(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        await w.turn("chain")
        await w.until(lambda: not w.supervisor.has_session(1, 0, 1), 1)

    run(scenario, tmp_path, settings={"sdk": {"max_sessions": 0}})


def test_a_turn_whose_session_was_lost_goes_on_as_the_same_run(tmp_path: Path) -> None:
    said = [OrchestratorStarted(1), ExecutionStarted("chain"), TaskScheduled(0, "say", '"a"')]
    history = [encode_history(said)]

    async def scenario(w) -> None:
        await w.turn("chain")
        await w.turn("chain", n=2)  # there is room for one session
        w.told.clear()
        missing = await w.turn("chain", base=1, events=[TaskCompleted(0, '"r"')])
        assert isinstance(missing, SessionMissing)
        assert isinstance(await w.turn("chain", base=1, events=[TaskCompleted(0, '"r"')], history=history), TurnDecided)
        assert [type(event) for event in w.told] == [RunStarted, RunEnded]
        assert w.told[0].invocation == w.told[1].invocation
        # nobody wants it any more
        w.told.clear()
        assert isinstance(await w.turn("chain", n=2, base=1, events=[TaskCompleted(0, '"r"')]), SessionMissing)
        w.supervisor.drop_session(2)
        assert [type(event) for event in w.told] == [RunStarted, RunEnded]

    run(scenario, tmp_path, settings={"sdk": {"max_sessions": 1}})


def test_a_line_without_an_end_stays_with_the_run_that_printed_it(tmp_path: Path) -> None:
    app = """
@app.orchestration_trigger(context_name="context")
def mutter(context):
    print("one", end="")
    yield context.call_activity("whisper", 1)
    print(" two", end="")
@app.activity_trigger(input_name="n")
async def whisper(n):
    print(n, end="")
    await asyncio.sleep(0.05 * n)
    print(n)
"""

    async def scenario(w) -> None:
        await w.turn("mutter")
        await w.turn("mutter", base=1, events=[TaskCompleted(0, "null")])
        await w.turn("mutter", n=2)
        assert [(line.text, line.instance_id) for line in w.logs] == [
            ("one", "instance1"),
            (" two", "instance1"),
            ("one", "instance2"),
        ]
        w.logs.clear()
        await asyncio.gather(w.activity("whisper", "2", task=1), w.activity("whisper", "1", task=2))
        assert w.lines == ["11", "22"]
        # what a replay began to print does not begin a line of the turn that follows
        w.logs.clear()
        said = [OrchestratorStarted(1), ExecutionStarted("mutter"), TaskScheduled(0, "whisper", "1")]
        history = [encode_history(said)]
        await w.turn("mutter", n=3, base=1, events=[TaskCompleted(0, "null")], history=history)
        assert w.lines == [" two"]

    run(scenario, tmp_path, app)


def test_a_blocking_orchestrator_delays_nothing_else_and_is_named(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        before = time.monotonic()
        blocked = w.turn("block")
        assert isinstance(await w.http("echo", b"1"), HttpAnswer)
        assert isinstance(await w.http("loop"), HttpAnswer)
        await w.activity("nap_async", "0.01")
        assert time.monotonic() - before < 0.9 and not blocked.done()
        await w.until(lambda: any("without reaching a yield" in line for line in w.lines))
        assert time.monotonic() - before < 0.9
        line = next(line for line in w.logs if "without reaching a yield" in line.text)
        assert f"(now at {tmp_path}/function_app.py:" in line.text
        assert (line.function, line.instance_id, line.level) == ("block", "instance1", 30)
        await blocked

    run(scenario, tmp_path)


def test_a_crash_is_blamed_on_what_had_begun(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        assert w.app.threads == 2
        sleeping = w.activity("sleep", "0.5", task=1)
        await asyncio.sleep(0.1)
        crashing, waiting = w.activity("crash", task=2), [w.activity("sleep", "0", task=t) for t in (3, 4)]
        lost = await crashing
        assert isinstance(lost, ActivityLost) and lost.began and not lost.alone
        assert "ended with exit code 7" in lost.reason
        other = await sleeping
        assert isinstance(other, ActivityLost) and other.began and not other.alone
        for given_back in await asyncio.gather(*waiting):
            assert isinstance(given_back, ActivityLost) and not given_back.began
        assert any("ended with exit code 7 and is replaced" in line for line in w.lines)
        # suspects run alone now; the innocent one ends well, the other dies by itself
        again, innocent = w.activity("crash", task=2), w.activity("sleep", "0.01", task=1)
        alone = await again
        assert isinstance(alone, ActivityLost) and alone.alone and alone.began
        done = await innocent
        assert isinstance(done, ActivityCompleted) and done.worker.startswith("quarantine-")
        assert (await w.activity("say", '"x"', task=9)).worker.startswith("worker-")

    run(scenario, tmp_path, threads=2)


def test_an_orchestrator_that_kills_its_worker(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        await w.turn("chain", n=4)
        lost = await w.turn("die")
        assert isinstance(lost, TurnLost) and lost.alone and "exit code 9" in lost.reason
        assert not w.supervisor.has_session(4, 0, 1)
        again = await w.turn("die")
        assert isinstance(again, TurnLost) and again.alone
        assert (await w.http("echo", b"x")).body == b"x"

    run(scenario, tmp_path)


def test_function_timeout_replaces_the_worker(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        hanging, short = w.activity("sleep", "60", task=1), w.activity("nap_async", "1.5", task=2)
        before = time.monotonic()
        late = await hanging
        assert time.monotonic() - before < 4
        assert isinstance(late, ActivityFailed)
        assert "Timeout value of 00:00:02 exceeded by function 'Functions.sleep' (Id: '" in late.reason
        assert isinstance(await short, ActivityCompleted)
        assert (await w.activity("say", '"x"')).worker == "worker-2"
        blocked, queued = w.turn("block_long", n=1), w.turn("chain", n=2)
        lost = await blocked
        assert isinstance(lost, TurnLost) and lost.alone and "functionTimeout" in lost.reason
        assert isinstance(await queued, SessionMissing)
        assert isinstance(await w.turn("chain", n=2), TurnDecided)
        await w.until(lambda: len(w.supervisor.processes) == 1)

    text = APP + '@app.orchestration_trigger("context")\ndef block_long(context):\n    time.sleep(60)\n    yield\n'
    run(scenario, tmp_path, text, function_timeout=2.0, shutdown_grace=0.5)


def test_cancelling(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        napping, plain, queued = (
            w.activity("nap_async", "60", 1),
            w.activity("sleep", "0.5", 2),
            w.activity("say", "1", 3),
        )
        await asyncio.sleep(0.1)
        for task in (1, 2, 3):
            w.supervisor.cancel_activity(1, 0, task)
        assert "CancelledError" in (await napping).reason
        assert isinstance(await plain, ActivityCompleted)
        assert "ActivityCancelled" in (await queued).reason
        assert [line for line in w.lines if "runs on" in line] == [
            "Activity function 'sleep' runs on; its result will be discarded."
        ]

    run(scenario, tmp_path, threads=1)


def test_abandoning_cancels_only_what_has_not_begun(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        napping, plain, queued = (
            w.activity("nap_async", "0.5", 1),
            w.activity("sleep", "0.5", 2),
            w.activity("say", "1", 3),
        )
        await asyncio.sleep(0.1)
        for task in (1, 2, 3):
            w.supervisor.cancel_activity(1, 0, task, running=False)
        assert isinstance(await napping, ActivityCompleted)
        assert isinstance(await plain, ActivityCompleted)
        assert "ActivityCancelled" in (await queued).reason
        assert sorted(line for line in w.lines if "runs on" in line) == [
            "Activity function 'nap_async' runs on; its result will be discarded.",
            "Activity function 'sleep' runs on; its result will be discarded.",
        ]

    run(scenario, tmp_path, threads=1)


def test_a_hung_process_is_replaced(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        os.kill(w.app.pid, signal.SIGSTOP)
        lost = await w.activity("say", '"x"')
        assert isinstance(lost, ActivityLost)
        assert any("has not answered for" in line for line in w.lines)
        assert isinstance(await w.activity("say", '"x"', task=5), ActivityCompleted)

    run(scenario, tmp_path, heartbeat_limit=2.0)


def test_several_workers_share_the_work(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        await w.until(lambda: len(w.supervisor.processes) == 3)
        done = await asyncio.gather(*(w.activity("nap_async", "0.1", task=t) for t in range(6)))
        assert len({outcome.result for outcome in done}) == 3
        for n in range(6):
            await w.turn("chain", n=n)
        assert all(w.supervisor.has_session(n, 0, 1) for n in range(6))
        second = await asyncio.gather(*(w.turn("chain", n=n, base=1, events=[TaskCompleted(0, "1")]) for n in range(6)))
        assert all(isinstance(turn, TurnDecided) and not turn.replayed for turn in second)

    run(scenario, tmp_path, processes=3)


def test_what_is_told_of_runs(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        await w.turn("chain")
        await w.activity("fail")
        await w.http("echo")
        started = [(e.function, e.kind) for e in w.told if isinstance(e, RunStarted)]
        assert started == [("chain", RunKind.TURN), ("fail", RunKind.ACTIVITY), ("echo", RunKind.HTTP)]
        ended = [(e.function, e.success, e.error.split("\n")[0]) for e in w.told if isinstance(e, RunEnded)]
        assert ended == [
            ("chain", True, ""),
            ("fail", False, "ValueError: boom"),
            ("echo", True, ""),
        ]

    run(scenario, tmp_path)


def test_reload(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        path = tmp_path / "function_app.py"
        text = path.read_text()
        running = w.activity("nap_async", "0.5", task=1)
        path.write_text("x = (")
        broken = await w.supervisor.reload()
        assert broken.errors[0].fatal and "SyntaxError" in broken.errors[0].text
        assert (await w.activity("say", '"x"')).result == '"said x"'
        path.write_text("import os\nos._exit(3)\n")
        with pytest.raises(WorkerStartError, match="ended with exit code 3"):
            await w.supervisor.reload()
        assert (await w.activity("say", '"x"')).result == '"said x"'
        path.write_text(text.replace("said", "whispered"))
        assert (await w.supervisor.reload()).errors == []
        assert (await w.activity("say", '"x"')).result == '"whispered x"'
        assert (await running).result == str(w.app.pid)

    run(scenario, tmp_path)


def test_stop_gives_back_what_does_not_end(tmp_path: Path) -> None:
    async def scenario(w) -> None:
        quick, slow = w.activity("nap_async", "0.2", task=1), w.activity("sleep", "60", task=2)
        await asyncio.sleep(0.1)
        before = time.monotonic()
        await w.supervisor.stop(0.6)
        assert time.monotonic() - before < 3
        assert isinstance(await quick, ActivityCompleted)
        given_back = await slow
        assert isinstance(given_back, ActivityLost) and not given_back.began and not given_back.alone
        refused = await w.activity("say", '"x"')
        assert isinstance(refused, ActivityLost) and not refused.began

    run(scenario, tmp_path)


HOST = """
import asyncio, sys
from perdure.host.supervision.supervisor import Supervisor
from perdure.host.supervision.worker_link import SupervisorOptions
from perdure.host.protocol.messages import TurnRequest
from perdure.model.execution import ActivityRequest
async def main():
    supervisor = Supervisor(SupervisorOptions(sys.argv[1]), on_log=print, on_client_call=None)
    app = await supervisor.start()
    supervisor.run_activity(ActivityRequest(1, 0, 0, "i", "sleep", "60"), print)
    await asyncio.sleep(0.2)
    print(app.pid, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z" if Path("/proc").exists() else True


def test_workers_end_with_a_killed_host(tmp_path: Path) -> None:
    from tests.unit.host.worker_world import HEADER

    (tmp_path / "function_app.py").write_text(HEADER + APP)
    with subprocess.Popen([sys.executable, "-c", HOST, str(tmp_path)], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
        ends = time.monotonic() + 5
        while alive(pid) and time.monotonic() < ends:
            time.sleep(0.02)
        assert not alive(pid)


def test_a_worker_imports_little_before_the_app(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(
        "import sys\nloaded = {name.split('.')[0] for name in sys.modules}\nimport azure.functions as func\n"
        "app = func.FunctionApp()\n@app.route('loaded')\ndef loaded_modules(req): return ' '.join(sorted(loaded))\n"
    )

    async def scenario(w) -> None:
        loaded = set((await w.http("loaded_modules")).body.decode().split())
        unwanted = {"uvicorn", "starlette", "typer", "rich", "httpx", "uvloop", "watchfiles", "click", "anyio", "yaml"}
        assert not loaded & unwanted

    run(scenario, tmp_path, None)


def test_another_interpreter_without_perdure(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = SupervisorOptions(
            str(tmp_path), interpreter=sys.executable, arguments=("-I", "-S"), environment={"PATH": "/bin"}
        )
        supervisor = Supervisor(options, on_log=lambda _: None, on_client_call=lambda *_: None)
        with pytest.raises(WorkerStartError, match=f"perdure is not installed for {sys.executable}: .* -m pip install"):
            await supervisor.start()
        missing = SupervisorOptions(str(tmp_path), interpreter=str(tmp_path / "none"))
        with pytest.raises(WorkerStartError, match=r"could not be started: .*defaultExecutablePath"):
            await Supervisor(missing, on_log=lambda _: None, on_client_call=lambda *_: None).start()

    asyncio.run(scenario())


def test_log_lines_are_bounded(tmp_path: Path) -> None:
    """A function that logs more than the host takes waits at the end of the window, and goes on with credit."""
    app = '@app.activity_trigger("x")\ndef flood(x):\n    for _ in range(100):\n        print("x" * 100_000)\n'

    async def scenario(w) -> None:
        w.supervisor.hold_logs(True)
        flooding = w.activity("flood")
        await w.until(lambda: len(w.logs) >= 40)
        await asyncio.sleep(0.2)
        assert not flooding.done() and len(w.logs) < 60
        assert isinstance(await w.http("still"), HttpAnswer)
        w.supervisor.hold_logs(False)
        await flooding
        assert len(w.logs) == 100

    run(scenario, tmp_path, app + '@app.route("still")\ndef still(req): return "here"\n')
