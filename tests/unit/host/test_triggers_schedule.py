"""Timer schedules: the grammar, intervals, and occurrences in zones that change their offset."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.host.triggers.ncrontab import Cron, CronError, parse_cron
from perdure.host.triggers.schedule import (
    SECOND,
    CronSchedule,
    IntervalSchedule,
    ScheduleError,
    occurrences,
    parse_schedule,
    timespan,
)

UTC = timezone.utc


def instant(text: str) -> int:
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * SECOND


def local(instants: list[int], zone: str) -> list[str]:
    return [datetime.fromtimestamp(i // SECOND, ZoneInfo(zone)).isoformat() for i in instants]


def after(expression: str, start: str, count: int = 3, zone: str = "UTC") -> list[str]:
    return local(occurrences(parse_schedule(expression, ZoneInfo(zone)), instant(start), count), zone)


# -- grammar


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */5 * * * *", ["2026-01-01T00:05:00", "2026-01-01T00:10:00", "2026-01-01T00:15:00"]),
        ("*/5 * * * *", ["2026-01-01T00:05:00", "2026-01-01T00:10:00", "2026-01-01T00:15:00"]),
        ("0,30 * * * * *", ["2026-01-01T00:00:30", "2026-01-01T00:01:00", "2026-01-01T00:01:30"]),
        ("0 30 9-17/4 * * mon-FRI", ["2026-01-01T09:30:00", "2026-01-01T13:30:00", "2026-01-01T17:30:00"]),
        ("0 0 0 1 January,july *", ["2026-07-01T00:00:00", "2027-01-01T00:00:00", "2027-07-01T00:00:00"]),
        ("0 0 0 29 2 *", ["2028-02-29T00:00:00", "2032-02-29T00:00:00", "2036-02-29T00:00:00"]),
        ("59 59 23 31 12 *", ["2026-12-31T23:59:59", "2027-12-31T23:59:59", "2028-12-31T23:59:59"]),
        ("0 50/4 * * * *", ["2026-01-01T00:50:00", "2026-01-01T00:54:00", "2026-01-01T00:58:00"]),
        ("0 0 12 * * 0", ["2026-01-04T12:00:00", "2026-01-11T12:00:00", "2026-01-18T12:00:00"]),
        ("0 0 12 * * sun", ["2026-01-04T12:00:00", "2026-01-11T12:00:00", "2026-01-18T12:00:00"]),
    ],
)
def test_cron_occurrences(expression: str, expected: list[str]) -> None:
    assert after(expression, "2026-01-01T00:00:00") == [text + "+00:00" for text in expected]


def test_day_and_weekday_must_both_hold() -> None:
    assert after("0 0 0 13 * 5", "2026-01-01") == [
        "2026-02-13T00:00:00+00:00",
        "2026-03-13T00:00:00+00:00",
        "2026-11-13T00:00:00+00:00",
    ]


def test_a_leap_day_on_a_weekday_is_found_across_the_skipped_leap_year_2100() -> None:
    mondays = [year for year in range(2072, 2160, 4) if year != 2100 and datetime(year, 2, 29).weekday() == 0]
    assert after("0 0 0 29 2 mon", "2072-01-01", len(mondays)) == [f"{year}-02-29T00:00:00+00:00" for year in mondays]


def test_a_day_that_never_comes_has_no_occurrence() -> None:
    assert parse_schedule("0 0 0 30 2 *", UTC).next_after(instant("2026-01-01")) is None


@pytest.mark.parametrize(
    ("expression", "hint"),
    [
        ("60 * * * * *", "The second field holds '60'; it takes 0 to 59."),
        ("0 0 24 * * *", "The hour field holds '24'; it takes 0 to 23."),
        ("0 0 0 0 * *", "The day field holds '0'; it takes 1 to 31."),
        ("0 0 0 * 13 *", "The month field holds '13'; it takes 1 to 12 or a name such as jan."),
        ("0 0 0 * * 7", "The day-of-week field holds '7'; it takes 0 to 6 or a name such as sun."),
        ("0 0 0 * * funday", "The day-of-week field holds 'funday'; it takes 0 to 6 or a name such as sun."),
        ("0 */0 * * * *", "The step of '*/0' in the minute field must be a number from 1."),
        ("0 1,,2 * * * *", "The minute field holds ''; it takes 0 to 59."),
        ("0 1- * * * *", "The minute field holds ''; it takes 0 to 59."),
        ("0 0 ? * * *", "The hour field holds '?'; it takes 0 to 23."),
        ("0 ² * * * *", "The minute field holds '²'; it takes 0 to 59."),
        ("* * * *", "It has 4 fields; a cron expression has six (second first) or five."),
        ("every minute", "It has 2 fields; a cron expression has six (second first) or five."),
        ("", "It has 0 fields; a cron expression has six (second first) or five."),
        ("00:00:00", "A timespan must be longer than nothing."),
        ("00:61:00", "It has 1 fields; a cron expression has six (second first) or five."),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_published_text_and_a_hint(expression: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(expression, UTC)
    assert str(caught.value) == (
        f"The schedule expression '{expression}' was not recognized as a valid cron expression or timespan string. "
        + hint
    )


def test_ranges_written_upside_down_mean_the_same_values() -> None:
    assert parse_cron("0 0 20-8 * * *").hours == tuple(range(8, 21))


@pytest.mark.parametrize(
    ("expression", "interval"),
    [
        ("* 0 0 * * *", True),
        ("0 0 1-2 * * *", True),
        ("0 0/10 0 * * *", True),
        ("*/5 * * * *", True),
        ("0 30 2 * * *", False),
        ("0 0,30 1,2 * * *", False),
        ("0 30 2 1-7 */2 *", False),
    ],
)
def test_star_slash_or_dash_in_second_minute_or_hour_make_an_interval(expression: str, interval: bool) -> None:
    assert parse_cron(expression).interval is interval


# -- timespans


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("00:05:00", 300),
        ("00:00:30", 30),
        ("1.00:00:00", 86400),
        ("24:00:00", 24 * 86400),
        ("48:30:00", 48 * 86400 + 30 * 3600),
        ("5", 5 * 86400),
        ("2.03:04:05", 2 * 86400 + 3 * 3600 + 4 * 60 + 5),
        ("10:30", 10 * 3600 + 30 * 60),
        ("00:00:00.5", 0.5),
        ("00:00:01.2500000", 1.25),
    ],
)
def test_timespans(expression: str, seconds: float) -> None:
    if expression == "48:30:00":
        with pytest.raises(ScheduleError):  # 30 is no hour either
            parse_schedule(expression, UTC)
        return
    schedule = parse_schedule(expression, UTC)
    assert isinstance(schedule, IntervalSchedule)
    assert schedule.next_after(7) == 7 + int(seconds * SECOND)
    assert not schedule.adjusts_for_dst


def test_under_a_minute() -> None:
    def short(expression: str) -> bool:
        return parse_schedule(expression, UTC).under_a_minute

    assert short("*/10 * * * * *") and short("0,59 * * * * *") and short("00:00:59")
    assert not short("0 * * * * *") and not short("* * * * *") and not short("00:01:00")


def test_durations_print_as_timespans() -> None:
    assert timespan(90 * SECOND) == "00:01:30"
    assert timespan((2 * 86400 + 3661) * SECOND) == "2.01:01:01"
    assert timespan(1_500_000) == "00:00:01.5000000"


# -- daylight saving


def test_a_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    assert after("0 30 2 * * *", "2026-03-28T12:00:00", 2, "Europe/Berlin") == [
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert after("0 15 2 * * *", "2026-10-03T00:00:00", 2, "Australia/Lord_Howe")[0] == "2026-10-04T02:45:00+11:00"


def test_two_times_of_which_one_moves_onto_the_other_fire_once() -> None:
    assert after("0 30 2,3 * * *", "2026-03-29T00:30:00", 2, "Europe/Berlin") == [
        "2026-03-29T03:30:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]


def test_moved_times_keep_their_order_with_those_that_exist() -> None:
    assert after("0 10,50 2,3 * * *", "2026-03-29T00:30:00", 4, "Europe/Berlin") == [
        "2026-03-29T03:10:00+02:00",
        "2026-03-29T03:50:00+02:00",
        "2026-03-30T02:10:00+02:00",
        "2026-03-30T02:50:00+02:00",
    ]


def test_a_point_in_time_runs_in_the_first_copy_of_an_hour_only() -> None:
    assert after("0 30 1 * * *", "2026-10-31T12:00:00", 2, "America/New_York") == [
        "2026-11-01T01:30:00-04:00",
        "2026-11-02T01:30:00-05:00",
    ]


def test_a_start_inside_the_second_copy_assumes_that_the_point_in_time_has_run() -> None:
    assert after("0 30 1 * * *", "2026-11-01T01:05:00-05:00", 1, "America/New_York") == ["2026-11-02T01:30:00-05:00"]
    weekly = after("0 30 1 * * sun", "2026-11-01T01:05:00-05:00", 1, "America/New_York")
    assert weekly == ["2026-11-08T01:30:00-05:00"]


def test_an_interval_runs_through_both_copies_of_an_hour() -> None:
    assert after("0 */30 * * * *", "2026-11-01T00:45:00-04:00", 5, "America/New_York") == [
        "2026-11-01T01:00:00-04:00",
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:00:00-05:00",
        "2026-11-01T01:30:00-05:00",
        "2026-11-01T02:00:00-05:00",
    ]


def test_a_day_that_a_zone_skipped_moves_to_the_next() -> None:
    assert after("0 0 9 30 12 *", "2011-12-29T12:00:00", 1, "Pacific/Apia") == ["2011-12-31T09:00:00+14:00"]


ZONES = {
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Australia/Lord_Howe": ("2026-04-05", "2026-10-04"),
    "Antarctica/Troll": ("2026-03-29", "2026-10-25"),
    "America/Santiago": ("2026-04-05", "2026-09-06"),
    "Asia/Beirut": ("2026-03-29", "2026-10-25"),
    "Asia/Kolkata": ("2026-03-29",),
}


@lru_cache
def seconds_of(zone_name: str, day: str) -> list[tuple[int, int, bool]]:
    """Every second of three days around `day`: instant, wall second, whether the wall time occurs a second time."""
    zone = ZoneInfo(zone_name)
    start = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) - 86400
    rows = []
    for second in range(start, start + 3 * 86400):
        there = datetime.fromtimestamp(second, zone)
        rows.append((second, second + int(there.utcoffset().total_seconds()), there.fold == 1))  # type: ignore[union-attr]
    return rows


def reference(cron: Cron, zone_name: str, day: str) -> list[int]:
    """The occurrences of those days, second by second, straight from the rules."""
    found = set()
    previous: int | None = None
    of_day = {
        s for s in range(86400) if s % 60 in cron.seconds and s // 60 % 60 in cron.minutes and s // 3600 in cron.hours
    }
    for second, wall, again in seconds_of(zone_name, day):
        if wall % 86400 in of_day and (cron.interval or not again) and cron.matches(wall):
            found.add(second)
        if previous is not None and wall > previous + 1:  # wall-clock times that do not exist
            for missing in range(previous + 1, wall):
                if cron.matches(missing):
                    found.add(second + missing - (previous + 1))
        previous = wall
    return sorted(found)


field = st.one_of(
    st.just("*"),
    st.integers(0, 3).map(str),
    st.sampled_from(["1-2", "*/4", "1,2", "0-3/2", "2,3", "15"]),
)


@settings(max_examples=40, deadline=None)
@given(
    second=st.sampled_from(["0", "30", "0,59", "*/20"]),
    minute=st.one_of(field, st.sampled_from(["0,30", "*/20", "59", "10-50/20"])),
    hour=st.one_of(field, st.sampled_from(["23", "0", "1", "2"])),
    weekday=st.sampled_from(["*", "0", "0,1", "6"]),
    place=st.sampled_from([(zone, day) for zone, days in ZONES.items() for day in days]),
    offset=st.integers(0, 86400),
)
def test_occurrences_equal_a_second_by_second_search(
    second: str, minute: str, hour: str, weekday: str, place: tuple[str, str], offset: int
) -> None:
    zone, day = place
    schedule = parse_schedule(f"{second} {minute} {hour} * * {weekday}", ZoneInfo(zone))
    assert isinstance(schedule, CronSchedule)
    rows = seconds_of(zone, day)
    # the last hours are left out: what moves forward out of the window is not in the reference
    begin, end = rows[0][0] + offset, rows[-1][0] - 7200
    expected = [found for found in reference(schedule.cron, zone, day) if begin < found < end]
    actual = []
    at: int | None = begin * SECOND
    while (at := schedule.next_after(at)) is not None and at < end * SECOND:
        actual.append(at // SECOND)
        if len(actual) > 400:
            expected = expected[: len(actual)]
            break
    assert actual == expected


def test_ten_years_of_a_daily_timer_have_one_run_per_day() -> None:
    zone = ZoneInfo("Europe/London")
    schedule = parse_schedule("0 30 1 * * *", zone)
    start = datetime(2020, 1, 1, tzinfo=zone)
    found = occurrences(schedule, int(start.timestamp()) * SECOND, 3653)
    days = [datetime.fromtimestamp(i // SECOND, zone).date() for i in found]
    assert days == [start.date() + timedelta(days=n) for n in range(3653)]


def test_cron_errors_are_value_errors() -> None:
    with pytest.raises(CronError):
        parse_cron("61 * * * *")
