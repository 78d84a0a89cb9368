"""Singleton: one instance with a fixed id, replaced by a new start once it has finished."""

from __future__ import annotations

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import WEBHOOK, eventually


def test_a_running_singleton_refuses_and_a_finished_one_is_replaced(
    new_host: NewHost, sessions: dict[str, str]
) -> None:
    host = new_host("singleton", settings=sessions).start()
    links = host.begin("/api/nightly/sweeper", {"night": 1})
    assert links["id"] == "sweeper"
    eventually(lambda: (host.status("sweeper") or {}).get("customStatus") == "waiting for the go")

    refused = host.post("/api/nightly/sweeper", {"night": 99})
    assert refused.status_code == 409
    assert refused.json()["running"] == "sweeper"

    assert host.post(links["sendEventPostUri"].replace("{eventName}", "go"), {}).status_code == 202
    first = host.finished("sweeper")
    assert (first["runtimeStatus"], first["output"], first["customStatus"]) == ("Completed", "swept night 1", "done")
    gone = host.post(links["sendEventPostUri"].replace("{eventName}", "go"), {})
    assert gone.status_code == 410

    host.begin("/api/nightly/sweeper", {"night": 2})
    second = host.status("sweeper")
    assert second is not None
    assert second["runtimeStatus"] in ("Pending", "Running")
    assert second["output"] is None
    host.post(links["sendEventPostUri"].replace("{eventName}", "go"), {})
    assert host.completed("sweeper") == "swept night 2"


def test_terminated_with_its_reason_and_started_again(new_host: NewHost) -> None:
    host = new_host("singleton").start()
    links = host.begin("/api/nightly/cleaner", {"night": 1})
    assert host.post(links["terminatePostUri"].replace("{text}", "dawn")).status_code == 202
    status = host.finished("cleaner")
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "dawn")
    assert host.post(links["terminatePostUri"].replace("{text}", "dawn")).status_code == 410
    assert host.begin("/api/nightly/cleaner", {"night": 2})["id"] == "cleaner"


def test_suspend_holds_events_back_and_resume_delivers_them(new_host: NewHost) -> None:
    host = new_host("singleton").start()
    links = host.begin("/api/nightly/holder", {"night": 3})
    eventually(lambda: (host.status("holder") or {}).get("customStatus"))
    assert host.post(links["suspendPostUri"].replace("{text}", "pause")).status_code == 202
    eventually(lambda: (host.status("holder") or {})["runtimeStatus"] == "Suspended")
    assert host.post(links["sendEventPostUri"].replace("{eventName}", "go"), {}).status_code == 202
    assert (host.status("holder") or {})["runtimeStatus"] == "Suspended"
    assert host.post(links["resumePostUri"].replace("{text}", "on")).status_code == 202
    assert host.completed("holder") == "swept night 3"


def test_a_second_start_by_the_webhook_is_refused_while_it_runs(new_host: NewHost) -> None:
    host = new_host("singleton").start()
    host.begin("/api/nightly/one", {"night": 1})
    refused = host.post(f"{WEBHOOK}/orchestrators/nightly_job/one", {"night": 2})
    assert refused.status_code == 500
    assert "already exists" in refused.json()["ExceptionMessage"]
    assert host.get(f"{WEBHOOK}/instances/nobody").status_code == 404
    assert host.post(f"{WEBHOOK}/instances/nobody/raiseEvent/go", {}).status_code == 404
