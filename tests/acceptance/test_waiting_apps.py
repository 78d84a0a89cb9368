"""Human interaction with a time-out, and the monitor."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import eventually


@pytest.mark.parametrize(("decision", "output"), [(True, "120 approved"), (False, "120 declined")])
def test_somebody_decides_by_the_client(
    new_host: NewHost, sessions: dict[str, str], decision: bool, output: str
) -> None:
    host = new_host("human_interaction", settings=sessions).start()
    links = host.begin("/api/expenses", {"amount": 120, "wait_seconds": 3600})
    assert host.post(f"/api/expenses/{links['id']}/decision", decision).status_code == 202
    assert host.completed(links["id"]) == output
    eventually(lambda: f"asking for approval of 120: {links['id']}" in host.log())


def test_somebody_decides_by_the_event_link(new_host: NewHost) -> None:
    host = new_host("human_interaction").start()
    links = host.begin("/api/expenses", {"amount": 5})
    eventually(lambda: "asking for approval of 5" in host.log())
    posted = host.post(
        links["sendEventPostUri"].replace("{eventName}", "decision"),
        content=b"true",
        headers={"Content-Type": "application/json"},
    )
    assert posted.status_code == 202
    assert host.completed(links["id"]) == "5 approved"


def test_nobody_decides(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("human_interaction", settings=sessions).start()
    links = host.begin("/api/expenses", {"amount": 80, "wait_seconds": 0.5})
    assert host.completed(links["id"]) == "80 escalated: nobody answered"


def test_monitor_sees_the_change(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("monitor", settings=sessions).start()
    links = host.begin("/api/monitors", {"parcel": "P-4", "every_seconds": 0.1, "give_up_seconds": 60})
    status = host.finished(links["id"])
    assert status["output"] == {"delivered": True, "looks": 4}
    assert status["customStatus"] == "look 4: home"


def test_monitor_gives_up(new_host: NewHost) -> None:
    host = new_host("monitor").start()
    links = host.begin("/api/monitors", {"parcel": "P-1000", "every_seconds": 0.2, "give_up_seconds": 0.9})
    output = host.completed(links["id"])
    assert output["delivered"] is False
    assert 3 <= output["looks"] <= 5
