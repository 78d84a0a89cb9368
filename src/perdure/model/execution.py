"""What crosses between the task hub and user code: requests to run something, and their outcomes.

The same values are handed over in process (test kit, simulation) and across the channel to a worker.
"""

from __future__ import annotations

from typing import Union

from msgspec import Struct

from perdure.model.actions import Action
from perdure.model.failure import FailureDetails
from perdure.model.history import EntityOperationRequested, HistoryEvent


class _Wire(Struct, frozen=True, array_like=True):
    """Common shape: tagged arrays."""


class TurnRequest(_Wire, frozen=True, tag=0):
    """Advance one orchestration.

    `events` are new since `base_turn`. `history` holds the stored rows of this generation (each the JSON text of one
    turn's events) when no session stands at `base_turn`; None means that a session should. `time` in microseconds is
    what `current_utc_datetime` gives. `suspect` above 0: a worker died under it, run it in quarantine.
    """

    n: int
    generation: int
    base_turn: int
    instance_id: str
    name: str
    time: int
    events: list[HistoryEvent]
    history: list[bytes] | None = None
    suspect: int = 0


class Waiting(Struct, frozen=True, array_like=True):
    """One thing that a session waits for after a turn: kind as in the history, task id, name, where in the code."""

    kind: str
    task: int
    name: str = ""


class TurnDecided(_Wire, frozen=True, tag=1):
    """The code ran to its next wait or to its end. `custom_status` is JSON text, given when `sets_status`."""

    n: int
    generation: int
    base_turn: int
    actions: list[Action]
    custom_status: str | None = None
    sets_status: bool = False
    location: str = ""
    replayed: bool = False


class SessionMissing(_Wire, frozen=True, tag=2):
    """The worker holds no session at that turn: send the request again with history."""

    n: int
    generation: int
    base_turn: int


class TurnMismatch(_Wire, frozen=True, tag=3):
    """The code no longer does what history recorded. `report` is text for people."""

    n: int
    generation: int
    base_turn: int
    report: str


class TurnLost(_Wire, frozen=True, tag=4):
    """The worker died or ran past its limit during the turn. `alone`: nothing else was running in it."""

    n: int
    generation: int
    base_turn: int
    alone: bool
    reason: str


TurnOutcome = Union[TurnDecided, SessionMissing, TurnMismatch, TurnLost]


class ActivityRequest(_Wire, frozen=True, tag=5):
    """Run one activity for task `task` of generation `generation` of instance `n`. `trace` is the context of its
    span."""

    n: int
    generation: int
    task: int
    instance_id: str
    name: str
    input: str | None = None
    attempt: int = 1
    trace: str | None = None
    suspect: int = 0


class ActivityCompleted(_Wire, frozen=True, tag=6):
    """`result` is JSON text, None for none. Times in microseconds by the worker's clock."""

    n: int
    generation: int
    task: int
    result: str | None = None
    started: int = 0
    finished: int = 0
    worker: str = ""


class ActivityFailed(_Wire, frozen=True, tag=7):
    """`reason` and `details` are the published texts (sdk-api.md 4.15)."""

    n: int
    generation: int
    task: int
    reason: str
    details: str | None = None
    failure: FailureDetails | None = None
    started: int = 0
    finished: int = 0
    worker: str = ""


class ActivityLost(_Wire, frozen=True, tag=8):
    """The worker died under the activity, or never began it (`began` false: the claim is given back uncounted)."""

    n: int
    generation: int
    task: int
    alone: bool
    began: bool
    reason: str


ActivityOutcome = Union[ActivityCompleted, ActivityFailed, ActivityLost]


class EntityRequest(_Wire, frozen=True, tag=9):
    """Run a batch of operations on one entity. `state` is JSON text; None when the entity does not exist."""

    n: int
    base_turn: int
    entity_id: str
    name: str
    time: int
    state: str | None
    operations: list[EntityOperationRequested]
    suspect: int = 0


class OperationResult(Struct, frozen=True, array_like=True):
    """`result` is JSON text; on failure `failure` is set and `reason` is the text that callers see. Times in
    microseconds by the worker's clock."""

    result: str | None = None
    reason: str = ""
    failure: FailureDetails | None = None
    started: int = 0
    finished: int = 0


class EntitySignal(Struct, frozen=True, array_like=True):
    """A signal that an entity sent during a batch, in its operation number `by`; `due` 0 is now."""

    entity: str
    operation: str
    input: str | None = None
    due: int = 0
    by: int = 0


class EntityStart(Struct, frozen=True, array_like=True):
    """An orchestration that an entity started during a batch, in its operation number `by`."""

    name: str
    instance_id: str
    input: str | None = None
    version: str | None = None
    by: int = 0


class EntityDecided(_Wire, frozen=True, tag=10):
    """One result per operation, in order, and what the batch leaves behind. `state` None: the entity is gone."""

    n: int
    base_turn: int
    results: list[OperationResult]
    state: str | None = None
    signals: list[EntitySignal] = []
    starts: list[EntityStart] = []


class EntityLost(_Wire, frozen=True, tag=11):
    """As `TurnLost`, for an entity batch."""

    n: int
    base_turn: int
    alone: bool
    reason: str


EntityOutcome = Union[EntityDecided, EntityLost]
