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


def test_no_money_is_made_or_lost_by_transfers_under_locks(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("bank_transfer", settings=sessions).start()
    owners = ["ada", "bob", "cleo"]
    for owner in owners:
        assert host.post(f"/api/accounts/{owner}", 100).status_code == 202
    eventually(lambda: [host.get(f"/api/accounts/{owner}").json() for owner in owners] == [100, 100, 100])
    orders = [{"from": owners[n % 3], "to": owners[(n + 1 + n % 2) % 3], "amount": 10 + 17 * n % 70} for n in range(24)]
    links = [host.begin("/api/transfers", order) for order in orders]
    balances = dict.fromkeys(owners, 100)
    for order, link in zip(orders, links, strict=True):
        moved = host.completed(link["id"])["moved"]
        assert moved in (0, order["amount"])
        balances[order["from"]] -= moved
        balances[order["to"]] += moved
    assert {owner: host.get(f"/api/accounts/{owner}").json() for owner in owners} == balances
    assert sum(balances.values()) == 300
    assert min(balances.values()) >= 0


def test_devices_tell_the_fleet(new_host: NewHost) -> None:
    host = new_host("device_state").start()
    for device in ("a", "b"):
        host.post(f"/api/devices/{device}", {"online": True})
        host.post(f"/api/devices/{device}", {"reading": 21})
    host.post("/api/devices/b", {"online": False})
    eventually(lambda: host.get("/api/devices/b").json() == {"online": False, "messages": 3, "last": 21})
    assert host.get("/api/devices/a").json() == {"online": True, "messages": 2, "last": 21}
    eventually(lambda: host.get("/api/fleet").json() == {"online": 1})
