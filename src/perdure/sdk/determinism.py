"""What must be the same on every replay: the clock and ids that orchestrator code sees, and who is running it now."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta, timezone
from typing import Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)
#: uuid5(NAMESPACE_OID, "9e952958-5e33-4daf-827f-2fa12937b875")
_UUID_NAMESPACE = UUID("5bf3dc27-d91d-5ea7-9c3e-9f1f2ae7c309")


class Running(Protocol):
    """The execution whose code this thread runs."""

    instance_id: str

    @property
    def silent(self) -> bool: ...


_running: ContextVar[Running | None] = ContextVar("perdure_running_orchestration", default=None)
enter = _running.set
leave = _running.reset


def replaying() -> bool:
    """Whether this thread is inside orchestrator code that replays (or is being closed): its logs are dropped."""
    execution = _running.get()
    return execution is not None and execution.silent


def current_instance() -> str:
    """The instance id of the orchestration whose code this thread runs; empty outside orchestrator code."""
    execution = _running.get()
    return execution.instance_id if execution is not None else ""


@contextmanager
def running(execution: Running) -> Iterator[None]:
    """Mark this thread as inside the code of `execution`."""
    token = _running.set(execution)
    try:
        yield
    finally:
        _running.reset(token)


def from_microseconds(time: int) -> datetime:
    """Microseconds since 1970 as an aware UTC datetime."""
    return _EPOCH + timedelta(microseconds=time)


def to_microseconds(time: datetime) -> int:
    """A datetime as microseconds since 1970: naive ones are UTC, other zones are converted."""
    if time.tzinfo is None:
        time = time.replace(tzinfo=timezone.utc)
    return (time - _EPOCH) // _MICROSECOND


def new_uuid(instance_id: str, now: datetime, counter: int) -> str:
    """The published formula of `new_uuid`."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return str(uuid5(_UUID_NAMESPACE, f"{instance_id}_{stamp}_{counter}"))


def new_guid(instance_id: str, now: datetime, counter: int) -> UUID:
    """The published formula of `new_guid`."""
    return uuid5(NAMESPACE_URL, f"{instance_id}_{now}_{counter}")
