"""`kill -9` at seeded random moments: whatever was acknowledged goes on and completes with the right output.

Every restart picks a session mode, so that instances also cross from hot sessions to replay and back. More kills:
`make soak` (PERDURE_TEST_KILLS).
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import REPLAY_ON_EVERY_TURN, WEBHOOK, Host, eventually

KILLS = int(os.environ.get("PERDURE_TEST_KILLS", "20"))
SEED = int(os.environ.get("PERDURE_TEST_SEED", "1"))
PER_ROUND = 6


def _post(host: Host, path: str, body: Any = None) -> httpx.Response:
    """One request on a connection of its own, for threads that a kill interrupts."""
    return httpx.post(path if path.startswith("http") else host.url + path, json=body, timeout=10)


@dataclass(frozen=True)
class Scenario:
    """How one example is started (number -> path, body), what is done to it afterwards, what must come out."""

    example: str
    start: Callable[[int], tuple[str, Any]]
    output: Callable[[int], Any]
    event: Callable[[int], tuple[str, Any] | None] = lambda number: None
    settings: dict[str, str] = field(default_factory=dict)


def _cooked(number: int) -> list[str]:
    first = f"ingredients for d{number}"
    return [first, f"boiled {first}", f"boiled {first}, on a plate"]


SCENARIOS = [
    Scenario("chaining", lambda n: (f"/api/recipes/d{n}", None), _cooked),
    Scenario(
        "blueprints",
        lambda n: ("/api/orders", {"items": ["a", "b", "c"], "to": f"t{n}"}),
        lambda n: {"reserved": [f"{x} from shelf {x.upper()}" for x in "abc"], "label": f"3 parcels to t{n}"},
    ),
    Scenario(
        "plain_function_app",
        lambda n: ("/api/translations", [f"w{n}", "no"]),
        lambda n: {f"w{n}": f"w{n}"[::-1], "no": "on"},
    ),
    Scenario(
        "singleton",
        lambda n: (f"/api/nightly/job-{n}", {"night": n}),
        lambda n: f"swept night {n}",
        lambda n: ("go", {}),
    ),
    Scenario(
        "fan_out",
        lambda n: (f"/api/fan-out?count={5 + n % 7}&seconds=0.02", None),
        lambda n: {
            "count": 5 + n % 7,
            "sum": sum(k * k for k in range(5 + n % 7)),
            "results": [k * k for k in range(5 + n % 7)],
        },
    ),
    Scenario(
        "human_interaction",
        lambda n: ("/api/expenses", {"amount": n, "wait_seconds": 600 if n % 2 else 0.2}),
        lambda n: f"{n} approved" if n % 2 else f"{n} escalated: nobody answered",
        lambda n: ("decision", True) if n % 2 else None,
    ),
    Scenario(
        "monitor",
        lambda n: ("/api/monitors", {"parcel": f"P-{1 + n % 3}", "every_seconds": 0.1, "give_up_seconds": 600}),
        lambda n: {"delivered": True, "looks": 1 + n % 3},
    ),
    Scenario(
        "http_beside_durable",
        lambda n: (f"{WEBHOOK}/orchestrators/add_up", [n, 1, 2, 3]),
        lambda n: {"total": n + 6},
    ),
    Scenario(
        "sub_orchestrations",
        lambda n: ("/api/tours", ["Rome", "Milan", "Bari" * (n % 4)] if n % 4 else ["Rome", "Milan"]),
        lambda n: _toured(["Rome", "Milan", "Bari" * (n % 4)] if n % 4 else ["Rome", "Milan"]),
    ),
]


def _toured(stops: list[str]) -> dict[str, Any]:
    distances = [abs(len(a) - len(b)) + 1 for a, b in pairwise(stops)]
    return {"distances": distances, "total": sum(distances), "dead_end": True}


class Load:
    """Starts instances until the host is killed; keeps what was acknowledged."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.next_number = 0
        self.started: dict[int, dict[str, str]] = {}
        self.events_sent: set[int] = set()

    def run(self, host: Host, moments: list[float], over: threading.Event) -> None:
        try:
            for moment in moments:
                number, self.next_number = self.next_number, self.next_number + 1
                path, body = self.scenario.start(number)
                answer = _post(host, path, body)
                assert answer.status_code == 202, answer.text
                self.started[number] = answer.json()
                self.send_event(host, number)
                if over.wait(moment):
                    return
        except httpx.TransportError:
            pass  # killed: what got no answer was not acknowledged

    def send_event(self, host: Host, number: int) -> None:
        event = self.scenario.event(number)
        if event is None or number in self.events_sent:
            return
        url = self.started[number]["sendEventPostUri"].replace("{eventName}", event[0])
        answer = _post(host, url, event[1])
        # 410: the event of an attempt that got no answer had arrived, and the instance is through.
        assert answer.status_code in (202, 410), answer.text
        self.events_sent.add(number)


def _begin(host: Host, chance: random.Random, settings: dict[str, str]) -> None:
    host.settings = {**settings, **chance.choice([{}, REPLAY_ON_EVERY_TURN])}
    host.start()


def _kill_in_a_loop(
    host: Host,
    chance: random.Random,
    settings: dict[str, str],
    run: Callable[..., None],
    enough: Callable[[], bool] = lambda: True,
) -> None:
    """Starts the host and kills it KILLS times while `run(host, moments, over)` works on it; leaves it running.

    On a busy machine some kills come before anything was acknowledged: more follow until there is `enough`.
    """
    _begin(host, chance, settings)
    with ThreadPoolExecutor(1) as pool:
        for kills in range(5 * KILLS):
            if kills >= KILLS and enough():
                return
            over = threading.Event()
            work = pool.submit(run, host, [chance.uniform(0, 0.05) for _ in range(PER_ROUND)], over)
            time.sleep(chance.uniform(0.005, 0.4))
            host.kill()
            over.set()
            work.result()
            _begin(host, chance, settings)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.example)
def test_acknowledged_instances_survive_kills(scenario: Scenario, new_host: NewHost) -> None:
    chance = random.Random(f"{SEED} {scenario.example}")
    host = new_host(scenario.example)
    load = Load(scenario)
    _kill_in_a_loop(host, chance, scenario.settings, load.run, lambda: len(load.started) >= KILLS)
    assert len(load.started) >= KILLS
    for number, links in load.started.items():
        load.send_event(host, number)
        assert host.completed(links["id"], 60) == scenario.output(number), links["id"]


@pytest.mark.timeout(600)
def test_an_eternal_orchestration_survives_kills(new_host: NewHost) -> None:
    chance = random.Random(f"{SEED} eternal")
    settings = {"PULSE_SECONDS": "0.1"}
    host = new_host("eternal_v1")

    def run(host: Host, moments: list[float], over: threading.Event) -> None:
        if not patients:
            patients.extend(_post(host, f"/api/pulse/p{n}").json()["id"] for n in range(3))
        over.wait(sum(moments))

    patients: list[str] = []
    over = threading.Event()
    host.settings = settings
    host.start()
    run(host, [0.2], over)
    host.kill()
    _kill_in_a_loop(host, chance, settings, run)
    for patient in patients:
        before = _beat(host, patient)
        eventually(lambda patient=patient, before=before: _beat(host, patient) >= before + 3)  # type: ignore[misc]
        assert before > 3, "it went on between the kills"


def _beat(host: Host, patient: str) -> int:
    status = host.status(patient)
    assert status is not None
    assert status["runtimeStatus"] == "Running", status
    beat: int = json.loads(status["input"])["beat"]
    return beat


@pytest.mark.timeout(600)
def test_signals_take_effect_exactly_once_over_kills(new_host: NewHost) -> None:
    chance = random.Random(f"{SEED} counter")
    host = new_host("counter")
    acknowledged: list[int] = []
    unknown: list[int] = []

    def run(host: Host, moments: list[float], over: threading.Event) -> None:
        for moment in moments:
            try:
                answer = _post(host, "/api/counters/total", {"operation": "add", "amount": 1})
            except httpx.TransportError:
                unknown.append(1)
                return
            assert answer.status_code == 202, answer.text
            acknowledged.append(1)
            if over.wait(moment):
                return

    _kill_in_a_loop(host, chance, {}, run)
    low, high = len(acknowledged), len(acknowledged) + len(unknown)

    def settled() -> bool:
        value = host.get("/api/counters/total").json()["value"]
        return value is not None and value >= low

    eventually(settled)
    value = host.get("/api/counters/total").json()["value"]
    assert low <= value <= high, f"{low} signals were acknowledged and {high} sent, the counter says {value}"


@pytest.mark.timeout(600)
def test_no_money_is_made_or_lost_over_kills(new_host: NewHost) -> None:
    chance = random.Random(f"{SEED} bank")
    host = new_host("bank_transfer")
    owners = ["ada", "bob", "cleo"]
    transfers: list[str] = []
    drawn = random.Random(f"{SEED} orders")
    host.start()
    for owner in owners:
        assert host.post(f"/api/accounts/{owner}", 1000).status_code == 202

    def balances(host: Host) -> list[int]:
        return [host.get(f"/api/accounts/{owner}").json() for owner in owners]

    eventually(lambda: balances(host) == [1000] * 3)
    host.kill()

    def run(host: Host, moments: list[float], over: threading.Event) -> None:
        for moment in moments:
            source, target = drawn.sample(owners, 2)
            order = {"from": source, "to": target, "amount": drawn.randint(1, 400)}
            try:
                transfers.append(_post(host, "/api/transfers", order).json()["id"])
            except httpx.TransportError:
                return
            if over.wait(moment):
                return

    _kill_in_a_loop(host, chance, {}, run)
    for instance in transfers:
        host.completed(instance, 60)
    # Transfers whose start got no answer may still be under way: wait until no instance is open.
    still_open = {"runtimeStatus": "Running,Pending"}

    def orchestrations() -> list[str]:
        listed = host.get(f"{WEBHOOK}/instances", params=still_open).json()
        return [item["instanceId"] for item in listed if not item["instanceId"].startswith("@")]

    eventually(lambda: not orchestrations(), 60)
    assert sum(balances(host)) == 3000
    assert min(balances(host)) >= 0
