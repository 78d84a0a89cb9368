"""How often a process looks for reference cycles."""

from __future__ import annotations

import gc

#: allocations between looks at new objects, and how many of these make a look at the older ones. New ones are looked at
#: often enough that what activities leave behind, large as it may be, does not pile up
_THRESHOLDS = (5_000, 50, 200)


def look_rarely() -> None:
    """Look for cycles less often than Python does by itself.

    Thousands of waiting instances and sessions are long-lived objects; with Python's defaults every burst of short
    ones makes it walk over all of them again, so that a step would cost more the more instances sleep.
    """
    gc.set_threshold(*_THRESHOLDS)
