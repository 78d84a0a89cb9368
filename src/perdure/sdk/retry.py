"""When a failed call is tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from perdure.sdk.types import RetryPolicy

_MICROSECOND = timedelta(microseconds=1)


def next_pause(policy: RetryPolicy, attempt: int, started: int, now: int) -> int | None:
    """Microseconds to wait after failed attempt number `attempt` (from 1); None when there is no next attempt.

    `started` and `now` are microseconds: when the first attempt was scheduled, and the time of this turn. There is no
    pause after the last attempt (the published SDK waits once more before it gives up).
    """
    if attempt >= policy.max_number_of_attempts:
        return None
    if policy.retry_timeout is not None and now >= started + policy.retry_timeout // _MICROSECOND:
        return None
    return policy.delay_after(attempt) // _MICROSECOND


def check_policy(policy: Any) -> RetryPolicy:
    """`policy`, if it can be retried by. Raises `TypeError` that says what was expected."""
    if isinstance(policy, RetryPolicy):
        return policy
    raise TypeError(
        f"retry options must be a RetryOptions or a RetryPolicy, not {type(policy).__name__}: "
        "call_activity_with_retry(name, retry_options, input_), in this order"
    )
