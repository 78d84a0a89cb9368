"""A warm instance: its state and the messages that wait for it, in memory while it is busy."""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from perdure.engine.entity_queue import EntityQueue
from perdure.engine.lifecycle import Rewinding
from perdure.engine.runtime_state import CONTROL, RuntimeState
from perdure.model.commit_plan import WorkItem
from perdure.model.execution import ActivityCompleted, ActivityFailed, OperationResult
from perdure.model.history import HistoryEvent
from perdure.model.instance import InstanceKind

#: messages of one instance kept in memory; the rest is read from the store in windows
INBOX_BOUND = 10_000


class Phase(IntEnum):
    """Where an instance stands between its messages and its next commit."""

    IDLE = 0
    QUEUED = 1
    READING = 2
    RUNNING = 3
    COMMITTING = 4


ActivityRun = tuple[WorkItem, ActivityCompleted | ActivityFailed]


class Row:
    """A waiting message. `seq` 0: a result that is only in memory yet; `writing`: its row is on the way. `ran` is what
    traces tell of the run behind it once that is durable: of the activity, or of the entity's operation."""

    __slots__ = ("due", "event", "generation", "ran", "seq", "task", "writing")

    def __init__(self, seq: int, event: HistoryEvent, generation: int = -1, task: int = -1, due: int = 0) -> None:
        self.seq, self.event, self.generation, self.task, self.due = seq, event, generation, task, due
        self.writing = False
        self.ran: ActivityRun | OperationResult | None = None


class Instance:
    """One warm instance. `ticket` numbers its attempts at a turn: an answer to an older one is ignored."""

    __slots__ = (
        "backlog",
        "controls",
        "inbox",
        "late",
        "loaded",
        "loaded_at",
        "more_after",
        "phase",
        "rewinding",
        "state",
        "taken",
        "ticket",
        "timer_tasks",
        "timers",
        "used",
    )

    def __init__(self, state: RuntimeState) -> None:
        self.state = state
        self.phase = Phase.IDLE
        self.ticket = 0
        self.inbox: deque[Row] | EntityQueue[Row] = EntityQueue() if state.kind is InstanceKind.ENTITY else deque()
        self.taken: list[Row] = []
        self.controls = 0
        self.timers: dict[int, Row] = {}
        self.timer_tasks: dict[int, int] = {}
        self.backlog: deque[WorkItem] = deque()
        self.more_after = 0
        #: messages that came by reading: should their sender here bring them too, they are known
        self.loaded: set[int] = set()
        #: the turn at which `loaded` began: once that is over, all that were sent from here have been brought
        self.loaded_at = state.turn
        #: what came while the rest of the inbox is being read; None: nothing is being read
        self.late: list[Row] | None = None
        self.rewinding: Rewinding | None = None
        self.used = 0.0

    def add(self, row: Row, *, ahead: bool = False) -> None:
        """Put a message behind (or before) those that wait."""
        if isinstance(row.event, CONTROL):
            self.controls += 1
        if ahead:
            self.inbox.appendleft(row)
        else:
            self.inbox.append(row)

    def merge(self, rows: list[Row]) -> None:
        """Put messages that another host sent before those that wait and were sent later."""
        later = [row for row in self.inbox if row.seq > rows[0].seq] if rows else []
        for row in later:
            self.inbox.remove(row)
            self.controls -= isinstance(row.event, CONTROL)
        for row in sorted([*rows, *later], key=lambda row: row.seq):
            self.add(row)

    def known(self) -> set[int]:
        """The numbers of all messages that are in memory or have been."""
        rows = {row.seq for row in self.inbox}
        return rows.union(self.loaded, self.timers, (row.seq for row in self.taken))

    def is_stored(self) -> bool:
        """Whether the store has everything that waits here."""
        return self.late is None and all(row.seq and not row.writing for row in self.inbox)

    def add_timer(self, row: Row) -> None:
        """Remember a message that is held back until it is due."""
        self.timers[row.seq] = row
        if row.task >= 0:
            self.timer_tasks[row.task] = row.seq

    def drop_timer(self, seq: int) -> Row | None:
        """Forget a message held back (it is due now, or cancelled)."""
        row = self.timers.pop(seq, None)
        if row is not None and row.task >= 0:
            self.timer_tasks.pop(row.task, None)
        return row

    def take(self, limit: int) -> list[Row]:
        """Take the waiting messages for a turn, at most `limit`; those being written stay."""
        inbox = self.inbox
        assert isinstance(inbox, deque), "operations of entities are taken by number"
        taken: list[Row] = []
        kept: list[Row] = []
        while inbox and len(taken) < limit:
            row = inbox.popleft()
            (kept if row.writing else taken).append(row)
        inbox.extendleft(reversed(kept))
        self.taken = taken
        return taken

    def take_control(self) -> Row:
        """Take the first control message."""
        for row in self.inbox:
            if isinstance(row.event, CONTROL):
                self.inbox.remove(row)
                self.controls -= 1
                self.taken = [row]
                return row
        raise AssertionError("no control message waits")

    def take_at(self, seqs: tuple[int, ...]) -> list[Row]:
        """Take these messages of an entity."""
        assert isinstance(self.inbox, EntityQueue), "messages of orchestrations are taken in order"
        self.taken = self.inbox.take(seqs)
        return self.taken

    def give_back(self) -> None:
        """Put what the turn under way took back where it was."""
        self.rewinding = None
        taken, self.taken = self.taken, []
        for row in reversed(taken):
            self.add(row, ahead=True)
