"""Timer listeners: one firing per occurrence however many hosts, past due, overlap, clocks, failures."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.host.triggers import timer_listener
from perdure.host.triggers.retry_policy import RetryPolicyError, read_retry
from perdure.host.triggers.schedule import SECOND, ScheduleError
from perdure.host.triggers.timer import Retry, timer_trigger
from perdure.host.triggers.timer_record import NEVER, TimerRecord, decode_record, encode_record, iso, round_trip
from perdure.host.triggers.zones import choose_zone
from tests.unit.host.timer_world import World

UTC = choose_zone({"TZ": "UTC"}).zone


def texts(world: World) -> list[str]:
    return [text for _, text in world.logs]


# -- one host


def test_fires_at_each_occurrence_and_keeps_its_status() -> None:
    world = World("2026-01-01T00:01:00")
    world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:16:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:10:00", "01-01 00:15:00"]
    last = world.record["Last"]
    assert last.startswith("2026-01-01T00:15:00") and last == world.record["LastUpdated"]
    assert world.record["Next"] == "2026-01-01T00:20:00+00:00"


def test_what_the_function_gets() -> None:
    world = World("2026-06-01T00:01:00", "Europe/Berlin")
    world.host("0 */5 * * * *")
    world.run(600)
    first, second = (run.firing for run in world.runs)
    assert first.reason.startswith("Timer fired at 2026-06-01T02:05:00.0") and first.reason.endswith("+02:00")
    assert len(first.reason) == len("Timer fired at 2026-06-01T02:05:00.0000000+02:00")
    assert first.details == {}
    assert world.runs[0].payload == {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {
            "Last": "0001-01-01T00:00:00",
            "Next": "2026-06-01T02:05:00+02:00",
            "LastUpdated": "0001-01-01T00:00:00",
        },
        "IsPastDue": False,
    }
    assert world.runs[1].payload["ScheduleStatus"]["Last"].startswith("2026-06-01T02:05:00")
    assert second.attempt == 0


def test_startup_lines() -> None:
    world = World("2026-01-01T00:01:00", "Europe/Berlin")
    world.host("0 */5 * * * *")
    world.run(1)
    assert world.logs == [
        (10, "The 'tick' timer is using the schedule '0 */5 * * * *' and the local time zone: 'Europe/Berlin'"),
        (
            20,
            "The next 5 occurrences of the 'tick' schedule (0 */5 * * * *) will be:\n"
            "01/01/2026 01:05:00+01:00 (01/01/2026 00:05:00Z)\n"
            "01/01/2026 01:10:00+01:00 (01/01/2026 00:10:00Z)\n"
            "01/01/2026 01:15:00+01:00 (01/01/2026 00:15:00Z)\n"
            "01/01/2026 01:20:00+01:00 (01/01/2026 00:20:00Z)\n"
            "01/01/2026 01:25:00+01:00 (01/01/2026 00:25:00Z)",
        ),
        (10, "Timer for 'tick' started with interval '00:04:00'."),
        (
            10,
            "Function 'tick' initial status: Last='0001-01-01T00:00:00', Next='0001-01-01T00:00:00', "
            "LastUpdated='0001-01-01T00:00:00'",
        ),
    ]


def test_a_schedule_that_never_comes_true_says_so_and_waits() -> None:
    world = World("2026-01-01T00:01:00")
    world.host("0 0 0 30 2 *")
    world.run(86400)
    assert world.runs == []
    assert texts(world)[1].endswith("\n(none: it never comes true)")
    assert world.record["Next"] == "9999-12-31T23:59:59.9999999"


def test_an_interval_counts_from_the_last_run() -> None:
    world = World("2026-01-01T00:00:10")
    world.host("00:05:00")
    world.run(901)
    assert world.times() == ["01-01 00:05:10", "01-01 00:10:10", "01-01 00:15:10"]
    assert world.runs[0].payload["Schedule"] == {"AdjustForDST": False}


def test_run_on_startup_fires_at_every_start() -> None:
    world = World("2026-01-01T00:01:00")
    host = world.host("0 */5 * * * *", startup=True)
    world.run(10)
    host.close()
    world.host("0 */5 * * * *", startup=True)
    world.run(10)
    assert world.times() == ["01-01 00:01:00", "01-01 00:01:10"]
    assert "Function 'tick' is configured to run on startup. Executing now." in texts(world)
    assert world.runs[0].firing.details == {"UnscheduledInvocationReason": "RunOnStartup"}
    assert not world.runs[0].past_due
    world.run_until("2026-01-01T00:06:00")
    assert world.times()[2:] == ["01-01 00:05:00"]


def test_what_was_missed_fires_once_at_start_as_past_due() -> None:
    world = World("2026-01-01T00:01:00")
    host = world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:07:00")
    host.close()
    world.run_until("2026-01-01T00:33:30")
    world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:36:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:33:30", "01-01 00:35:00"]
    assert [run.past_due for run in world.runs] == [False, True, False]
    assert "Function 'tick' is past due on startup. Executing now." in texts(world)
    assert world.runs[1].firing.details == {
        "UnscheduledInvocationReason": "IsPastDue",
        "OriginalSchedule": "2026-01-01T00:10:00.0000000+00:00",
    }
    assert world.runs[1].payload["ScheduleStatus"]["Next"] == "2026-01-01T00:10:00+00:00"


def test_past_due_and_run_on_startup_together_are_one_run() -> None:
    world = World("2026-01-01T00:01:00")
    world.host("0 */5 * * * *").listener.stop()
    world.run(1)
    host = world.host("0 */5 * * * *", startup=True)
    world.run_until("2026-01-01T00:06:00")
    host.close()
    world.run_until("2026-01-01T00:12:00")
    world.host("0 */5 * * * *", startup=True)
    world.run(60)
    assert world.times()[-1] == "01-01 00:12:00" and world.runs[-1].past_due
    assert world.runs[-1].firing.details["UnscheduledInvocationReason"] == "IsPastDue, RunOnStartup"


def test_the_first_start_is_never_past_due_even_after_a_missed_first_occurrence() -> None:
    world = World("2026-01-01T00:01:00")
    host = world.host("0 */5 * * * *")
    world.run(10)
    host.close()
    world.run_until("2026-01-01T00:12:00")
    world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:16:00")
    assert world.times() == ["01-01 00:15:00"]


@pytest.mark.parametrize("schedule", ["*/30 * * * * *", "00:00:30"])
def test_a_schedule_under_a_minute_is_not_monitored(schedule: str) -> None:
    world = World("2026-01-01T00:00:45")
    host = world.host(schedule)
    world.run(40)
    host.close()
    world.run(300)
    before = len(world.runs)
    world.host(schedule)
    world.run(4)
    assert len(world.runs) == before, "nothing is past due"
    world.run(27)
    assert len(world.runs) == before + 1
    assert world.runs[0].payload["ScheduleStatus"] is None
    assert (20, "UseMonitor changed to false based on schedule frequency.") in world.logs


def test_a_changed_schedule_is_not_past_due() -> None:
    world = World("2026-01-01T00:01:00")
    host = world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:06:00")
    host.close()
    world.run_until("2026-01-01T03:00:00")
    world.host("0 30 * * * *")
    world.run(5)
    assert len(world.runs) == 1
    assert world.record["Next"] == "2026-01-01T03:30:00+00:00"
    assert world.record["Last"] == "0001-01-01T00:00:00"
    world.run_until("2026-01-01T03:31:00")
    assert world.times()[1:] == ["01-01 03:30:00"]


def test_runs_never_overlap_and_catch_up_once() -> None:
    world = World("2026-01-01T00:04:00")
    world.host("0 */5 * * * *", duration=12 * 60)
    world.run_until("2026-01-01T00:45:00")
    # 00:10 and 00:15 pass during the first run: one of them is caught up, at once and not as past due
    assert world.times() == ["01-01 00:05:00", "01-01 00:17:00", "01-01 00:29:00", "01-01 00:41:00"]
    assert not any(run.past_due for run in world.runs)


def test_a_run_shorter_than_the_period_is_not_caught_up() -> None:
    world = World("2026-01-01T00:04:00")
    world.host("0 */5 * * * *", duration=299)
    world.run_until("2026-01-01T00:21:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:10:00", "01-01 00:15:00", "01-01 00:20:00"]


def test_errors_do_not_stop_the_schedule() -> None:
    world = World("2026-01-01T00:04:00")
    world.host("0 */5 * * * *", succeeds=False)
    world.run_until("2026-01-01T00:16:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:10:00", "01-01 00:15:00"]


def test_a_retry_policy_repeats_a_failed_run() -> None:
    world = World("2026-01-01T00:04:00")
    host = world.host("0 */5 * * * *", succeeds=False, retry=Retry(2, lambda attempt: 10.0 * attempt))
    world.run_until("2026-01-01T00:06:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:05:10", "01-01 00:05:31"]
    assert [run.firing.attempt for run in world.runs] == [0, 1, 2]
    assert world.record["Running"] == 0
    world.run_until("2026-01-01T00:10:05")
    stopped = []
    host.listener.stop(lambda: stopped.append(world.time))
    world.run(60)
    assert len(stopped) == 1 and len(world.runs) == 4, "stopping ends the wait for a retry"


def test_years_of_a_yearly_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer_listener, "LONGEST_WAIT", 86400.0)
    world = World("2026-01-01T00:00:00")
    world.host("0 0 12 24 12 *")
    world.run(3 * 366 * 86400)
    assert world.times() == ["12-24 12:00:00"] * 3


def test_two_years_of_an_hourly_timer_on_two_hosts_through_daylight_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer_listener, "LONGEST_WAIT", 86400.0)
    world = World("2026-01-01T00:30:00", "America/New_York")
    for _ in range(2):
        world.host("0 0 * * * *")
    world.run(2 * 365 * 86400)
    assert len(world.runs) == 2 * 365 * 24
    gaps = {later.real - earlier.real for earlier, later in itertools.pairwise(world.runs)}
    assert all(abs(gap - 3600 * SECOND) < SECOND for gap in gaps)


def test_a_daily_timer_fires_once_a_day_through_both_changes_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer_listener, "LONGEST_WAIT", 86400.0)
    world = World("2026-01-01T12:00:00", "Europe/Berlin")
    world.host("0 30 2 * * *")
    world.run(365 * 86400)
    assert len(world.runs) == 365
    assert "03-29 01:30:00" in world.times() and "10-25 00:30:00" in world.times() and "10-26 01:30:00" in world.times()


# -- several hosts


@pytest.mark.parametrize("count", [2, 4])
def test_hosts_fire_every_occurrence_once(count: int) -> None:
    world = World("2026-01-01T00:00:30")
    for number in range(count):
        world.host("0 * * * * *", latency=0.001 * (number + 1), skew=0.02 * number)
    world.run(3600)
    assert world.times() == [f"01-01 {minute // 60:02}:{minute % 60:02}:00" for minute in range(1, 61)]


def test_an_unmonitored_second_timer_on_four_hosts() -> None:
    world = World("2026-01-01T00:00:00")
    for _ in range(4):
        world.host("* * * * * *", duration=0.05, latency=0.01)
    world.run(120)
    seconds = [run.real // SECOND for run in world.runs]
    assert len(seconds) == len(set(seconds)) and len(seconds) >= 115


def test_run_on_startup_fires_once_for_hosts_that_start_together() -> None:
    world = World("2026-01-01T00:01:00")
    for _ in range(3):
        world.host("0 */5 * * * *", startup=True)
    world.run_until("2026-01-01T00:11:00")
    assert world.times() == ["01-01 00:01:00", "01-01 00:05:00", "01-01 00:10:00"]


def test_a_host_that_starts_beside_a_living_one_does_not_run_on_startup() -> None:
    world = World("2026-01-01T00:01:00")
    first = world.host("0 0 * * * *", startup=True)
    world.run(60)
    world.host("0 0 * * * *", startup=True)
    world.run(60)
    first.kill()
    world.run_until("2026-01-01T01:01:00")
    assert world.times() == ["01-01 00:01:00", "01-01 01:00:00"]


def test_a_host_restarted_after_a_crash_runs_on_startup_once_the_old_one_is_known_dead() -> None:
    world = World("2026-01-01T00:01:00")
    first = world.host("0 0 * * * *", startup=True)
    world.run(60)
    first.kill()
    world.run(1)
    world.host("0 0 * * * *", startup=True)
    world.run(60)
    assert len(world.runs) == 2
    assert world.runs[1].real - world.runs[0].real < 75 * SECOND


def test_another_host_takes_over_from_one_that_died_while_idle() -> None:
    world = World("2026-01-01T00:00:30")
    hosts = [world.host("0 * * * * *") for _ in range(2)]
    world.run(95)
    runner = world.runs[-1].host
    runner.kill()
    world.run(120)
    assert [run.real // (SECOND // 10) % 600 for run in world.runs] == [0, 0, 2, 0]
    assert {run.host for run in world.runs[2:]} == set(hosts) - {runner}
    assert not any(run.past_due for run in world.runs)


def test_a_host_that_came_just_before_the_keeper_fired_takes_over_from_it_at_once() -> None:
    """It has seen no beat of the keeper, but the record move: the keeper was alive after it came."""
    world = World("2026-01-01T00:00:01")
    first = world.host("*/3 * * * * *")
    world.run(0.5)
    second = world.host("*/3 * * * * *")
    world.run(2.4)
    assert [run.host for run in world.runs] == [first] and world.beat() == 0
    first.kill()
    world.run_until("2026-01-01T00:00:10")
    assert [run.host for run in world.runs] == [first, second, second]
    assert world.times() == ["01-01 00:00:03", "01-01 00:00:06", "01-01 00:00:09"]


def test_a_run_interrupted_by_the_death_of_its_host_is_run_again_by_another() -> None:
    world = World("2026-01-01T00:00:30")
    first = world.host("0 */5 * * * *", duration=None)
    world.run(1)
    second = world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:05:02")
    assert [run.host for run in world.runs] == [first]
    first.kill()
    world.run_until("2026-01-01T00:06:00")
    assert [run.host for run in world.runs] == [first, second]
    again = world.runs[1]
    assert again.past_due and again.real - world.runs[0].real <= 16 * SECOND
    assert (30, "The host that ran function 'tick' is gone. Executing it again.") in world.logs
    world.run_until("2026-01-01T00:11:00")
    assert len(world.runs) == 3


def test_an_interrupted_unmonitored_run_is_not_repeated_but_the_schedule_goes_on() -> None:
    world = World("2026-01-01T00:00:30")
    first = world.host("0 */5 * * * *", duration=None, monitor=False)
    world.run(1)
    world.host("0 */5 * * * *", monitor=False)
    world.run_until("2026-01-01T00:05:02")
    first.kill()
    world.run_until("2026-01-01T00:11:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:10:00"]


def test_a_host_believed_dead_that_ends_its_run_later_changes_nothing() -> None:
    world = World("2026-01-01T00:00:30")
    first = world.host("0 */5 * * * *", duration=30.0)
    world.run(1)
    second = world.host("0 */5 * * * *", duration=60.0)
    world.run_until("2026-01-01T00:05:05")
    world.live.pop(first.token)
    world.runs[0].ended = True  # so the harness allows the second run
    world.run_until("2026-01-01T00:21:00")
    assert [run.host for run in world.runs[:2]] == [first, second]
    minutes = [run.real // SECOND // 60 % 60 for run in world.runs]
    assert minutes == [5, 5, 10, 15, 20]


def test_a_long_run_on_another_living_host_is_waited_for() -> None:
    world = World("2026-01-01T00:04:30")
    world.host("0 */5 * * * *", duration=11 * 60)
    world.run(1)
    world.host("0 */5 * * * *", duration=11 * 60)
    world.run_until("2026-01-01T00:40:00")
    assert [run.real // SECOND // 60 % 60 for run in world.runs] == [5, 16, 27, 38]


def test_during_a_rolling_deployment_the_newer_schedule_rules() -> None:
    world = World("2026-01-01T00:00:30")
    old = world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:06:00")
    new = world.host("0 */7 * * * *")
    world.run_until("2026-01-01T00:30:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:07:00", "01-01 00:14:00", "01-01 00:21:00", "01-01 00:28:00"]
    new.kill()  # rolled back
    world.run_until("2026-01-01T00:51:00")
    assert {run.host for run in world.runs[5:]} == {old}
    assert [run.real // SECOND // 60 % 60 for run in world.runs[5:]] == [40, 45, 50]


# -- clocks


def test_a_clock_set_back_fires_nothing_twice() -> None:
    world = World("2026-01-01T00:00:30")
    host = world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:16:00")
    host.skew = -600.0
    world.run_until("2026-01-01T00:29:59")
    assert len(world.runs) == 3
    world.run_until("2026-01-01T00:31:00")
    # its clock says 00:20
    assert world.times()[3:] == ["01-01 00:30:00"]


def test_a_clock_set_back_and_a_restart_fire_nothing_twice_and_warn() -> None:
    for monitor in (True, False):
        world = World("2026-01-01T00:00:30")
        host = world.host("0 */5 * * * *", monitor=monitor)
        world.run_until("2026-01-01T03:01:00")
        ran = len(world.runs)
        host.close()
        world.host("0 */5 * * * *", skew=-2 * 3600.0, monitor=monitor)
        world.run(2 * 3600 - 60)
        assert len(world.runs) == ran
        assert any("which is ahead of the store's clock" in text for text in texts(world))
        world.run(600)
        assert len(world.runs) > ran


def test_a_clock_set_forward_fires_once_within_a_minute() -> None:
    world = World("2026-01-01T00:00:30")
    host = world.host("0 0 * * * *")
    world.run(100)
    host.skew = 5 * 3600.0
    world.run(61)
    assert len(world.runs) == 1 and not world.runs[0].past_due
    world.run(600)
    assert len(world.runs) == 1


def test_clocks_that_jump_about_at_random_fire_no_occurrence_twice() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        world = World("2026-10-24T12:00:00", "Europe/Berlin")
        hosts = [world.host("0 */10 * * * *", skew=chance.uniform(-5, 5)) for _ in range(3)]
        for _ in range(60):
            world.run(chance.uniform(1, 1500))
            chance.choice(hosts).skew += chance.choice([-7200, -3600, -60, -1, 1, 60, 3600])
        starts = [run.payload["ScheduleStatus"]["Next"] for run in world.runs]
        assert len(starts) == len(set(starts)), f"seed {seed}"


# -- store and stop


def test_a_store_out_of_order_is_asked_again() -> None:
    world = World("2026-01-01T00:00:30")
    world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:04:00")
    world.failing = True
    world.run_until("2026-01-01T00:05:42")
    world.failing = False
    world.run_until("2026-01-01T00:11:00")
    assert [time[:-3] for time in world.times()] == ["01-01 00:05", "01-01 00:10"]
    warnings = [text for level, text in world.logs if level == 30]
    assert warnings == ["The status of timer 'tick' cannot be reached, trying again: out of order"]


def test_a_store_out_of_order_at_the_end_of_a_run_keeps_the_result() -> None:
    world = World("2026-01-01T00:00:30")
    world.host("0 */5 * * * *", duration=10.0)
    world.run_until("2026-01-01T00:05:05")
    world.failing = True
    world.run_until("2026-01-01T00:05:40")
    world.failing = False
    world.run_until("2026-01-01T00:11:00")
    assert world.times() == ["01-01 00:05:00", "01-01 00:10:00"]
    assert world.record["Running"] == 0


def test_lost_answers_neither_fire_twice_nor_skip() -> None:
    world = World("2026-01-01T00:00:30")
    world.host("0 */5 * * * *")
    world.host("0 */5 * * * *")
    for _ in range(12):
        world.lose_answers = 2
        world.run(300)
    assert [time[:-3] for time in world.times()] == [f"01-01 {m // 60:02}:{m % 60:02}" for m in range(5, 65, 5)]


def test_stop_waits_for_the_run_and_records_it() -> None:
    world = World("2026-01-01T00:00:30")
    host = world.host("0 */5 * * * *", duration=20.0)
    world.run_until("2026-01-01T00:05:01")
    stopped: list[float] = []
    host.listener.stop(lambda: stopped.append(world.time))
    world.run(5)
    assert stopped == []
    world.run(20)
    assert len(stopped) == 1
    assert world.record["Running"] == 0 and world.record["Next"] == "2026-01-01T00:10:00+00:00"
    world.run(3600)
    assert len(world.runs) == 1


def test_stop_while_idle_is_at_once() -> None:
    world = World("2026-01-01T00:00:30")
    host = world.host("0 */5 * * * *")
    world.run(10)
    stopped: list[float] = []
    host.listener.stop(lambda: stopped.append(world.time))
    assert stopped == [10.0]


def test_a_claim_made_while_stopping_is_given_back() -> None:
    world = World("2026-01-01T00:00:30")
    first = world.host("0 */5 * * * *", latency=0.2)
    world.run(5)
    second = world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:05:00")
    world.run(0.35)  # the claim is on its way
    stopped: list[float] = []
    first.listener.stop(lambda: stopped.append(world.time))
    world.run(5)
    assert len(stopped) == 1
    assert [run.host for run in world.runs] == [second]
    assert not world.runs[0].past_due


def test_one_host_asks_the_store_twice_a_run_and_never_while_waiting() -> None:
    world = World("2026-01-01T00:00:30")
    world.host("0 0 * * * *")
    world.run(60)
    before = world.calls
    world.run(24 * 3600)
    assert (world.calls - before) / len(world.runs) <= 4
    before, runs = world.calls, len(world.runs)
    world.run(3000)
    assert (world.calls, len(world.runs)) == (before, runs) or len(world.runs) > runs


# -- records, bindings, zones


def test_records_survive_encoding() -> None:
    record = TimerRecord(NEVER, "0 * * * * * | UTC", 1_700_000_000_123_456, 5, 3, 4, 1_700_000_000_000_000)
    for zone in ("UTC", "Asia/Kathmandu"):
        assert decode_record(encode_record(record, choose_zone({"TZ": zone}).zone)) == record


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"Last": "x"}'])
def test_a_broken_record_is_none(text: str) -> None:
    assert decode_record(text) is None


def test_a_broken_record_is_written_anew() -> None:
    world = World("2026-01-01T00:00:30")
    world.settings["tick"] = "rubbish"
    world.host("0 */5 * * * *")
    world.run_until("2026-01-01T00:06:00")
    assert world.times() == ["01-01 00:05:00"]


def test_times_in_both_forms() -> None:
    berlin = choose_zone({"TZ": "Europe/Berlin"}).zone
    assert iso(1_700_000_000_000_000, berlin) == "2023-11-14T23:13:20+01:00"
    assert round_trip(1_700_000_000_000_000, berlin) == "2023-11-14T23:13:20.0000000+01:00"
    assert round_trip(1_700_000_000_123_456, UTC) == "2023-11-14T22:13:20.1234560+00:00"


def test_a_binding_is_read_in_any_case_and_expanded() -> None:
    trigger = timer_trigger(
        "tick",
        {"Schedule": "%EVERY%", "RUNONSTARTUP": "True", "useMonitor": False, "name": "t", "type": "timerTrigger"},
        UTC,
        lambda text: text.replace("%EVERY%", "0 */5 * * * *"),
    )
    assert (trigger.schedule.expression, trigger.run_on_startup, trigger.use_monitor) == ("0 */5 * * * *", True, False)
    assert timer_trigger("tick", {"schedule": "1:00"}, UTC, str).use_monitor


def test_a_binding_without_schedule_is_refused() -> None:
    with pytest.raises(ScheduleError, match="The timer trigger of function 'tick' has no schedule"):
        timer_trigger("tick", {"type": "timerTrigger"}, UTC, str)


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"TZ": "Europe/Berlin", "WEBSITE_TIME_ZONE": "Asia/Tokyo"}, "Europe/Berlin"),
        ({"TZ": ":America/New_York"}, "America/New_York"),
        ({"WEBSITE_TIME_ZONE": "Tokyo Standard Time"}, "Asia/Tokyo"),
        ({"TZ": " ", "WEBSITE_TIME_ZONE": "w. europe standard time"}, "Europe/Berlin"),
        ({"TZ": "utc"}, "UTC"),
    ],
)
def test_the_zone_comes_from_the_environment(environment: dict[str, str], name: str) -> None:
    choice = choose_zone(environment)
    assert choice.name.upper() == name.upper() and not choice.warning


def test_an_unknown_zone_is_utc_with_a_warning() -> None:
    choice = choose_zone({"TZ": "Mars/Olympus"})
    assert choice.name == "UTC" and choice.warning.startswith("TZ='Mars/Olympus' names no time zone known")


def test_without_settings_the_machine_decides() -> None:
    assert choose_zone({}).name


# -- retry policies


def test_retry_policies_of_both_models() -> None:
    fixed = read_retry({"strategy": "fixedDelay", "maxRetryCount": 4, "delayInterval": "00:00:10"})
    assert fixed is not None and (fixed.count, fixed.delay(1), fixed.delay(4)) == (4, 10.0, 10.0)
    growing = read_retry(
        {
            "setting_name": "retry_policy",
            "strategy": "exponential_backoff",
            "max_retry_count": "-1",
            "minimum_interval": "00:00:03",
            "maximum_interval": "00:01:00",
        }
    )
    assert growing is not None and growing.count == -1
    assert [growing.delay(n) for n in (1, 2, 5, 6, 9999)] == [3.0, 6.0, 48.0, 60.0, 60.0]
    assert read_retry(None) is None and read_retry({}) is None


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (
            {"strategy": "fixedDelay", "maxRetryCount": "x"},
            "The retry policy's max_retry_count is 'x': expected a number",
        ),
        ({"strategy": "often", "maxRetryCount": 1}, "The retry policy's strategy is 'often': expected fixed_delay or"),
        ({"strategy": "fixedDelay", "maxRetryCount": 1, "delayInterval": "soon"}, "delay_interval is 'soon': expected"),
    ],
)
def test_retry_policies_that_cannot_be_used(policy: dict[str, object], text: str) -> None:
    with pytest.raises(RetryPolicyError, match=text):
        read_retry(policy)


def test_retry_policies_are_indexed_in_both_models(tmp_path: Path) -> None:
    v2, v1 = tmp_path / "v2", tmp_path / "v1"
    (v1 / "Tick").mkdir(parents=True)
    v2.mkdir()
    (v2 / "function_app.py").write_text(
        "import azure.functions as func\napp = func.FunctionApp()\n"
        "@app.timer_trigger(schedule='0 * * * * *', arg_name='t')\n"
        "@app.retry(strategy='fixed_delay', max_retry_count='2', delay_interval='00:00:01')\n"
        "def tick(t): pass\n"
    )
    (v1 / "Tick" / "__init__.py").write_text("def main(t): pass\n")
    retry = {"strategy": "fixedDelay", "maxRetryCount": 2, "delayInterval": "00:00:01"}
    binding = {"name": "t", "type": "timerTrigger", "direction": "in", "schedule": "0 * * * * *"}
    (v1 / "Tick" / "function.json").write_text(json.dumps({"bindings": [binding], "retry": retry}))
    code = (
        "import json, sys; from perdure.host.worker import indexing; indexing.prepare_paths(sys.argv[1]); "
        "app = indexing.load_app(sys.argv[1]); print(json.dumps(app.functions[0].indexed.retry))"
    )
    for root in (v1, v2):
        done = subprocess.run([sys.executable, "-c", code, str(root)], capture_output=True, text=True, timeout=60)
        found = read_retry(json.loads(done.stdout))
        assert found is not None and (found.count, found.delay(1)) == (2, 1.0), done.stderr
