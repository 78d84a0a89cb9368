"""Entities: counter, aggregator, bank transfer under locks, device state."""

from __future__ import annotations

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import WEBHOOK, eventually


def test_counter_by_signals_calls_and_clients(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("counter", settings=sessions).start()
    assert host.get("/api/counters/new").json() == {"exists": False, "value": None}
    for amount in (1, 2, 3):
        assert host.post("/api/counters/hits", {"operation": "add", "amount": amount}).status_code == 202
    eventually(lambda: host.get("/api/counters/hits").json() == {"exists": True, "value": 6})
    links = host.begin("/api/counters/hits/steps", [10, 20])
    assert host.completed(links["id"]) == [16, 36]
    assert host.get(f"{WEBHOOK}/entities/counter/hits").json() == 36
    host.post("/api/counters/hits", {"operation": "explode"})
    host.post("/api/counters/hits", {"operation": "add", "amount": 1})
    eventually(lambda: host.get("/api/counters/hits").json()["value"] == 37)
    host.post("/api/counters/hits", {"operation": "delete"})
    eventually(lambda: host.get("/api/counters/hits").json()["exists"] is False)


def test_aggregator_in_the_v1_model(new_host: NewHost) -> None:
    host = new_host("aggregator_v1").start()
    assert host.get("/api/stations/north").status_code == 404
    host.post("/api/stations/north", [3, 9, 4])
    host.post("/api/stations/north", [5])

    def gathered() -> bool:
        found = host.get("/api/stations/north")
        return found.status_code == 200 and found.json() == {"count": 4, "total": 21, "highest": 9}

    eventually(gathered)
