"""Messages of a commit: who gets them, under which number, and what they wake."""

from __future__ import annotations

from perdure.model.codec import encode_event
from perdure.model.commit_plan import ActivityResult, CreationVerdict, Message, MessageVerdict, NewInstance, Verdict
from perdure.storage.sqlite import readiness
from perdure.storage.sqlite.instances import create_entity
from perdure.storage.sqlite.payloads import pack
from perdure.storage.sqlite.readiness import CONTROL
from perdure.storage.sqlite.statements import SQL
from perdure.storage.sqlite.writes import Rows, Writes

_QUEUE, _TIMERS = 0, 1


class Outbox:
    """The messages that a commit sends; `write` puts them into the inboxes."""

    __slots__ = ("_ahead", "_ready", "_rows", "_writes")

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._rows: Rows = []
        self._ready: dict[int, None] = {}
        self._ahead = 0

    def send_all(self, messages: tuple[Message, ...]) -> tuple[MessageVerdict, ...]:
        """Send in order. What goes ahead of a queue gets numbers below zero, below all that stands there."""
        ahead = sum([message.ahead for message in messages])
        if ahead:
            self._writes.counter += ahead
            self._ahead = -self._writes.counter
        return tuple([self.send(message) for message in messages])

    def send(self, message: Message) -> MessageVerdict:
        """Send one message, making the entity that it is for; it is dropped when nobody can get it."""
        writes = self._writes
        standing = writes.known.addressee(message)
        if standing is None:
            if message.create is None:
                return MessageVerdict(0, message.n, 0)
            standing = create_entity(writes, message.create)
        elif not standing.is_open:
            return MessageVerdict(0, standing.n, standing.owner)
        if message.ahead:
            seq, self._ahead = self._ahead, self._ahead + 1
        else:
            writes.counter = seq = writes.counter + 1
        event, n, least = message.event, standing.n, standing.least
        control = CONTROL.get(type(event), readiness.ORDINARY)
        lane = _TIMERS if message.due else _QUEUE
        self._rows.append(
            (
                n,
                lane,
                seq,
                writes.hub,
                type(event).__name__,
                control,
                message.generation,
                message.task,
                message.due,
                int(lane == _TIMERS and least > readiness.ORDINARY),
                pack(encode_event(event).decode(), writes.threshold),
            )
        )
        if lane == _QUEUE and control >= least and standing.ready != readiness.READY:
            standing.ready = readiness.READY
            self._ready[n] = None
        writes.touched[n] = None
        return MessageVerdict(seq, n, standing.owner)

    def result(self, result: ActivityResult) -> MessageVerdict:
        """The first completion wins: the work row goes, and with it the right of any other to answer."""
        message = result.message
        key = (message.n, message.generation, message.task, result.owner)
        if self._writes.connection.execute(SQL.finish_work, key).rowcount == 0:
            return MessageVerdict(0, message.n, 0)
        return self.send(message)

    def refuse(self, new: NewInstance, verdict: CreationVerdict) -> CreationVerdict:
        """The verdict of a creation; what a refused one says instead is sent."""
        if verdict.verdict is not Verdict.REFUSED or new.refusal is None:
            return verdict
        return CreationVerdict(verdict.verdict, verdict.n, verdict.status, self.send(new.refusal))

    def write(self) -> None:
        """Write the rows, and mark who has something to do now."""
        self._writes.many(SQL.add_message, self._rows)
        self._writes.many(SQL.set_ready, [(n,) for n in self._ready])
