"""Entities: counter, aggregator, bank transfer under locks, device state."""

from __future__ import annotations

import contextlib
import random
import threading

import httpx
import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import APPS, REPLAY_ON_EVERY_TURN, WEBHOOK, Host, eventually


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


@pytest.mark.parametrize("seed", [1, 2])
def test_no_money_is_made_or_lost_when_the_host_is_killed_under_locks(new_host: NewHost, seed: int) -> None:
    dice = random.Random(seed)
    host = new_host("bank_transfer").start()
    owners = ["ada", "bob", "cleo", "dan"]
    for owner in owners:
        assert host.post(f"/api/accounts/{owner}", 1000).status_code == 202
    orders: dict[str, tuple[str, str, int]] = {}
    for _ in range(4):
        for _ in range(10):
            source, target = dice.sample(owners, 2)
            amount = dice.randint(1, 400)
            links = host.begin("/api/transfers", {"from": source, "to": target, "amount": amount})
            orders[links["id"]] = (source, target, amount)
        host.finished(dice.choice(list(orders)))  # some are done, some are under way
        host.kill()
        host.settings = REPLAY_ON_EVERY_TURN if dice.random() < 0.5 else {}
        host.start()
    balances = dict.fromkeys(owners, 1000)
    for instance_id, (source, target, amount) in orders.items():
        moved = host.completed(instance_id)["moved"]
        assert moved in (0, amount)
        balances[source] -= moved
        balances[target] += moved
    assert {owner: host.get(f"/api/accounts/{owner}").json() for owner in owners} == balances
    assert sum(balances.values()) == 4000 and min(balances.values()) >= 0


def test_every_acknowledged_signal_counts_once_over_kills(new_host: NewHost) -> None:
    host = new_host("counter").start()
    acknowledged = asked = 0
    for _ in range(3):
        killer = threading.Timer(0.2, host.process.kill if host.process else None)
        killer.start()
        with contextlib.suppress(httpx.TransportError):
            while True:
                asked += 1
                if host.post("/api/counters/hits", {"operation": "add", "amount": 1}).status_code == 202:
                    acknowledged += 1
        killer.join()
        host.kill()
        host.start()
    value = eventually(lambda: _worth(host, acknowledged))
    assert acknowledged <= value <= asked, "each at most once; what broke off may have arrived"
    assert acknowledged > 30


def _worth(host: Host, least: int) -> int:
    value = host.get("/api/counters/hits").json()["value"] or 0
    return int(value) if value >= least else 0


def test_a_signal_for_later_survives_a_kill(new_host: NewHost) -> None:
    host = new_host(APPS / "entity_patterns").start()
    assert host.post("/api/later/lamp?seconds=2", 5).status_code == 202
    host.kill()
    host.start()
    assert host.get(f"{WEBHOOK}/entities/tally/lamp").status_code == 404
    eventually(lambda: host.get(f"{WEBHOOK}/entities/tally/lamp").text == "5")


def test_locks_end_with_their_holder_and_tell_who_it_is(new_host: NewHost) -> None:
    host = new_host(APPS / "entity_patterns").start()
    assert host.post("/api/later/lamp?seconds=0", 2).status_code == 202
    eventually(lambda: host.get("/api/seen/lamp").json()["state"] == "2")
    holder = host.begin("/api/hold/lamp", None)["id"]
    eventually(lambda: host.get("/api/seen/lamp").json()["locked_by"] == holder)
    waiting = host.begin("/api/add/lamp", 7)["id"]
    for _ in range(3):
        assert host.post("/api/later/lamp?seconds=0", 1).status_code == 202
    eventually(lambda: host.get("/api/seen/lamp").json()["backlog"] == 4)
    assert host.status(waiting)["runtimeStatus"] == "Running"  # type: ignore[index]
    host.kill()
    host.start()
    assert host.get("/api/seen/lamp").json()["locked_by"] == holder
    assert host.post(f"{WEBHOOK}/instances/{holder}/terminate?reason=enough").status_code == 202
    assert host.completed(waiting) == 9
    eventually(lambda: host.get("/api/seen/lamp").json() == {"locked_by": None, "backlog": 0, "state": "12"})
    assert host.post("/api/clean").json() == {"removed": 0, "released": 0}
    host.post("/api/later/lamp?seconds=0&operation=delete", 0)
    eventually(lambda: host.get(f"{WEBHOOK}/entities/tally/lamp").status_code == 404)
    assert host.post("/api/clean").json() == {"removed": 1, "released": 0}
