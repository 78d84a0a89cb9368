"""How everything outside of the task hub asks it: by hub name, awaiting or with a callback."""

from __future__ import annotations

from collections.abc import Callable

from perdure.host.loop import answer_of
from perdure.host.messages import ClientCall
from perdure.model.operations import Operation, OperationAnswer, RefusalCode, Refused
from perdure.taskhub.client import HubClient

Answer = Callable[[OperationAnswer], None]


class HubAccess:
    """The hubs that a host can ask: its own, once it is open."""

    def __init__(self, own_name: str) -> None:
        self._own_name = own_name
        self._client: HubClient | None = None

    def open(self, client: HubClient) -> None:
        """Operations reach the app's own hub from now on."""
        self._client = client

    async def ask(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask the hub of that name, "" for the app's own."""
        return await answer_of(lambda done: self.call(operation, task_hub, done))

    def call(self, operation: Operation, task_hub: str, done: Answer) -> None:
        """As `ask`, with a callback."""
        if self._client is None:
            done(Refused(RefusalCode.UNAVAILABLE, "The host is starting."))
        elif task_hub and task_hub.lower() != self._own_name.lower():
            text = (
                f"Task hub '{task_hub}' is not the one of this app ('{self._own_name}'); addressing another hub is "
                "not built yet."
            )
            done(Refused(RefusalCode.NOT_BUILT, text))
        else:
            self._client.call(operation, done)

    def from_worker(self, call: ClientCall, reply: Answer) -> None:
        """A durable client in a worker asks."""
        self.call(call.operation, call.task_hub, reply)
