"""Eternal orchestration in the v1 model: one tick per period, each logged once."""

from __future__ import annotations

import re
import time

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import Host, eventually

PERIOD = 0.5


def beats(host: Host, pattern: str) -> list[int]:
    return [int(number) for number in re.findall(pattern, host.log())]


def test_ticks_once_per_period_and_logs_each_tick_once(new_host: NewHost, sessions: dict[str, str]) -> None:
    host = new_host("eternal_v1", settings={"PULSE_SECONDS": str(PERIOD), **sessions}).start()
    begun = time.monotonic()
    links = host.begin("/api/pulse/ada")
    assert links["id"] == "ada"
    eventually(lambda: len(beats(host, r"taking beat (\d+)")) >= 5)
    took = time.monotonic() - begun
    assert 4 * PERIOD <= took < 4 * PERIOD + 2, took

    status = host.status("ada")
    assert status is not None
    assert status["runtimeStatus"] == "Running"
    assert status["customStatus"] in ("beat 4: weak", "beat 5: strong", None)

    host.post(links["terminatePostUri"].replace("{text}", "enough"))
    assert host.finished("ada")["runtimeStatus"] == "Terminated"
    ticks = beats(host, r"\bbeat (\d+) of ada")
    assert ticks == list(range(1, len(ticks) + 1)), "every tick once, in order"
    taken = beats(host, r"taking beat (\d+)")
    assert taken == list(range(1, len(taken) + 1))
    over = beats(host, r"\bbeat (\d+) over")
    assert over == list(range(1, len(over) + 1)), "code after continue_as_new runs up to the next yield, once"
    assert not beats(host, r"\bbeat (\d+) rested"), "and nothing after that yield"


def test_lines_of_functions_stand_between_their_executing_and_executed(
    new_host: NewHost, sessions: dict[str, str]
) -> None:
    host = new_host("eternal_v1", settings={"PULSE_SECONDS": "60", **sessions}).start()
    host.begin("/api/pulse/bob")
    eventually(lambda: host.log().count("Executed 'Functions.Pulse'") >= 2)
    lines = [line.split("] ", 1)[1] for line in host.log().splitlines() if line.startswith("[")]
    assert all(
        re.match(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\] ", line)
        for line in host.log().splitlines()
        if "Exec" in line
    )

    first = next(
        n for n, line in enumerate(lines) if line.startswith("Executing 'Functions.Pulse' (Reason='(null)', Id=")
    )
    said = lines.index("beat 1 of bob")
    done = next(n for n, line in enumerate(lines) if line.startswith("Executed 'Functions.Pulse' (Succeeded, Id="))
    assert first < said < done
    start = next(line for line in lines if line.startswith("Executing 'Functions.StartPulse'"))
    assert "(Reason='This function was programmatically called via the host APIs.', Id=" in start
    assert re.search(r"Executed 'Functions.TakePulse' \(Succeeded, Id=[0-9a-f-]{36}, Duration=\d+ms\)", host.log())
    assert lines.count("beat 1 of bob") == 1
    assert sum(line.startswith("Executing 'Functions.Pulse'") for line in lines) == 2, "one pair per turn"
