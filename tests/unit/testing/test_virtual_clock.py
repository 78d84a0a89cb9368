from __future__ import annotations

from perdure.testing.clock import START, VirtualClock, VirtualTime


def test_calls_run_in_order_of_time_then_of_asking() -> None:
    time, seen = VirtualTime(), []
    clock = VirtualClock(time)
    clock.later(2, lambda: seen.append("late"))
    clock.later(1, lambda: seen.append("first at 1"))
    clock.later(1, lambda: seen.append("second at 1"))
    clock.soon(lambda: seen.append("soon"))
    time.advance(5)
    assert seen == ["soon", "first at 1", "second at 1", "late"]
    assert clock.now() == START + 5_000_000
    assert clock.monotonic() == 5.0


def test_soon_comes_after_what_is_under_way() -> None:
    time, seen = VirtualTime(), []
    clock = VirtualClock(time)

    def outer() -> None:
        clock.soon(lambda: seen.append("inner"))
        seen.append("outer")

    clock.soon(outer)
    clock.soon(lambda: seen.append("next"))
    time.advance(0)
    assert seen == ["outer", "next", "inner"]


def test_a_cancelled_call_never_runs_and_a_done_one_can_be_cancelled() -> None:
    time, seen = VirtualTime(), []
    clock = VirtualClock(time)
    never, done = clock.later(1, lambda: seen.append("never")), clock.later(2, lambda: seen.append("done"))
    never.cancel()
    time.advance(3)
    done.cancel()
    assert seen == ["done"]


def test_a_stopped_process_calls_nothing_more() -> None:
    time, seen = VirtualTime(), []
    dead, alive = VirtualClock(time), VirtualClock(time)
    dead.later(1, lambda: seen.append("dead"))
    alive.later(1, lambda: seen.append("alive"))
    dead.stop()
    time.advance(2)
    assert seen == ["alive"]


def test_a_paused_process_makes_up_for_its_calls_in_order_and_may_cancel_them() -> None:
    time, seen = VirtualTime(), []
    clock = VirtualClock(time)
    clock.later(1, lambda: seen.append(("one", time.now)))
    two = clock.later(2, lambda: seen.append(("two", time.now)))
    clock.later(3, lambda: seen.append(("three", time.now)))
    clock.pause(10)
    time.advance(5)
    assert seen == []
    two.cancel()
    time.advance(10)
    assert seen == [("one", START + 10_000_000), ("three", START + 10_000_000)]


def test_a_skewed_wall_clock_leaves_the_monotonic_one_alone() -> None:
    clock = VirtualClock(VirtualTime(), skew=-120.0)
    assert clock.now() == START - 120_000_000
    assert clock.monotonic() == 0.0


def test_run_until_stops_at_the_condition_or_the_limit() -> None:
    time, seen = VirtualTime(), []
    clock = VirtualClock(time)
    for second in range(10):
        clock.later(second, lambda: seen.append(1))
    assert time.run_until(lambda: len(seen) == 3, within=100)
    assert time.now == START + 2_000_000
    assert not time.run_until(lambda: len(seen) == 30, within=100)
    assert time.now == START + 102_000_000


def test_the_same_seed_gives_the_same_jitter() -> None:
    time = VirtualTime()
    assert [VirtualClock(time, 7).random() for _ in range(2)] == [VirtualClock(time, 7).random()] * 2
