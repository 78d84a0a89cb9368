"""What the task hub tells about itself, as lines of the host's log."""

from __future__ import annotations

from perdure.host.logs import ERROR, INFORMATION, WARNING, HostLog
from perdure.taskhub.telemetry import Telemetry

_CATEGORY = "Host.Triggers.DurableTask"


class HostTelemetry(Telemetry):
    """Writes what users need to know."""

    def __init__(self, log: HostLog, host_id: str) -> None:
        self._log = log
        self._host_id = host_id
        self._store_failure = ""

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

    def limit_reached(self, what: str, active: int, limit: int) -> None:
        """A limit holds work back."""
        self._log.write(
            _CATEGORY,
            INFORMATION,
            f"{what}-{self._host_id}-0: Delaying work item fetching because the current active work-item count "
            f"({active}) exceeds the configured maximum active work-item count ({limit})",
        )

    def store_failed(self, text: str) -> None:
        """The store could not answer; the same failure again and again is one line."""
        if text != self._store_failure:
            self._store_failure = text
            self._log.write(_CATEGORY, ERROR, f"The store failed: {text}")
