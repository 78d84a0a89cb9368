"""How much more workers may log: what the host has taken of their lines is given back to them as credit."""

from __future__ import annotations

from perdure.host.protocol.messages import LogCredit, LogLine
from perdure.host.supervision.worker_link import WorkerLink

_CREDIT_STEP = 64 * 1024
_LINE_OVERHEAD = 100


class LogWindow:
    """What each worker is owed, in characters, paid in steps; nothing while held."""

    def __init__(self) -> None:
        self._owed: dict[WorkerLink, int] = {}
        self._held = False

    def took(self, link: WorkerLink, line: LogLine) -> None:
        """A line of this worker is with the host."""
        self._owed[link] = self._owed.get(link, 0) + len(line.text) + _LINE_OVERHEAD

    def pay(self, link: WorkerLink, least: int = _CREDIT_STEP) -> None:
        """Give the worker what it is owed, from `least` characters on."""
        owed = self._owed.get(link, 0)
        if owed >= least and not self._held:
            del self._owed[link]
            link.channel.send(LogCredit(owed))

    def hold(self, held: bool) -> None:
        """While held, nobody is paid; afterwards everybody at once."""
        self._held = held
        if not held:
            for link in list(self._owed):
                self.pay(link, least=1)

    def forget(self, link: WorkerLink) -> None:
        """The worker is gone."""
        self._owed.pop(link, None)
