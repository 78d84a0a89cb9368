"""Retry policies of functions, as function.json and the `retry` decorator write them."""

from __future__ import annotations

from typing import Any

from perdure.host.triggers.schedule import SECOND, parse_timespan
from perdure.host.triggers.timer import Retry


class RetryPolicyError(ValueError):
    """A retry policy that cannot be used; the text is ready to print."""


def read_retry(policy: dict[str, Any] | None) -> Retry | None:
    """The policy, None for none. Keys and strategies are read in both spellings. Raises `RetryPolicyError`."""
    if not policy:
        return None
    values = {_plain(name): value for name, value in policy.items()}
    count = values.get("maxretrycount")
    try:
        most = int(str(count))
    except ValueError:
        raise RetryPolicyError(
            f"The retry policy's max_retry_count is '{count}': expected a number, -1 for no limit."
        ) from None
    strategy = _plain(str(values.get("strategy", "")))
    if strategy == "fixeddelay":
        delay = _seconds(values, "delayinterval", "delay_interval")
        return Retry(most, lambda _attempt: delay)
    if strategy == "exponentialbackoff":
        shortest = _seconds(values, "minimuminterval", "minimum_interval")
        longest = _seconds(values, "maximuminterval", "maximum_interval")
        # a shift beyond this is longer than any interval that can be written
        return Retry(most, lambda attempt: min(longest, shortest * 2.0 ** min(attempt - 1, 64)))
    raise RetryPolicyError(
        f"The retry policy's strategy is '{values.get('strategy')}': expected fixed_delay or exponential_backoff."
    )


def _seconds(values: dict[str, Any], key: str, shown: str) -> float:
    text = str(values.get(key, ""))
    found = parse_timespan(text)
    if found is None:
        raise RetryPolicyError(f"The retry policy's {shown} is '{text}': expected a time such as 00:00:10.")
    return found / SECOND


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
