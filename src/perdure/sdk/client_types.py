"""What the client's methods of SDK 2.0 take and return."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from perdure.model.failure import FailureDetails
from perdure.model.instance import InstanceRecord, RuntimeStatus, decode_lock
from perdure.sdk.serialization import loads
from perdure.sdk.typed import convert
from perdure.sdk.types import EntityInstanceId

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class OrchestrationStatus(Enum):
    """The status of an orchestration (2.0)."""

    RUNNING = 0
    COMPLETED = 1
    CONTINUED_AS_NEW = 2
    FAILED = 3
    TERMINATED = 5
    PENDING = 6
    SUSPENDED = 7

    def __str__(self) -> str:
        return self.name


_STATUS = {
    RuntimeStatus.CANCELED: OrchestrationStatus.TERMINATED,
    **{RuntimeStatus(status.value): status for status in OrchestrationStatus},
}
TERMINAL = frozenset({OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED, OrchestrationStatus.TERMINATED})


class OrchestrationFailedError(Exception):
    """An orchestration failed; `failure_details` says why."""

    def __init__(self, message: str, failure_details: FailureDetails | None) -> None:
        super().__init__(message)
        self.failure_details = failure_details


def decoded(text: str | None, expected_type: Any = None) -> Any:
    """The value of a payload, converted to `expected_type` when given; None for none."""
    if text is None:
        return None
    value = loads(text)
    return value if expected_type is None else convert(value, expected_type)


@dataclass(frozen=True)
class OrchestrationState:
    """An orchestration as the client sees it (2.0)."""

    instance_id: str
    name: str
    runtime_status: OrchestrationStatus
    created_at: datetime
    last_updated_at: datetime
    serialized_input: str | None = None
    serialized_output: str | None = None
    serialized_custom_status: str | None = None
    failure_details: FailureDetails | None = None

    def get_input(self, expected_type: Any = None) -> Any:
        """The decoded input."""
        return decoded(self.serialized_input, expected_type)

    def get_output(self, expected_type: Any = None) -> Any:
        """The decoded output."""
        return decoded(self.serialized_output, expected_type)

    def get_custom_status(self, expected_type: Any = None) -> Any:
        """The decoded custom status."""
        return decoded(self.serialized_custom_status, expected_type)

    def raise_if_failed(self) -> None:
        """Raises `OrchestrationFailedError` when the orchestration failed."""
        if self.runtime_status is OrchestrationStatus.FAILED:
            message = self.failure_details.message if self.failure_details else "unknown error"
            raise OrchestrationFailedError(
                f"Orchestration '{self.instance_id}' failed: {message}", self.failure_details
            )


def state_of(record: InstanceRecord, *, payloads: bool = True) -> OrchestrationState:
    """The state of an instance as its record says it."""
    failure = None
    if record.status is RuntimeStatus.FAILED:
        failure = FailureDetails(error_type="Exception", message=str(decoded(record.output)))
    return OrchestrationState(
        instance_id=record.instance_id,
        name=record.name,
        runtime_status=_STATUS[record.status],
        created_at=time_of(record.created),
        last_updated_at=time_of(record.updated or record.created),
        serialized_input=record.input if payloads else None,
        serialized_output=record.output if payloads else None,
        serialized_custom_status=record.custom_status if payloads else None,
        failure_details=failure,
    )


def time_of(microseconds: int) -> datetime:
    """An aware time in UTC from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass
class OrchestrationQuery:
    """Which orchestrations a query means; empty fields do not filter."""

    created_time_from: datetime | None = None
    created_time_to: datetime | None = None
    runtime_status: list[OrchestrationStatus] | None = None
    max_instance_count: int | None = None
    fetch_inputs_and_outputs: bool = False


@dataclass
class EntityQuery:
    """Which entities a query means; empty fields do not filter."""

    instance_id_starts_with: str | None = None
    last_modified_from: datetime | None = None
    last_modified_to: datetime | None = None
    include_state: bool = True
    include_transient: bool = False
    page_size: int | None = None


@dataclass(frozen=True)
class EntityMetadata:
    """An entity as the client sees it."""

    id: EntityInstanceId
    last_modified: datetime
    backlog_queue_size: int = 0
    locked_by: str = ""
    includes_state: bool = False
    state: str | None = None

    def get_state(self) -> str | None:
        """The state as JSON text."""
        return self.state

    def get_typed_state(self, intended_type: Any = None) -> Any:
        """The decoded state, converted to `intended_type` when given."""
        return decoded(self.state, intended_type)

    def get_locked_by(self) -> str | None:
        """The id of the instance that holds the entity's lock, None when it is free."""
        return self.locked_by or None


def metadata_of(record: InstanceRecord, *, with_state: bool = True, backlog: int = 0) -> EntityMetadata:
    """The metadata of an entity as its record says it; `backlog` messages wait for it."""
    name, _, key = record.instance_id[1:].partition("@")
    identity = EntityInstanceId.__new__(EntityInstanceId)  # stored keys may hold what new ids may not
    identity.entity, identity.key = name, key
    lock = decode_lock(record.custom_status) if record.lock_holder else None
    return EntityMetadata(
        id=identity,
        last_modified=time_of(record.updated or record.created),
        backlog_queue_size=backlog,
        locked_by=lock.locked_by if lock is not None else "",
        includes_state=with_state and record.state is not None,
        state=record.state if with_state else None,
    )


@dataclass(frozen=True)
class PurgeInstancesResult:
    """How many instances a purge deleted."""

    deleted_instance_count: int
    is_complete: bool = True


@dataclass(frozen=True)
class CleanEntityStorageResult:
    """What a clean-up of entities did."""

    empty_entities_removed: int
    orphaned_locks_released: int
