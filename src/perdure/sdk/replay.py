"""Turns of orchestrations: from a live session where one stands at the turn, else by replaying the history."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from perdure.model.actions import Action, CompleteOrchestration
from perdure.model.codec import decode_history
from perdure.model.execution import SessionMissing, TurnDecided, TurnMismatch, TurnRequest
from perdure.model.failure import FailureDetails
from perdure.model.history import (
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionStarted,
    HistoryEvent,
    OrchestratorStarted,
    SubOrchestrationInstanceFailed,
    TaskFailed,
)
from perdure.sdk.execution import Execution, HistoriesWanted
from perdure.sdk.histories import record
from perdure.sdk.mismatch import DECISIONS, first_difference, not_recorded, report
from perdure.sdk.options import SdkOptions
from perdure.sdk.orchestrator_code import OrchestratorCode, Prepared
from perdure.sdk.session import Session

Lookup = Callable[[str], "OrchestratorCode | None"]


class Sessions:
    """The sessions of one worker, used on one thread: a bounded LRU, each used only for the turn that follows."""

    def __init__(self, lookup: Lookup, options: SdkOptions, evicted: Callable[[int], None] | None = None) -> None:
        self._lookup = lookup
        self._options = options
        self._evicted = evicted
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._prepared: dict[tuple[str, int], Prepared] = {}
        self._wants_histories: set[str] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def run(self, request: TurnRequest) -> TurnDecided | SessionMissing | TurnMismatch:
        """Advance one orchestration by one turn.

        `SessionMissing` asks for the history; `TurnMismatch` says that the code does not fit it any more.
        """
        try:
            return self._run(request)
        except HistoriesWanted:
            # sessions of this orchestrator keep their history from now on; this one has to be built anew
            self._wants_histories.add(request.name)
            return self._run(request)

    def _run(self, request: TurnRequest) -> TurnDecided | SessionMissing | TurnMismatch:
        session = self._sessions.pop(request.n, None)
        replayed = False
        if session is None or session.turn != request.base_turn or session.generation != request.generation:
            if session is not None:
                session.close()
            if request.history is None and request.base_turn and not _begins(request.events):
                return SessionMissing(request.n, request.generation, request.base_turn)
            prepared = self._prepare(request)
            if prepared is None:
                return _unknown(request)
            session = self._new_session(request, prepared)
            replayed = bool(request.history)
        try:
            if replayed:
                mismatch = replay(session, request.history or (), request.events)
                if mismatch is not None:
                    session.close()
                    return TurnMismatch(request.n, request.generation, request.base_turn, mismatch)
            return self._turn(session, request, replayed=replayed)
        except HistoriesWanted:
            session.close()
            raise

    def drop(self, n: int) -> None:
        """Forget the session of `n`, if there is one: its last turn was not applied, or it is not wanted."""
        session = self._sessions.pop(n, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """Close all sessions."""
        for n in list(self._sessions):
            self.drop(n)

    def sweep(self, now: float) -> int:
        """Evict sessions that nothing has used for `session_idle` seconds; `now` is any monotonic clock's."""
        idle = []
        for session in self._sessions.values():  # least recently used first
            if session.used:
                session.used = False
                session.idle_since = now
            elif now - session.idle_since >= self._options.session_idle:
                idle.append(session.n)
        for n in idle:
            self._evict(n)
        return len(idle)

    def _evict(self, n: int) -> None:
        self.drop(n)
        if self._evicted is not None:
            self._evicted(n)

    def _prepare(self, request: TurnRequest) -> Prepared | None:
        dialect = recorded_dialect(request)
        prepared = self._prepared.get((request.name, dialect))
        if prepared is None:
            code = self._lookup(request.name)
            if code is None:
                return None
            options = replace(self._options, dialect=dialect) if dialect else self._options
            prepared = self._prepared[request.name, dialect] = Prepared(code, options)
        return prepared

    def _new_session(self, request: TurnRequest, prepared: Prepared) -> Session:
        execution = Execution(
            request.instance_id, request.name, prepared.dialect, prepared.options, generation=request.generation
        )
        if request.name in self._wants_histories:
            execution.history = []
        # a new generation begins without a status, whatever the one before it had
        execution.status_set = request.generation > 0 and not request.history
        return Session(request, prepared, execution)

    def _turn(self, session: Session, request: TurnRequest, *, replayed: bool) -> TurnDecided:
        execution = session.execution
        if execution.history is not None:
            execution.history.append(OrchestratorStarted(request.time))
            execution.history.extend(request.events)
        actions = session.advance(request.time, request.events)
        sets_status, status = session.take_status() if execution.status_set else (False, None)
        if execution.history is not None:
            record(execution.history, actions)
        session.turn = request.base_turn + 1
        location = session.location()
        if session.over or self._options.max_sessions == 0:
            session.close()
        else:
            self._keep(session)
        return TurnDecided(
            request.n, request.generation, request.base_turn, actions, status, sets_status, location, replayed
        )

    def _keep(self, session: Session) -> None:
        sessions = self._sessions
        session.used = True
        sessions[session.n] = session  # taken out for its turn, so this puts it last
        if len(sessions) > self._options.max_sessions:
            self._evict(next(iter(sessions)))


def replay(session: Session, rows: Sequence[bytes], following: Sequence[HistoryEvent] = ()) -> str | None:
    """Run the code against the stored rows; the report if it does not decide what they hold.

    Decisions that a rewind made possible and that no row holds yet are left for the turn that follows; `following` are
    its events, among which that rewind may be.
    """
    execution = session.execution
    execution.replaying = True
    undecided: list[Action] = []
    for turn, (time, events, recorded, voided) in enumerate(_turns(rows, following), start=1):
        if execution.history is not None:
            execution.history.append(OrchestratorStarted(time))
            execution.history.extend(events)
            execution.history.extend(recorded)
        actions = session.advance(time, events)
        if voided:
            undecided += not_recorded(actions, recorded)
            execution.skip_numbers(recorded)
            continue
        at = first_difference(actions, recorded)
        if at is not None:
            return report(session, turn, actions, recorded, at)
    execution.replaying = False
    execution.status_set = False
    execution.undecided = undecided
    return None


_Turn = tuple[int, list[HistoryEvent], list[HistoryEvent], bool]


def _turns(rows: Sequence[bytes], following: Sequence[HistoryEvent]) -> Iterator[_Turn]:
    """Time, consumed events and recorded decisions of each row, and whether a rewind voided what led to them."""
    rewinds = any(type(event) is ExecutionRewound for event in following)
    if rewinds or any(b"ExecutionRewound" in row for row in rows):
        turns = [_turn(row) for row in rows]
        yield from _without_voided([*turns, (0, list(following), [], False)])[: len(turns)]
    else:
        for row in rows:
            yield _turn(row)


def _turn(row: bytes) -> _Turn:
    events: list[HistoryEvent] = []
    recorded: list[HistoryEvent] = []
    time = 0
    for event in decode_history(row):
        kind = type(event)
        if kind in DECISIONS:
            recorded.append(event)
        elif kind is OrchestratorStarted:
            time = event.timestamp
        else:
            events.append(event)
    return time, events, recorded, False


def _without_voided(turns: list[_Turn]) -> list[_Turn]:
    """The same turns without the failures that a later rewind names; what followed from them is not compared.

    A rewind that names none voids the end alone: the code raised by itself, and may have been mended.
    """
    for end, (_, events, _, _) in enumerate(turns):
        rewinds = [event for event in events if isinstance(event, ExecutionRewound)]
        if not rewinds:
            continue
        voided = {task for event in rewinds for task in event.tasks}
        begun = False
        for position in range(end + 1):
            time, before, recorded, _ = turns[position]
            kept = [event for event in before if not _fails_one_of(event, voided)]
            ended = not voided and position < end and any(type(e) is ExecutionCompleted for e in recorded)
            begun = begun or ended or len(kept) != len(before)
            if begun:
                turns[position] = (time, kept, [e for e in recorded if type(e) is not ExecutionCompleted], True)
    return turns


def _fails_one_of(event: HistoryEvent, tasks: set[int]) -> bool:
    return isinstance(event, (TaskFailed, SubOrchestrationInstanceFailed)) and event.task_scheduled_id in tasks


def _unknown(request: TurnRequest) -> TurnDecided:
    text = (
        f"The function '{request.name}' doesn't exist, is disabled, or is not an orchestrator function. "
        "Check the name where the instance was started, and that the app defines it"
    )
    reason = f"Orchestrator function '{request.name}' failed: {text}"
    action = CompleteOrchestration(reason, FailureDetails("LookupError", text, "builtins"))
    return TurnDecided(request.n, request.generation, request.base_turn, [action])


def recorded_dialect(request: TurnRequest) -> int:
    """The dialect that the generation began under, whatever the app's is now; 0 when it is not recorded."""
    first = decode_history(request.history[0]) if request.history else request.events
    return next((event.dialect for event in first if type(event) is ExecutionStarted), 0)


def _begins(events: Sequence[HistoryEvent]) -> bool:
    return any(type(event) is ExecutionStarted for event in events)
