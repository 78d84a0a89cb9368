"""How everything outside of the task hub asks it: by hub name, awaiting or with a callback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from perdure.host.loop import answer_of
from perdure.host.protocol.messages import ClientCall
from perdure.model.operations import Done, Operation, OperationAnswer, RaiseEvent, RefusalCode, Refused, asked_by
from perdure.taskhub.client import HubClient

Answer = Callable[[OperationAnswer], None]


class OtherHubs(Protocol):
    """The other hubs of the store."""

    async def ask(self, operation: Operation, name: str) -> OperationAnswer: ...


class HubAccess:
    """The hubs that a host can ask: its own, once it is open, and others of the same store."""

    def __init__(self, own_name: str, lost_events_are_errors: bool = True) -> None:
        """With `lost_events_are_errors` False, events for instances that cannot take them are dropped in silence."""
        self._own_name = own_name
        self._lost_events_are_errors = lost_events_are_errors
        self._client: HubClient | None = None
        self._others: OtherHubs | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def open(self, client: HubClient, others: OtherHubs | None = None) -> None:
        """Operations reach the app's own hub from now on, and the `others`."""
        self._client, self._others = client, others

    async def ask(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the hub of that name, "" for the app's own."""
        return await answer_of(lambda done: self.call(operation, task_hub, done))

    def call(self, operation: Operation, task_hub: str, done: Answer) -> None:
        """As `ask`, with a callback."""
        if not self._lost_events_are_errors and isinstance(operation, RaiseEvent):
            done = _dropping(done)
        if self._client is None:
            done(Refused(RefusalCode.UNAVAILABLE, "The host is starting."))
        elif task_hub and task_hub.lower() != self._own_name.lower():
            self._ask_other(self._others, operation, task_hub, done)
        else:
            self._client.call(operation, done)

    def _ask_other(self, others: OtherHubs | None, operation: Operation, task_hub: str, done: Answer) -> None:
        if others is None:
            text = (
                f"Task hub '{task_hub}' is not the one of this app ('{self._own_name}'), and its store keeps the "
                "state of one hub only."
            )
            done(Refused(RefusalCode.NOT_FOUND, text))
            return

        async def ask() -> None:
            try:
                answer = await others.ask(operation, task_hub)
            except Exception as error:
                # nobody waits in vain; what it was is logged by the loop
                done(Refused(RefusalCode.UNAVAILABLE, f"Task hub '{task_hub}' could not be asked: {error!r}"))
                raise
            done(answer)

        task = asyncio.ensure_future(ask())
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def from_worker(self, call: ClientCall, reply: Answer) -> None:
        """A durable client in a worker asks."""
        self.call(asked_by(call.operation, "the app"), call.task_hub, reply)


def _dropping(done: Answer) -> Answer:
    """Answers that an event reached nobody become acceptance."""

    def told(answer: OperationAnswer) -> None:
        lost = isinstance(answer, Refused) and answer.code in (RefusalCode.NOT_FOUND, RefusalCode.GONE)
        done(Done() if lost else answer)

    return told
