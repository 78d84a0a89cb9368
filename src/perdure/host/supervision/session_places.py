"""Which worker is believed to hold the live session of an instance, and where it stands."""

from __future__ import annotations

from perdure.host.protocol.messages import DropSession
from perdure.host.supervision.worker_link import WorkerLink


class SessionPlaces:
    """Bounded by the workers themselves: they report each session that they give up."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[WorkerLink, int, int]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def holds(self, n: int, generation: int, turn: int) -> bool:
        """Whether a session of this generation stands at `turn`."""
        place = self._places.get(n)
        return place is not None and place[1] == generation and place[2] == turn

    def put(self, n: int, link: WorkerLink, generation: int, turn: int) -> None:
        """The session stands at `turn` in the worker behind `link`."""
        self._places[n] = (link, generation, turn)

    def take(self, n: int) -> WorkerLink | None:
        """Where the session is, if that worker can be given work; it stands nowhere until it is put again."""
        place = self._places.pop(n, None)
        if place is None:
            return None
        if place[0].is_ready:
            return place[0]
        place[0].channel.send(DropSession(n))
        return None

    def drop(self, n: int) -> None:
        """Tell the worker that the session is not used any more."""
        place = self._places.pop(n, None)
        if place is not None:
            place[0].channel.send(DropSession(n))

    def evicted(self, n: int, link: WorkerLink) -> None:
        """The worker gave it up by itself."""
        place = self._places.get(n)
        if place is not None and place[0] is link:
            del self._places[n]

    def forget(self, link: WorkerLink) -> None:
        """All sessions of this worker are lost."""
        self._places = {n: place for n, place in self._places.items() if place[0] is not link}
