"""What the hub tells about itself, in one place. The default says nothing."""

from __future__ import annotations

from perdure.model.commit_plan import CommitBatch, TurnPlan


class Telemetry:
    """Events for logs, metrics and traces. Every method may be overridden; none may raise."""

    def registered(self, token: int) -> None:
        """The host got a token."""

    def token_lost(self, token: int) -> None:
        """Others declared this host dead; it registers again."""

    def committed(self, batch: CommitBatch, seconds: float) -> None:
        """A commit is durable."""

    def turn_applied(self, plan: TurnPlan, name: str, instance_id: str) -> None:
        """A turn is durable."""

    def turn_fenced(self, n: int, instance_id: str) -> None:
        """A turn was not applied: the instance belongs to another host."""

    def parked(self, instance_id: str, name: str, report: str) -> None:
        """An instance cannot go on with the code at hand."""

    def refused(self, instance_id: str, name: str, reason: str) -> None:
        """This host may not run an instance (its version); another host may."""

    def result_dropped(self, name: str, n: int, task: int) -> None:
        """An activity's result found nobody who waits for it."""

    def limit_reached(self, what: str, active: int, limit: int) -> None:
        """A limit holds work back; told once until it clears."""

    def limit_cleared(self, what: str) -> None:
        """The limit holds nothing back any more."""

    def store_failed(self, text: str) -> None:
        """The store could not answer."""
