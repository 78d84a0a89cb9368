"""How far beyond its free slots a host claims activities: no further than it gets while the store answers."""

from __future__ import annotations

#: most activities that are claimed and not yet started
MOST_AHEAD = 256
#: an activity that has ended counts this much in the mean
_WEIGHT = 1 / 8
#: what an activity takes as long as nobody knows, and the least that is believed, in seconds
_UNKNOWN, _LEAST = 1.0, 0.0001
#: the store is asked for the next while it answers the last
_TRIPS = 2


class Pace:
    """How long activities take here.

    While the store hands out the next activity a slot stands idle. For activities that take seconds that is nothing,
    and whatever is claimed ahead would wait here although another host may be free. For those that take less than the
    store itself, as many more are claimed as will have ended by the time of its answer.
    """

    __slots__ = ("_mean",)

    def __init__(self) -> None:
        self._mean = _UNKNOWN

    def ended(self, seconds: float) -> None:
        """An activity took this long."""
        self._mean += (seconds - self._mean) * _WEIGHT

    def stalled(self, seconds: float) -> None:
        """What was claimed ahead found no slot for this long."""
        self._mean = max(self._mean, seconds)

    def ahead(self, slots: int, trip: float) -> int:
        """How many activities end in so many slots during trips to the store that take `trip` seconds each."""
        return min(MOST_AHEAD, int(slots * _TRIPS * trip / max(self._mean, _LEAST)))
