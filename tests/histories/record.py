"""Makes the recordings of this release that are missing: `python -m tests.histories.record`.

Every scene runs on a hub in memory on virtual time; each generation of each of its orchestrations becomes a file in
the folder of the release. What is recorded stays: no file is ever written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import UNSET, Raw

import perdure
from perdure.engine.decide import LOGIC
from perdure.model.actions import CancelTimer
from perdure.model.codec import HISTORY_FORMAT, decode_history
from perdure.model.execution import (
    ActivityOutcome,
    ActivityRequest,
    EntityOutcome,
    EntityRequest,
    TurnDecided,
    TurnOutcome,
    TurnRequest,
)
from perdure.model.history import ExecutionStarted
from perdure.model.instance import InstanceKind, InstanceRecord
from perdure.model.operations import OperationAnswer, Refused
from perdure.sdk.options import SdkOptions
from perdure.storage.memory import MemoryDatabase, MemoryStore
from perdure.storage.sqlite.statements import SCHEMA
from perdure.taskhub.client import HubClient
from perdure.taskhub.core import TaskHub
from perdure.taskhub.options import HubOptions
from perdure.testing.app_functions import AppFunctions
from perdure.testing.clock import VirtualClock, VirtualTime
from perdure.testing.executor import InProcessExecutor, TurnRunner
from tests.histories.recording import FOLDER, Header, Recording, Turn, app_source, load_app, write
from tests.histories.scenes import SCENES, Step

_NEVER = 10.0 * 365 * 24 * 3600
_SECONDS_PER_ACTIVITY = 0.25


class Stage:
    """A hub in memory that keeps every generation, and what each turn decided."""

    def __init__(self, app_name: str) -> None:
        source = app_source(app_name)
        module = load_app(app_name, source)
        self.app_name, self.dialect = app_name, module.DIALECT
        self.fingerprint = hashlib.sha256(source).hexdigest()[:16]
        self._time = VirtualTime()
        clock = VirtualClock(self._time)
        self.decided: dict[tuple[int, int], TurnDecided] = {}
        functions = _Watched(AppFunctions(module.app, SdkOptions(dialect=self.dialect)), self.decided)
        delays = {"activity": _SECONDS_PER_ACTIVITY}
        executor = InProcessExecutor(clock, functions, slots=100, delay=lambda kind: delays.get(kind, 0.0))
        database = MemoryDatabase(clock)
        self._tables = database.tables
        options = HubOptions(
            names=functions.names,
            fingerprint=self.fingerprint,
            dialect=self.dialect,
            keep_generations=100,
            host_ttl=_NEVER,
            scan_interval=_NEVER,
        )
        hub = TaskHub(MemoryStore(database), executor, clock, _NoWakes(), options)
        self._client = HubClient(hub)
        hub.start(lambda: None)
        self._time.run_until(lambda: hub.accepting, within=60)

    def play(self, steps: list[Step]) -> None:
        """Carry out the operations of a scene. Raises `RuntimeError` when one is refused."""
        for step in steps:
            if isinstance(step, float):
                self._time.advance(step)
                continue
            answers: list[OperationAnswer] = []
            self._client.call(step, answers.append)
            self._time.run_until(lambda answers=answers: bool(answers), within=60)
            if not answers or isinstance(answers[0], Refused):
                raise RuntimeError(f"{step} was not accepted: {answers}")

    def recordings(self) -> Iterator[tuple[str, Recording]]:
        """What the orchestrations did, in the order of their creation: an ending of the file's name, and the rest."""
        instances = self._tables.instances
        numbers = [n for n in sorted(instances) if instances[n].kind is InstanceKind.ORCHESTRATION]
        for position, n in enumerate(numbers):
            record, rows = instances[n], self._tables.history[n]
            for generation in sorted({generation for generation, _ in rows}):
                turns = [self._turn(n, turn, rows[generation, turn]) for g, turn in sorted(rows) if g == generation]
                ending = f".instance{position}" * (position > 0) + f".generation{generation}" * (generation > 0)
                yield ending, Recording(self._header(record, generation, bytes(turns[0].row)), turns)

    def _turn(self, n: int, turn: int, row: bytes) -> Turn:
        decided = self.decided.get((n, turn))
        if decided is None:
            return Turn(turn, Raw(row))
        cancelled = tuple(action.id for action in decided.actions if isinstance(action, CancelTimer))
        return Turn(turn, Raw(row), cancelled, decided.custom_status if decided.sets_status else UNSET)

    def _header(self, record: InstanceRecord, generation: int, first: bytes) -> Header:
        started = next(event for event in decode_history(first) if isinstance(event, ExecutionStarted))
        last = generation == record.generation
        return Header(
            release=perdure.__version__,
            schema=SCHEMA,
            history_format=HISTORY_FORMAT,
            logic=LOGIC,
            dialect=self.dialect,
            app=self.app_name,
            fingerprint=self.fingerprint,
            instance_id=record.instance_id,
            n=record.n,
            generation=generation,
            name=record.name,
            status=record.status.label if last else "ContinuedAsNew",
            version=record.version,
            input=started.input,
            parent_id=record.parent_id,
            tags=record.tags,
            output=record.output if last else None,
            custom_status=record.custom_status if last else None,
        )


class _Watched:
    """An app's functions, with the decisions of its orchestrators noted by instance and turn."""

    def __init__(self, functions: AppFunctions, decided: dict[tuple[int, int], TurnDecided]) -> None:
        self.names = functions.names
        self._functions, self._decided = functions, decided

    def sessions(self, evicted: Callable[[int], None]) -> TurnRunner:
        return _WatchedSessions(self._functions.sessions(evicted), self._decided)

    def run_activity(self, request: ActivityRequest, now: int) -> ActivityOutcome:
        return self._functions.run_activity(request, now)

    def run_entity(self, request: EntityRequest) -> EntityOutcome:
        return self._functions.run_entity(request)


class _WatchedSessions:
    def __init__(self, sessions: TurnRunner, decided: dict[tuple[int, int], TurnDecided]) -> None:
        self._sessions, self._decided = sessions, decided
        self.drop, self.close = sessions.drop, sessions.close

    def run(self, request: TurnRequest) -> TurnOutcome:
        outcome = self._sessions.run(request)
        if isinstance(outcome, TurnDecided):
            self._decided[outcome.n, outcome.base_turn + 1] = outcome
        return outcome


class _NoWakes:
    """There is nobody to wake."""

    def wake(self, token: int, n: int = 0) -> None:
        pass


def record(folder: Path, scenes: dict[str, dict[str, list[Step]]] = SCENES) -> list[Path]:
    """Record in `folder` the scenes that have no recording there; the new files."""
    made = []
    for app_name, plays in scenes.items():
        for scene, steps in plays.items():
            if (folder / app_name / f"{scene}.jsonl").exists():
                continue
            stage = Stage(app_name)
            stage.play(steps)
            for ending, recording in stage.recordings():
                path = folder / app_name / f"{scene}{ending}.jsonl"
                write(path, recording)
                made.append(path)
    return made


if __name__ == "__main__":
    for path in record(FOLDER / perdure.__version__):
        print(path.relative_to(FOLDER))
