"""The way from a durable client to its task hub: one transport per process, set by whoever runs user code."""

from __future__ import annotations

from typing import Protocol

from perdure.model.operations import Operation, OperationAnswer
from perdure.sdk.options import SdkOptions


class ClientTransport(Protocol):
    """Carries operations to a task hub. `task_hub` "" is the app's own hub."""

    async def call(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask, without blocking the event loop."""

    def call_sync(self, operation: Operation, task_hub: str = "") -> OperationAnswer:
        """Ask and wait; called on threads without a running event loop."""


_transport: ClientTransport | None = None
_options = SdkOptions()


def set_transport(transport: ClientTransport | None, options: SdkOptions | None = None) -> None:
    """Set the transport of this process (None: clients speak HTTP to the address in their binding), and the options."""
    global _transport, _options
    _transport = transport
    if options is not None:
        _options = options


def transport() -> ClientTransport | None:
    """The transport of this process, None outside a worker."""
    return _transport


def client_options() -> SdkOptions:
    """The options that clients of this process obey."""
    return _options
