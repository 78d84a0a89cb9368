"""The host as a process: signals, start-up time, user code that blocks or brings its own loops, log lines."""

from __future__ import annotations

import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import APPS, WEBHOOK, eventually


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_drain_and_stop_cleanly(new_host: NewHost, tmp_path: Path, number: int) -> None:
    runs = tmp_path / "runs.txt"
    host = new_host(APPS / "recorder", settings={"RUNS_FILE": str(runs)}).start()
    host.begin_webhook("chain", {"steps": 30, "seconds": 0.05}, "going")
    eventually(lambda: runs.exists() and runs.read_text().count("\n") > 3)
    begun = time.monotonic()
    assert host.stop(number) == 0
    assert time.monotonic() - begun < 5
    assert "Traceback" not in host.log()
    before = runs.read_text().splitlines()
    host.start()
    assert host.completed("going") == 30
    keys = [line.split()[0] for line in runs.read_text().splitlines()]
    assert len(keys) == len(set(keys)) == 30, "a clean stop lets running activities finish, none runs twice"
    assert keys[: len(before)] == [line.split()[0] for line in before]


def test_a_stop_says_what_it_waits_for(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host(APPS / "recorder", settings={"RUNS_FILE": str(tmp_path / "runs.txt")}).start()
    host.begin_webhook("chain", {"steps": 1, "seconds": 1.0}, "going")
    eventually(lambda: (tmp_path / "runs.txt").exists())
    assert host.stop(signal.SIGINT) == 0
    assert "Stopping: 1 function may end within 10 s. A second signal stops at once." in host.log()
    host.start()
    host.completed("going")
    assert host.stop() == 0
    assert host.log().count("Stopping:") == 1


def test_a_small_app_is_ready_in_time_and_says_so(new_host: NewHost) -> None:
    host = new_host("chaining")
    best = 99.0
    for _ in range(3):
        host.start()
        best = min(best, host.ready_seconds)
        host.stop()
    assert best < 1.5, best
    assert re.search(r"(?i)\b(ready|started)\b.*\b\d+(\.\d+)? ?m?s\b", host.log()), host.log()


def test_a_blocking_orchestrator_delays_no_http_and_no_async_activity(new_host: NewHost) -> None:
    host = new_host(APPS / "hosting").start()
    assert host.get("/api/ping").text == "pong"
    host.begin_webhook("blocking", 1.5, "blocker")
    time.sleep(0.2)  # the orchestrator sleeps now
    slowest = 0.0
    end = time.monotonic() + 0.9
    while time.monotonic() < end:
        for path in ("/api/ping", "/api/async-ping"):
            begun = time.monotonic()
            assert host.get(path).text == "pong"
            slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 0.5, f"a request took {slowest:.2f} s while an orchestrator blocked"
    found = host.status("blocker")
    assert found is not None
    assert found["runtimeStatus"] in ("Pending", "Running")
    assert host.completed("blocker") == "slept"
    named = r"Orchestrator function 'blocking' has been running for \d+ ms without reaching a yield \(now at .*:\d+\)"
    assert re.search(named, host.log()), "a blocked turn is named in the log"


def test_an_async_activity_runs_while_an_orchestrator_blocks(new_host: NewHost) -> None:
    host = new_host(APPS / "hosting").start()
    host.begin_webhook("async_steps", 1, "first")
    host.completed("first")
    # Both turns go to the turn thread: the activity that the first one asked for must not wait for the second.
    host.begin_webhook("async_steps", 1, "quick")
    begun = time.time()
    host.begin_webhook("blocking", 1.5, "blocker")
    (ran,) = host.completed("quick")
    assert ran - begun < 1, "the activity started while the orchestrator slept"
    assert host.completed("blocker") == "slept"


def test_loops_and_sessions_of_user_code(new_host: NewHost) -> None:
    host = new_host(APPS / "hosting").start()
    host.begin_webhook("own_loops", None, "loops")
    assert host.completed("loops") == [1, 2]
    host.begin_webhook("fetch_often", f"{host.url}/api/ping", "fetched")
    assert host.completed("fetched") == ["pong", "pong"]


def test_prints_and_log_records_of_any_encoding_appear_once(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host(APPS / "hosting", settings=sessions).start()
    host.begin_webhook("talkative", None, "talker")
    assert host.completed("talker") == "talked"
    log = eventually(lambda: host.log() if "printed after" in host.log() else "")
    for line in ("printed before", "logged before", "printed after", "grüße, 世界", "an error line"):
        assert log.count(line) == 1, (line, log)
    assert "that are no text" in log
    said = ("printed before", "logged before", "grüße", "an error line", "printed after")
    order = [log.index(line) for line in said]
    assert order == sorted(order)


def test_plain_and_json_log_formats(new_host: NewHost) -> None:
    import json

    plain = new_host("chaining", args=("--log-format", "plain")).start()
    plain.completed(plain.begin("/api/recipes/a")["id"])
    pattern = r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[Information\] Executing 'Functions.cook' "
    assert re.search(pattern, plain.log()), plain.log()
    structured = new_host("chaining", args=("--log-format", "json")).start()
    links = structured.begin("/api/recipes/a")
    structured.completed(links["id"])

    def records() -> list[dict[str, object]]:
        lines = [line for line in structured.log().splitlines() if line.startswith("{")]
        found = [json.loads(line) for line in lines]
        return [line for line in found if "Executed 'Functions.boil'" in str(line)]

    (record,) = eventually(records)
    assert links["id"] in record.values(), record
    assert "boil" in record.values(), record
    assert "Information" in record.values(), record


def test_many_requests_beside_each_other(new_host: NewHost) -> None:
    host = new_host("http_beside_durable").start()
    answers: list[int] = []

    def ask() -> None:
        answers.extend(host.get(f"/api/greet/Ada/{n}").status_code for n in range(1, 30))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8 * 29


def test_what_is_not_there_is_said_plainly(new_host: NewHost) -> None:
    host = new_host("chaining").start()
    refused = host.post(f"{WEBHOOK}/orchestrators/not_there", {})
    assert refused.status_code == 400
    assert refused.json()["Message"] == "One or more of the arguments submitted is incorrect"
    assert refused.json()["ExceptionMessage"] == (
        "The function 'not_there' doesn't exist, is disabled, or is not an orchestrator function. Additional info: "
        "The following are the known orchestrator functions: 'cook'."
    )
    assert host.post(f"{WEBHOOK}/orchestrators/cook", content=b"{no json").status_code == 400
    assert host.get("/admin/host/status").json()["state"] == "Running"


def test_an_async_orchestrator_awaits_tasks(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host(APPS / "hosting", settings=sessions).start()
    links = host.begin_webhook("awaiting", [1, 2], "awaiter")
    posted = host.post(links["sendEventPostUri"].replace("{eventName}", "stop"), {"now": True})
    assert posted.status_code == 202
    assert host.completed("awaiter") == [[1, 2], {"now": True}]


def test_requests_that_wait_are_answered_when_the_host_stops(new_host: NewHost) -> None:
    host = new_host(APPS / "managed").start()
    host.begin_webhook("waiting", None, "w")
    paths = (f"{WEBHOOK}/instances/w?wait=60", f"{WEBHOOK}/instances/w/restart?timeout=60")
    with ThreadPoolExecutor(2) as pool:
        answers = [pool.submit(host.get, paths[0]), pool.submit(host.post, paths[1])]
        eventually(lambda: len(host.get(f"{WEBHOOK}/instances").json()) == 2)
        begun = time.monotonic()
        process = host.process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [202, 202]
        assert process.wait(20) == 0
    assert time.monotonic() - begun < 10
    assert "Traceback" not in host.log()


def test_a_drained_host_takes_nothing_new(new_host: NewHost, tmp_path: Path) -> None:
    host = new_host(APPS / "recorder", settings={"RUNS_FILE": str(tmp_path / "runs.txt")}).start()
    assert host.get("/admin/host/drain/status").json()["state"] == "Disabled"
    host.begin_webhook("chain", {"steps": 2, "seconds": 1.0}, "going")
    eventually(lambda: (tmp_path / "runs.txt").exists())
    assert host.post("/admin/host/drain").status_code == 202
    during = host.get("/admin/host/drain/status").json()
    assert during == {"state": "InProgress", "outstandingInvocations": 1, "outstandingRetries": 0}, "the activity runs"
    eventually(lambda: host.get("/admin/host/drain/status").json()["state"] == "Completed")
    assert host.post(f"{WEBHOOK}/orchestrators/chain", {}).status_code == 503
    assert host.stop() == 0
    host.start()
    assert host.completed("going") == 2
    assert len((tmp_path / "runs.txt").read_text().splitlines()) == 2
