"""What the hub tells, counted: a listener that only adds up. Exposed by `metrics_api`, which needs `prometheus-client`.

Labels are bounded by the app: names of functions, kinds, outcomes; never an instance.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from perdure.engine.catalog import BUILT_IN_HTTP
from perdure.engine.runtime_state import RuntimeState
from perdure.model.commit_plan import CommitBatch, NewInstance, TurnPlan, TurnVerdict, Verdict, WorkItem
from perdure.model.execution import ActivityCompleted, ActivityFailed, ActivityOutcome
from perdure.model.instance import InstanceKind, RuntimeStatus
from perdure.taskhub.instance import Row
from perdure.taskhub.telemetry import Telemetry

_KINDS = {InstanceKind.ORCHESTRATION: "orchestration", InstanceKind.ENTITY: "entity"}
_ENDS = {
    RuntimeStatus.COMPLETED: "completed",
    RuntimeStatus.FAILED: "failed",
    RuntimeStatus.TERMINATED: "terminated",
}
_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0)


class Counter:
    """A number that only grows, by the values of its labels."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.text, self.labels = name, text, labels
        self.values: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def add(self, *labels: str) -> None:
        """One more."""
        self.values[labels] = self.values.get(labels, 0) + 1


class Histogram:
    """How often a time in seconds was at most each of `bounds`, and the sum, by the values of the labels."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...], labels: tuple[str, ...] = ()) -> None:
        self.name, self.text, self.bounds, self.labels = name, text, bounds, labels
        self.counts: dict[tuple[str, ...], list[int]] = {} if labels else {(): self._none()}
        self.sums: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def _none(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float, *labels: str) -> None:
        """One more, of that length."""
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = self._none()
        counts[bisect_left(self.bounds, seconds)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + seconds


class Gauge(NamedTuple):
    """A number that goes up and down, by the values of its labels."""

    name: str
    text: str
    values: dict[tuple[str, ...], float]
    labels: tuple[str, ...] = ()


class Metrics(Telemetry):
    """The counts of one host since it started. Functions are labelled as the app spells them, however called."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.app_changed(names)
        self.starts = Counter(
            "perdure_starts", "Orchestrations that came into being, by who asked", ("function", "source")
        )
        self.ends = Counter("perdure_ends", "Orchestrations that ended, by how", ("function", "outcome"))
        self.turns = Counter("perdure_turns", "Turns that are durable", ("function", "kind"))
        self.replays = Counter("perdure_replays", "Sessions rebuilt from their history", ("function",))
        self.fenced = Counter("perdure_fenced_turns", "Turns not applied, as another host owns the instance")
        self.parkings = Counter("perdure_parkings", "Instances parked", ("function",))
        self.attempts = Counter(
            "perdure_activity_attempts",
            "Attempts at activities that are over, by how they ended",
            ("function", "outcome"),
        )
        self.dropped = Counter("perdure_dropped_results", "Results of activities that nobody waited for any more")
        self.failures = Counter("perdure_store_failures", "Calls of the store that failed")
        self.tokens_lost = Counter("perdure_tokens_lost", "Times that other hosts took this one for dead")
        self.turn_seconds = Histogram(
            "perdure_turn_seconds", "From the beginning of a turn until it is durable", _FAST, ("kind",)
        )
        self.activity_seconds = Histogram(
            "perdure_activity_seconds", "Run time of an attempt at an activity", _LONG, ("function",)
        )
        self.commit_seconds = Histogram("perdure_commit_seconds", "From sending a commit until it is durable", _FAST)
        self.held_back = dict.fromkeys(("activities", "turns", "entity batches"), 0)

    @property
    def counters(self) -> list[Counter]:
        return [value for value in vars(self).values() if isinstance(value, Counter)]

    @property
    def histograms(self) -> list[Histogram]:
        return [value for value in vars(self).values() if isinstance(value, Histogram)]

    def app_changed(self, names: Iterable[str]) -> None:
        """The app was loaded: its durable names, as written there."""
        self._spelling = {name.lower(): name for name in (*names, BUILT_IN_HTTP)}

    def _function(self, name: str) -> str:
        """The label of a function. One that only other hosts have is written small, as callers may spell it anyhow."""
        small = name.lower()
        return self._spelling.get(small, small)

    # what is heard

    def token_lost(self, token: int) -> None:
        """Others declared this host dead."""
        self.tokens_lost.add()

    def committed(self, batch: CommitBatch, seconds: float) -> None:
        """A commit is durable."""
        self.commit_seconds.observe(seconds)

    def started(self, new: NewInstance) -> None:
        """What a client started is durable."""
        self.starts.add(self._function(new.name), "client")

    def turn_applied(
        self, before: RuntimeState, plan: TurnPlan, verdict: TurnVerdict, rows: Sequence[Row], seconds: float
    ) -> None:
        """A turn is durable."""
        name, kind = self._function(before.name), _KINDS[before.kind]
        self.turns.add(name, kind)
        self.turn_seconds.observe(seconds, kind)
        for new, made in zip(plan.creations, verdict.creations, strict=True):
            if made.verdict is Verdict.APPLIED:
                self.starts.add(self._function(new.name), kind)
        if plan.next_generation:
            self.ends.add(name, "continued_as_new")
        elif plan.status in _ENDS and plan.history is not None:
            self.ends.add(name, _ENDS[plan.status])

    def turn_fenced(self, n: int, instance_id: str) -> None:
        """A turn was not applied."""
        self.fenced.add()

    def replayed(self, name: str) -> None:
        """A session was rebuilt."""
        self.replays.add(self._function(name))

    def activity_ran(self, item: WorkItem, outcome: ActivityOutcome) -> None:
        """An attempt is over. What never began is no attempt."""
        name = self._function(item.name)
        if isinstance(outcome, (ActivityCompleted, ActivityFailed)):
            self.attempts.add(name, "completed" if isinstance(outcome, ActivityCompleted) else "failed")
            self.activity_seconds.observe(max(0, outcome.finished - outcome.started) / 1e6, name)
        elif outcome.began:
            self.attempts.add(name, "lost")

    def parked(self, instance_id: str, name: str, report: str) -> None:
        """An instance cannot go on."""
        self.parkings.add(self._function(name))

    def result_dropped(self, n: int, task: int) -> None:
        """A result found nobody."""
        self.dropped.add()

    def limit_reached(self, what: str, active: int, limit: int) -> None:
        """A limit holds work back."""
        self.held_back[what] = 1

    def limit_cleared(self, what: str) -> None:
        """It holds nothing back any more."""
        self.held_back[what] = 0

    def store_failed(self, text: str) -> None:
        """The store could not answer."""
        self.failures.add()
