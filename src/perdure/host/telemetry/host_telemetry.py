"""What the task hub tells about itself, as lines of the host's log."""

from __future__ import annotations

from perdure.host.logs.log import ERROR, INFORMATION, WARNING, HostLog
from perdure.taskhub.telemetry import Telemetry

_CATEGORY = "Host.Triggers.DurableTask"
_DISPATCHERS = {
    "activities": "TaskActivityDispatcher",
    "turns": "TaskOrchestrationDispatcher",
    "entity batches": "TaskEntityDispatcher",
}
#: refused instances that are remembered, so that each is named once
_REFUSED = 1000


class HostTelemetry(Telemetry):
    """Writes what users need to know."""

    def __init__(self, log: HostLog, host_id: str) -> None:
        self._log = log
        self._host_id = host_id
        self._store_failure = ""
        self._limited: set[str] = set()
        self._refused: dict[str, None] = {}

    def registered(self, token: int) -> None:
        """The host got a token."""
        self._log.write("Host.Singleton", INFORMATION, f"Host lock lease acquired by instance ID '{self._host_id}'.")

    def token_lost(self, token: int) -> None:
        """Others declared this host dead; it registers again."""
        self._log.write(
            "Host.Singleton",
            WARNING,
            f"Host lock lease of instance ID '{self._host_id}' was lost: other hosts took this one for dead. "
            "It registers again.",
        )

    def parked(self, instance_id: str, name: str, report: str) -> None:
        """An instance cannot go on with the code at hand."""
        self._log.write(_CATEGORY, ERROR, f"{instance_id}: Function '{name} (Orchestrator)' is parked. {report}")

    def refused(self, instance_id: str, name: str, reason: str) -> None:
        """This host may not run an instance; another may. Told once for each."""
        kind = "Entity" if instance_id.startswith("@") else "Orchestrator"
        self._once(instance_id, f"{instance_id}: Function '{name} ({kind})' is left to other hosts. {reason}")

    def operations_failed(self, instance_id: str, count: int, reason: str) -> None:
        """Operations of an entity ended without code. Told once for each entity."""
        operations = "1 operation" if count == 1 else f"{count} operations"
        self._once(instance_id, f"{instance_id}: {operations} failed without code to run. {reason}")

    def _once(self, instance_id: str, text: str) -> None:
        if instance_id in self._refused:
            return
        self._refused[instance_id] = None
        if len(self._refused) > _REFUSED:
            del self._refused[next(iter(self._refused))]
        self._log.write(_CATEGORY, WARNING, text)

    def limit_reached(self, what: str, active: int, limit: int) -> None:
        """Work is held back; one line until it clears."""
        if what in self._limited:
            return
        self._limited.add(what)
        reason = (
            f"the current active work-item count ({active}) exceeds the configured maximum active work-item count "
            f"({limit})"
            if active >= limit
            else f"no worker process has a free thread: the current active work-item count is {active}, the configured "
            f"maximum active work-item count {limit}"
        )
        self._log.write(
            _CATEGORY,
            INFORMATION,
            f"{_DISPATCHERS[what]}-{self._host_id}-0: Delaying work item fetching because {reason}",
        )

    def limit_cleared(self, what: str) -> None:
        """The limit holds nothing back any more."""
        self._limited.discard(what)

    def store_failed(self, text: str) -> None:
        """The store could not answer; the same failure again and again is one line."""
        if text != self._store_failure:
            self._store_failure = text
            self._log.write(_CATEGORY, ERROR, f"The store failed: {text}")
