"""What clients ask of a task hub, and the answers: the same values from HTTP, from user code and from the command line.

A refusal is an answer (`Refused`), not an exception; its `code` is one of `RefusalCode`. `by` says who asks, as far as
that is known: what an operation with it does is recorded (`Audit`).
"""

from __future__ import annotations

from enum import Enum
from typing import Union

from msgspec import Struct
from msgspec.structs import replace

from perdure.model.history import HistoryEvent
from perdure.model.instance import InstanceFilter, InstanceRecord


class _Operation(Struct, frozen=True, array_like=True):
    """Common shape: tagged arrays, which travel between worker and host."""


class ExistingPolicy(str, Enum):
    """What a start does when the id is in use."""

    FAIL_IF_RUNNING = "fail_if_running"
    FAIL_IF_EXISTS = "fail_if_exists"
    RETURN_EXISTING = "return_existing"
    REPLACE_ANY = "replace_any"


class StartInstance(_Operation, frozen=True, tag=0):
    """Start an orchestration. `instance_id` None: one is generated. `start_at` in microseconds, 0 is now. `trace`: the
    context of the caller's span (`model.trace_context`), here and below."""

    name: str
    instance_id: str | None = None
    input: str | None = None
    version: str | None = None
    tags: dict[str, str] | None = None
    start_at: int = 0
    policy: ExistingPolicy | None = None
    idempotency_key: str | None = None
    trace: str | None = None
    by: str = ""


class GetInstance(_Operation, frozen=True, tag=1):
    """Read one instance, with its history when `with_history`."""

    instance_id: str
    with_history: bool = False


class ListInstances(_Operation, frozen=True, tag=2):
    filter: InstanceFilter
    top: int = 100
    continuation: str | None = None


class RaiseEvent(_Operation, frozen=True, tag=3):
    """Raise an external event. `client`: raised by the Python client, see `EventRaised`."""

    instance_id: str
    name: str
    input: str | None = None
    client: bool = False
    trace: str | None = None
    by: str = ""


class TerminateInstance(_Operation, frozen=True, tag=4):
    instance_id: str
    reason: str | None = None
    recurse: bool = True
    by: str = ""


class SuspendInstance(_Operation, frozen=True, tag=5):
    instance_id: str
    reason: str | None = None
    by: str = ""


class ResumeInstance(_Operation, frozen=True, tag=6):
    instance_id: str
    reason: str | None = None
    by: str = ""


class RewindInstance(_Operation, frozen=True, tag=7):
    instance_id: str
    reason: str | None = None
    by: str = ""


class RestartInstance(_Operation, frozen=True, tag=8):
    instance_id: str
    new_id: bool = True
    trace: str | None = None
    by: str = ""


class PurgeInstance(_Operation, frozen=True, tag=9):
    instance_id: str
    recurse: bool = False
    by: str = ""


class PurgeInstances(_Operation, frozen=True, tag=10):
    """Purge all that match. Unless `include_running`, only finished orchestrations.

    With `limit` about so many are looked at; the answer's `continuation` says where to go on.
    """

    filter: InstanceFilter
    include_running: bool = False
    dry_run: bool = False
    limit: int = 0
    continuation: str | None = None
    by: str = ""


class SignalEntityOperation(_Operation, frozen=True, tag=11):
    """Signal an entity. `entity` is its scheduler id; `due` 0 is now; `client`: from the Python client."""

    entity: str
    operation: str
    input: str | None = None
    due: int = 0
    client: bool = False
    trace: str | None = None
    by: str = ""


class ReadEntity(_Operation, frozen=True, tag=12):
    entity: str


class CleanEntities(_Operation, frozen=True, tag=13):
    remove_empty: bool = True
    release_orphaned_locks: bool = True
    by: str = ""


class InspectInstance(_Operation, frozen=True, tag=14):
    """Read everything about one instance that says why it moves or does not."""

    instance_id: str


class CountInstances(_Operation, frozen=True, tag=15):
    """How many instances match, by name (else all under "") and status."""

    filter: InstanceFilter
    by_name: bool = True


class CountWaiting(_Operation, frozen=True, tag=16):
    """How many messages wait for each of these instances (numbers), without those that are due later."""

    numbers: tuple[int, ...]


class DeleteTaskHub(_Operation, frozen=True, tag=17):
    """Delete the hub with all that it holds. Refused while a host with functions is up.

    With `limit` about so many instances are deleted; the answer's `continuation` says that there is more to do.
    """

    limit: int = 0
    continuation: str | None = None
    by: str = ""


class ListAudit(_Operation, frozen=True, tag=18):
    """The latest management operations, the last one first: on one instance, or in the whole hub."""

    instance_id: str | None = None
    top: int = 100


Operation = Union[
    StartInstance,
    GetInstance,
    ListInstances,
    RaiseEvent,
    TerminateInstance,
    SuspendInstance,
    ResumeInstance,
    RewindInstance,
    RestartInstance,
    PurgeInstance,
    PurgeInstances,
    SignalEntityOperation,
    ReadEntity,
    CleanEntities,
    InspectInstance,
    CountInstances,
    CountWaiting,
    DeleteTaskHub,
    ListAudit,
]
#: recorded whoever asks; starts, events and signals only where a person sends them by hand
MANAGEMENT = (
    TerminateInstance,
    SuspendInstance,
    ResumeInstance,
    RewindInstance,
    RestartInstance,
    PurgeInstance,
    PurgeInstances,
    CleanEntities,
    DeleteTaskHub,
)
_BY_HAND = (StartInstance, RaiseEvent, SignalEntityOperation)


def asked_by(operation: Operation, who: str, *, by_hand: bool = False) -> Operation:
    """The operation with the name of who asks, if it is one to record. `by_hand`: a person typed it."""
    recorded = isinstance(operation, MANAGEMENT) or (by_hand and isinstance(operation, _BY_HAND))
    return replace(operation, by=who) if recorded else operation


class RefusalCode(str, Enum):
    """Why an operation was refused; the HTTP API and the client map these to what the references say."""

    NOT_FOUND = "not_found"
    GONE = "gone"
    EXISTS = "exists"
    WRONG_STATE = "wrong_state"
    UNKNOWN_FUNCTION = "unknown_function"
    BAD_REQUEST = "bad_request"
    UNAVAILABLE = "unavailable"


class _Answer(Struct, frozen=True, array_like=True):
    """Common shape: tagged arrays."""


class Refused(_Answer, frozen=True, tag=0):
    """`text` says what was wrong and what to do; `status` is the label of the instance's status where that matters."""

    code: RefusalCode
    text: str
    status: str = ""


class Started(_Answer, frozen=True, tag=1):
    """`existed`: the instance was there already, and that will do (`RETURN_EXISTING`)."""

    instance_id: str
    existed: bool = False


class Done(_Answer, frozen=True, tag=2):
    """Accepted and durable."""


class Found(_Answer, frozen=True, tag=3):
    """`history` are the events of the current generation, oldest first, when asked for."""

    record: InstanceRecord
    history: list[HistoryEvent] | None = None


class Listed(_Answer, frozen=True, tag=4):
    items: list[InstanceRecord]
    continuation: str | None = None


class Purged(_Answer, frozen=True, tag=5):
    """`continuation`: where a purge with a limit goes on, None when it is through."""

    instances: int
    continuation: str | None = None


class EntityFound(_Answer, frozen=True, tag=6):
    """`exists` false: no state. `state` is JSON text."""

    exists: bool
    state: str | None = None


class EntitiesCleaned(_Answer, frozen=True, tag=7):
    empty_removed: int
    locks_released: int


class WaitingMessage(Struct, frozen=True, array_like=True):
    """A message in the inbox of an instance; `due` 0 is now."""

    event: HistoryEvent
    due: int = 0


class LiveHost(Struct, frozen=True, array_like=True):
    """A host that nobody declared dead, with the names of its functions by kind; a client that is connected has none.

    It gave a sign of life `heard` (microseconds; 0: not known), and is declared dead `ttl` seconds after the last one.
    """

    token: int
    address: str
    names: dict[str, tuple[str, ...]]
    heard: int = 0
    ttl: float = 9.0


class OpenActivity(Struct, frozen=True, array_like=True):
    """Where an activity without a result is.

    `owner`: the host that claimed it, 0 for none. `began` and `finished` (microseconds): there, as far as is written
    down (see `taskhub.long_runs`), else 0; `worker`: the process that runs it.
    """

    task: int
    owner: int = 0
    suspect: int = 0
    not_before: int = 0
    began: int = 0
    finished: int = 0
    worker: str = ""


class Neighbour(Struct, frozen=True, array_like=True):
    """Another instance that matters for one: a child, an entity, who holds its lock. `told` says in a phrase how it is
    ("it waits for activity 'Pay'"); `locked_by` is the id of an orchestration."""

    instance_id: str
    told: str
    locked_by: str = ""


class Inspected(_Answer, frozen=True, tag=8):
    """`history` of the current generation; `inbox` the first of what waits; `time` of the store. `activities` and
    `neighbours` of the first tasks that are open."""

    record: InstanceRecord
    history: list[HistoryEvent]
    inbox: list[WaitingMessage]
    hosts: list[LiveHost]
    time: int
    activities: list[OpenActivity] = []
    neighbours: list[Neighbour] = []


class Counted(_Answer, frozen=True, tag=9):
    """Numbers of instances by name and then by the label of the status."""

    counts: dict[str, dict[str, int]]


class WaitingCounted(_Answer, frozen=True, tag=10):
    """The counts, in the order of the numbers asked for."""

    counts: tuple[int, ...]


class AuditEntry(Struct, frozen=True, array_like=True):
    """A management operation that was carried out; `time` in microseconds."""

    time: int
    operation: str
    target: str
    who: str
    reason: str | None = None
    result: str = ""


class AuditListed(_Answer, frozen=True, tag=11):
    entries: list[AuditEntry]


OperationAnswer = Union[
    Refused,
    Started,
    Done,
    Found,
    Listed,
    Purged,
    EntityFound,
    EntitiesCleaned,
    Inspected,
    Counted,
    WaitingCounted,
    AuditListed,
]
