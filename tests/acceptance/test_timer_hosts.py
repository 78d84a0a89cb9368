"""Timer triggers on four hosts: each occurrence fires once per hub, also while the host that fires is killed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from perdure.host.triggers.timer_record import decode_record
from tests.acceptance.host import APPS, Host, eventually
from tests.acceptance.sql import read

PERIOD = 3
SET_CLOCK = Path(__file__).parent / "set_clock"
#: how far the clocks of the four hosts are off, in seconds
AHEAD = {"one": 0, "two": 150, "three": -150, "four": 40}


@dataclass(frozen=True)
class Line:
    """What a run left."""

    function: str
    what: str
    time: float
    host: str
    past_due: bool


class Fleet:
    """Hosts by name, and what their timers did."""

    def __init__(self, new_host: Callable[..., Host], store: str, folder: Path) -> None:
        self._new_host, self._store, self._runs = new_host, store, folder / "runs"
        self._runs.touch()
        (folder / "shared").mkdir(exist_ok=True)
        self.hosts: dict[str, Host] = {}

    def start(self, daily: str = "0 0 0 1 1 *", ahead: dict[str, int] | None = None) -> None:
        for name in AHEAD:
            settings = {
                "PERDURE_STORE": self._store,
                "HOST_NAME": name,
                "RUNS_FILE": str(self._runs),
                "DAILY": daily,
                "TZ": "UTC",
            }
            if ahead is not None:
                settings |= {"PYTHONPATH": str(SET_CLOCK), "CLOCK_AHEAD": str(ahead[name])}
            self.hosts[name] = self._new_host(APPS / "timers", settings=settings)
            self.hosts[name].spawn()
        for host in self.hosts.values():
            eventually(host._running, 30, "the start of a host")

    def lines(self, function: str, what: str = "begin") -> list[Line]:
        found = [line.split() for line in self._runs.read_text().splitlines()]
        lines = [Line(name, did, float(at), host, late == "True") for name, did, at, host, late in found]
        return [line for line in lines if (line.function, line.what) == (function, what)]

    def next(self, function: str, within: float = 20) -> Line:
        """The next run that begins."""
        known = len(self.lines(function))
        return eventually(lambda: self.lines(function)[known:], within, f"the next {function}")[0]

    def between_runs(self, function: str) -> None:
        """Wait until the last run is recorded as over and the next one is not near."""

        def look() -> bool:
            ((text,),) = read(self._store, f"SELECT value FROM setting WHERE kind = 'timer' AND key = '{function}'")
            record = decode_record(text)
            return record is not None and not record.running and record.next / 1e6 - time.time() > PERIOD / 3

        eventually(look, 20, f"the end of a run of {function}")


@pytest.fixture
def fleet(new_host: Callable[..., Host], store: str, tmp_path: Path) -> Fleet:
    return Fleet(new_host, store, tmp_path)


def occurrences(lines: list[Line], ahead: dict[str, int] | None = None) -> Counter[int]:
    """How often each occurrence fired, by the real time at which it did."""
    return Counter(int((line.time - (ahead or {}).get(line.host, 0)) // PERIOD) for line in lines)


def expected(counted: Counter[int]) -> Counter[int]:
    return Counter(range(min(counted), max(counted) + 1))


def test_every_occurrence_fires_once_while_the_host_that_fired_is_killed(fleet: Fleet) -> None:
    fleet.start()
    killed = []
    for _ in range(4):
        fleet.next("tick")
        # killed in the middle of a run, it would take with it what comes before others know that it is gone
        fleet.between_runs("tick")
        fired = fleet.lines("tick")[-1].host
        fleet.hosts[fired].kill()
        killed.append(fired)
        assert fleet.next("tick").host != fired
        fleet.hosts[fired].start()
    fleet.next("tick")
    counted = occurrences(fleet.lines("tick"))
    assert counted == expected(counted), (counted, killed)
    assert len(counted) >= 8


def test_a_run_that_dies_with_its_host_runs_once_more_elsewhere(fleet: Fleet) -> None:
    at = datetime.now(timezone.utc) + timedelta(seconds=12)
    fleet.start(daily=f"{at.second} {at.minute} {at.hour} * * *")
    first = eventually(lambda: fleet.lines("daily"), 30, "the daily run")[0]
    fleet.hosts[first.host].kill()
    begun = time.monotonic()
    eventually(lambda: fleet.lines("daily", "end"), 20, "the end of the second run")
    print(f"run again {time.monotonic() - begun - 2:.1f} s after the kill, hostTtl 3 s")
    time.sleep(3)
    again = fleet.lines("daily")[1:]
    assert len(again) == 1 and again[0].host != first.host
    assert again[0].past_due and not first.past_due
    assert len(fleet.lines("daily", "end")) == 1
    # the other timer went on meanwhile
    counted = occurrences(fleet.lines("tick"))
    assert max(counted.values()) == 1
    assert fleet.next("tick")


# hosts that share a file share a clock
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
def test_hosts_whose_clocks_differ_by_minutes_fire_on_time(fleet: Fleet) -> None:
    fleet.start(ahead=AHEAD)
    for _ in range(5):
        fleet.next("tick")
    lines = fleet.lines("tick")
    counted = occurrences(lines, AHEAD)
    assert counted == expected(counted), counted
    for line in lines:
        late = (line.time - AHEAD[line.host]) % PERIOD
        assert late < 1, f"{line} came {late:.2f} s after its occurrence"
