"""What is durable stays: activities whose result was committed never run again; a restart resumes at once."""

from __future__ import annotations

import itertools
import random
import shutil
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import APPS, REPLAY_ON_EVERY_TURN, WEBHOOK, Host, eventually
from tests.acceptance.test_kills import KILLS, SEED


class Runs:
    """The file that the activities of the app `recorder` write to."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "runs.txt"
        self.path.touch()
        self.settings = {"RUNS_FILE": str(self.path)}

    def lines(self) -> list[tuple[str, float]]:
        return [(key, float(at)) for key, at, _ in (line.split() for line in self.path.read_text().splitlines())]

    def counts(self) -> Counter[str]:
        return Counter(key for key, _ in self.lines())


def durable_results(host: Host, folder: Path) -> Counter[str]:
    """Per instance the number of TaskCompleted events that the store of a dead host holds."""
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(host.app / ".perdure", copy)
    (file,) = copy.glob("*.db")
    with sqlite3.connect(file) as store:
        rows = store.execute("select instance from HistoryEvents where event_type = 'TaskCompleted'").fetchall()
    store.close()
    return Counter(instance for (instance,) in rows)


@pytest.mark.timeout(600)
def test_durable_results_never_run_again(new_host: NewHost, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED} recorder")
    runs = Runs(tmp_path)
    host = new_host(APPS / "recorder")
    expected: dict[str, int] = {}
    # a start that got no answer may have been made: its id is not used again
    numbers = itertools.count()

    def load() -> None:
        kinds = [("chain", 8, 8), ("wide", 6, 6), ("mixed", 0, 4)]
        try:
            for kind, steps, output in kinds:
                instance = f"{kind}-{next(numbers)}"
                answer = httpx.post(f"{host.url}{WEBHOOK}/orchestrators/{kind}/{instance}", json={"steps": steps})
                assert answer.status_code == 202, answer.text
                expected[instance] = output
        except httpx.TransportError:
            pass  # killed: not acknowledged

    never_again: dict[str, int] = {}  # chain steps that were durable at a kill -> runs until then
    for _ in range(KILLS):
        host.settings = {**runs.settings, **chance.choice([{}, REPLAY_ON_EVERY_TURN])}
        host.start()
        thread = threading.Thread(target=load)
        thread.start()
        time.sleep(chance.uniform(0.01, 0.4))
        host.kill()
        thread.join()
        counts = runs.counts()
        for instance, results in durable_results(host, tmp_path).items():
            if instance.startswith("chain"):
                never_again.update({f"{instance}/{k}": counts[f"{instance}/{k}"] for k in range(results)})
    host.start()
    for instance, output in expected.items():
        assert host.completed(instance, 60) == output

    counts = runs.counts()
    assert len(never_again) > KILLS, "the kills met instances half way"
    again = {key: (before, counts[key]) for key, before in never_again.items() if counts[key] != before}
    assert not again, f"runs at the kill and at the end of activities whose result was durable: {again}"
    # The same seen from outside: step k+1 starts only after the result of step k is durable.
    highest: dict[str, int] = {}
    for key, _ in runs.lines():
        instance, number = key.rsplit("/", 1)
        if instance.startswith("chain"):
            assert int(number) >= highest.get(instance, 0), f"{key} ran again after a later step"
            highest[instance] = int(number)


def test_a_restarted_host_resumes_within_a_second(new_host: NewHost, tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    host = new_host(APPS / "recorder", settings=runs.settings).start()
    host.begin_webhook("chain", {"steps": 400, "seconds": 0.02}, "long")
    eventually(lambda: len(runs.lines()) > 10)
    host.kill()
    before = len(runs.lines())
    host.start()
    ready = time.time()
    eventually(lambda: len(runs.lines()) > before + 1)
    first = runs.lines()[before][1]
    assert first < ready + 1, f"the first activity ran {first - ready:.2f} s after the host was ready"
    assert host.completed("long", 60) == 400
