"""A batch as the arguments of the commit function, and the function's answer as verdicts."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from perdure.model.codec import encode_event, encode_tags
from perdure.model.commit_plan import (
    Attempt,
    Audit,
    CommitAnswer,
    CommitBatch,
    CreationVerdict,
    Message,
    MessageVerdict,
    NewInstance,
    Parking,
    TurnPlan,
    TurnVerdict,
    Verdict,
    WorkChunk,
    WorkItem,
)
from perdure.model.operations import ExistingPolicy
from perdure.storage.policies import CONTROL, ORDINARY

#: gates of messages: see `commit@` in sql/functions.sql
_ALWAYS, _TURN, _REFUSED, _RESULT, _PURGED, _UNFINISHED = range(6)
_KEEP, _IF_FINISHED = range(2)
#: what a management operation did
_HUB, _MESSAGE, _CREATION, _PURGE = range(4)
_POLICY = {
    ExistingPolicy.FAIL_IF_EXISTS: _KEEP,
    ExistingPolicy.RETURN_EXISTING: _KEEP,
    ExistingPolicy.FAIL_IF_RUNNING: _IF_FINISHED,
}
_FENCED = TurnVerdict(Verdict.FENCED)
_APPLIED = TurnVerdict(Verdict.APPLIED)

_encode = msgspec.json.Encoder().encode

#: position of a new instance, its number, position of the message that is sent when it is refused
_New = tuple[int, int, int]


class Shape(Struct, frozen=True, array_like=True):
    """How the flat lists of an answer belong together; stored with it. Positions count from 1, 0 is none.

    `turns`: position among the locked rows, for each plan. `sent`, `made`: by the index of the plan, its messages
    (first position and count) and its new instances. `messages`: first position and count of those of the batch.
    `results`: position, and the number that the result is for. `purges`: position among the distinct ones.
    """

    turns: list[int]
    sent: dict[int, tuple[int, int]]
    made: dict[int, list[_New]]
    creations: list[_New]
    messages: tuple[int, int]
    results: list[tuple[int, int]]
    purges: list[int]


class _Answer(Struct, frozen=True, array_like=True):
    """What the function returns; the first two alone when the token is dead."""

    number: int
    time: int
    shape: Shape | None = None
    turns: list[bool] = []
    chunks: list[bool] = []
    parkings: list[bool] = []
    purges: list[int] = []
    news: tuple[list[bool], list[int], list[int]] = ([], [], [])
    sent: tuple[list[int], list[int], list[int]] = ([], [], [])


_decode: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


def _columns(count: int) -> tuple[list[Any], ...]:
    return tuple([[] for _ in range(count)])


def clean(text: str) -> str:
    """Text that PostgreSQL takes: it knows no NUL character."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def _json(rows: list[dict[str, Any]]) -> str | None:
    return _encode(rows).decode() if rows else None


class _Call:
    """The arguments in the making."""

    def __init__(self, batch: CommitBatch) -> None:
        self._batch = batch
        self._turns, self._consumed, self._done = _columns(19), _columns(3), _columns(4)
        self._work, self._messages, self._results = _columns(12), _columns(11), _columns(4)
        self._positions = self._placed_turns()
        self._news = self._sorted_news()
        self._place = {new.n: position for position, (new, _, _) in enumerate(self._news, 1)}

    def arguments(self, hub: int) -> list[Any]:
        """All arguments of the function, in order."""
        batch = self._batch
        chunks = [self._chunk(position, chunk) for position, chunk in enumerate(batch.chunks, 1)]
        shape = self._shape()
        return [
            batch.token,
            batch.number,
            hub,
            _encode(shape).decode(),
            *self._turns,
            *self._consumed,
            *self._done,
            *self._work,
            *self._messages,
            *self._results,
            [one.n for one in batch.releases],
            [one.not_before for one in batch.releases],
            [one.n for one in batch.returns],
            [one.generation for one in batch.returns],
            [one.task for one in batch.returns],
            [one.suspect for one in batch.returns],
            [one.not_before for one in batch.returns],
            _json([_new_row(new, position, turn, lazy) for position, (new, turn, lazy) in enumerate(self._news, 1)]),
            _json([_parking_row(one) for one in batch.parkings]),
            _json(chunks),
            _json(self._purges),
            _json([_attempt_row(one) for one in batch.attempts]),
            _json(self._audits()),
        ]

    def _audits(self) -> list[dict[str, Any]]:
        """Management operations with what they did. Messages of the batch itself stand one behind the other."""
        batch = self._batch
        rows = [_audit_row(one, _HUB) for one in batch.audits]
        for position, sent in enumerate(batch.messages, self._first_message):
            if sent.audit is not None:
                rows.append(_audit_row(sent.audit, _MESSAGE, position))
        rows += [_audit_row(new.audit, _CREATION, self._place[new.n], new.n) for new in batch.creations if new.audit]
        for purge, position in zip(batch.purges, self._purge_positions, strict=True):
            if purge.audit is not None and position > 0:
                rows.append(_audit_row(purge.audit, _PURGE, position))
        return rows

    def _shape(self) -> Shape:
        """Put all messages in order, and say where each stands."""
        batch, positions = self._batch, self._positions
        sent: dict[int, tuple[int, int]] = {}
        made: dict[int, list[_New]] = {}
        results = self._send_results()
        creations = [self._made(new) for new in batch.creations]
        for index, plan in enumerate(batch.turns):
            position = positions[index]
            if position and plan.messages:
                sent[index] = (self._send_all(plan.messages, _TURN, position), len(plan.messages))
            if position and plan.creations:
                made[index] = [self._made(new) for new in plan.creations]
        self._first_message = self._send_all(batch.messages, _ALWAYS, 0)
        self._purge_positions = self._send_purges()
        messages = (self._first_message, len(batch.messages))
        return Shape(positions, sent, made, creations, messages, results, self._purge_positions)

    # -- turns and what hangs on them

    def _placed_turns(self) -> list[int]:
        """Where each plan stands among the rows to lock, which go by number; 0 for the second of two equal ones."""
        turns = self._batch.turns
        first: dict[tuple[int, int], int] = {}
        for index, plan in enumerate(turns):
            first.setdefault((plan.n, plan.base_turn), index)
        positions = [0] * len(turns)
        for position, key in enumerate(sorted(first), 1):
            positions[first[key]] = position
            self._turn(position, turns[first[key]])
        return positions

    def _turn(self, position: int, plan: TurnPlan) -> None:
        n, generation = plan.n, plan.generation
        flags = (
            plan.sets_input
            + 2 * plan.sets_output
            + 4 * plan.sets_custom_status
            + 8 * plan.sets_state
            + 16 * plan.close_inbox
            + 32 * plan.close_all_timers
            + 64 * plan.close_work
        )
        row = (
            n,
            plan.base_turn,
            generation,
            plan.next_generation or generation,
            int(plan.status),
            plan.updated,
            plan.cursor,
            plan.first_turn,
            plan.suspect,
            plan.lock_holder,
            plan.started,
            plan.completed,
            flags,
            plan.drop_history_below,
            plan.next_input if plan.sets_input else None,
            plan.output if plan.sets_output else None,
            plan.custom_status if plan.sets_custom_status else None,
            plan.state if plan.sets_state else None,
            None if plan.history is None else plan.history.decode(),
        )
        _append(self._turns, row)
        for seq in plan.consumed:
            _append(self._consumed, (position, n, seq))
        for seq in plan.close_timers:
            _append(self._consumed, (position, n, seq))
        for task in plan.done:
            _append(self._done, (position, n, generation, task))
        for item in plan.work:
            self._work_row(position, item)

    def _work_row(self, gate: int, item: WorkItem) -> None:
        row = (
            gate,
            item.n,
            item.generation,
            item.task,
            clean(item.name),
            clean(item.name.lower()),
            item.input,
            item.owner,
            item.attempt,
            item.suspect,
            item.not_before,
            item.scheduled,
        )
        _append(self._work, row)

    def _chunk(self, position: int, chunk: WorkChunk) -> dict[str, Any]:
        for item in chunk.work:
            self._work_row(-position, item)
        return {"n": chunk.n, "at": chunk.cursor, "next": chunk.next_cursor}

    # -- new instances

    def _sorted_news(self) -> list[tuple[NewInstance, int, bool]]:
        """All new instances by id: each with its plan's position, and whether it is there for a message only."""
        batch, positions = self._batch, self._positions
        news = [(new, 0, False) for new in batch.creations]
        for plan, position in zip(batch.turns, positions, strict=True):
            if position:
                news += [(new, position, False) for new in plan.creations]
                news += [(sent.create, position, True) for sent in plan.messages if sent.create is not None]
        news += [(sent.create, 0, True) for sent in batch.messages if sent.create is not None]
        news.sort(key=_id_and_laziness)
        return news

    def _made(self, new: NewInstance) -> _New:
        """Where a new instance is found in the answer, and the message that is sent when it is refused."""
        place = self._place[new.n]
        return place, new.n, 0 if new.refusal is None else self._send(new.refusal, _REFUSED, place)

    # -- messages

    def _send(self, message: Message, gate: int, item: int) -> int:
        """Add a message; its position."""
        event = message.event
        row = (
            gate,
            item,
            message.n,
            "" if message.n else clean(message.instance_id),
            type(event).__name__,
            CONTROL.get(type(event), ORDINARY),
            message.generation,
            message.task,
            message.due,
            0,
            encode_event(event).decode(),
        )
        _append(self._messages, row)
        return len(self._messages[0])

    def _send_all(self, messages: tuple[Message, ...], gate: int, item: int) -> int:
        """Add messages in order; the position of the first. Those ahead of a queue take the negatives of the numbers of
        one another, so that they stand in order below all that went ahead before."""
        first = len(self._messages[0]) + 1
        ahead: list[int] = []
        for message in messages:
            position = self._send(message, gate, item)
            if message.ahead:
                ahead.append(position)
        for position, mirror in zip(ahead, reversed(ahead), strict=True):
            self._messages[_AHEAD][position - 1] = mirror
        return first

    def _send_results(self) -> list[tuple[int, int]]:
        """Results by position and number; the second of two for one claim is not sent."""
        found: list[tuple[int, int]] = []
        seen: set[tuple[int, int, int, int]] = set()
        for result in self._batch.results:
            message = result.message
            key = (message.n, message.generation, message.task, result.owner)
            if key in seen:
                found.append((0, message.n))
                continue
            seen.add(key)
            _append(self._results, key)
            found.append((self._send(message, _RESULT, len(seen)), message.n))
        return found

    def _send_purges(self) -> list[int]:
        """What purges tell others; the position of each among the purged."""
        places: dict[int, int] = {}
        self._purges: list[dict[str, Any]] = []
        positions: list[int] = []
        for purge in self._batch.purges:
            if purge.n in places:
                positions.append(-places[purge.n])
                continue
            places[purge.n] = place = len(places) + 1
            positions.append(place)
            self._purges.append({"o": place, "n": purge.n, "turn": purge.turn, "idle": purge.idle})
            if purge.parent_failure is not None:
                self._send(purge.parent_failure, _UNFINISHED, place)
            for message in purge.messages:
                self._send(message, _PURGED, place)
        return positions


_AHEAD = 9


def _append(columns: tuple[list[Any], ...], row: tuple[Any, ...]) -> None:
    for column, value in zip(columns, row, strict=True):
        column.append(value)


def _id_and_laziness(item: tuple[NewInstance, int, bool]) -> tuple[str, bool]:
    return item[0].instance_id, item[2]


def _new_row(new: NewInstance, position: int, turn: int, lazy: bool) -> dict[str, Any]:
    policy = _KEEP if lazy else _POLICY.get(new.policy, _KEEP)
    return {
        "o": position,
        "n": new.n,
        "id": clean(new.instance_id),
        "kind": int(new.kind),
        "name": clean(new.name),
        "version": clean(new.version),
        "status": int(new.status),
        "owner": new.owner,
        "not_before": new.not_before,
        "parent_n": new.parent_n,
        "parent_generation": new.parent_generation,
        "parent_task": new.parent_task,
        "parent_id": None if new.parent_id is None else clean(new.parent_id),
        "created": new.created,
        "tags": encode_tags({clean(name): clean(value) for name, value in (new.tags or {}).items()}, new.trace),
        "input": new.input,
        "turn": turn,
        "policy": policy,
    }


def _parking_row(parking: Parking) -> dict[str, Any]:
    report = None if parking.report is None else clean(parking.report)
    return {"n": parking.n, "base": parking.base_turn, "report": report, "suspect": parking.suspect}


def _audit_row(audit: Audit, gate: int, item: int = 0, n: int = 0) -> dict[str, Any]:
    return {
        "gate": gate,
        "item": item,
        "n": n,
        "target": clean(audit.target),
        "operation": clean(audit.operation),
        "who": clean(audit.who),
        "time": audit.time,
        "reason": None if audit.reason is None else clean(audit.reason),
        "result": audit.result,
    }


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    row = msgspec.structs.asdict(attempt)
    row["worker"] = clean(attempt.worker)
    row["failure"] = None if attempt.failure is None else clean(attempt.failure)
    return row


def arguments(batch: CommitBatch, hub: int) -> list[Any]:
    """The arguments of `commit@` for a batch of the hub with this number."""
    return _Call(batch).arguments(hub)


def answer_of(text: str) -> CommitAnswer:
    """The verdicts that the function gave, or gave before."""
    given = _decode.decode(text)
    shape = given.shape
    if shape is None:
        return CommitAnswer(given.number, given.time, alive=False)
    seqs, numbers, owners = given.sent
    sent = [MessageVerdict(*row) for row in zip(seqs, numbers, owners, strict=True)]
    oks, holders, statuses = given.news

    def creation(made: _New) -> CreationVerdict:
        place, n, refusal = made
        if oks[place - 1]:
            return CreationVerdict(Verdict.APPLIED, n)
        told = sent[refusal - 1] if refusal else None
        return CreationVerdict(Verdict.REFUSED, holders[place - 1], statuses[place - 1], told)

    def turn(index: int, position: int) -> TurnVerdict:
        if not position or not given.turns[position - 1]:
            return _FENCED
        if index not in shape.sent and index not in shape.made:
            return _APPLIED
        first, count = shape.sent.get(index, (1, 0))
        news = tuple([creation(made) for made in shape.made.get(index, ())])
        return TurnVerdict(Verdict.APPLIED, tuple(sent[first - 1 : first - 1 + count]), news)

    def purge(position: int) -> Verdict:
        verdict = Verdict(given.purges[abs(position) - 1])
        return Verdict.REFUSED if position < 0 and verdict is Verdict.APPLIED else verdict

    first, count = shape.messages
    return CommitAnswer(
        number=given.number,
        time=given.time,
        turns=tuple([turn(index, position) for index, position in enumerate(shape.turns)]),
        chunks=tuple([_verdict(ok) for ok in given.chunks]),
        creations=tuple([creation(made) for made in shape.creations]),
        messages=tuple(sent[first - 1 : first - 1 + count]),
        results=tuple([_result(sent, position, n) for position, n in shape.results]),
        parkings=tuple([_verdict(ok) for ok in given.parkings]),
        purges=tuple([purge(position) for position in shape.purges]),
    )


def _verdict(ok: bool) -> Verdict:
    return Verdict.APPLIED if ok else Verdict.FENCED


def _result(sent: list[MessageVerdict], position: int, n: int) -> MessageVerdict:
    return sent[position - 1] if position else MessageVerdict(0, n, 0)
