"""What clients are told when an operation cannot be done."""

from __future__ import annotations

from perdure.model.instance import RuntimeStatus
from perdure.model.operations import RefusalCode, Refused
from perdure.storage.provider import StoreError


def not_found(instance_id: str) -> Refused:
    """There is no such instance."""
    return Refused(RefusalCode.NOT_FOUND, f"No instance with ID '{instance_id}' found.")


def gone(instance_id: str, status: RuntimeStatus | None = None) -> Refused:
    """The instance has finished."""
    text = f"Instance with ID '{instance_id}' is gone: it has finished."
    return Refused(RefusalCode.GONE, text, status.label if status is not None else "")


def unavailable(error: StoreError) -> Refused:
    """The store failed."""
    return Refused(RefusalCode.UNAVAILABLE, f"The store could not answer: {error}")
