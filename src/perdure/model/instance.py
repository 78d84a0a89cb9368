"""Instances: numbers and ids, the status record, the query filter."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, json

_COUNTER_BITS = 32
_TOKEN_BITS = 24


LONGEST_ID = 256
#: of "@name@key"; what every store can index
LONGEST_ENTITY_ID = 512
#: of ids that orchestrators and entities give, in UTF-8: what every store can index, whatever its characters
LONGEST_ID_BYTES = 2048
#: what stands for bytes of a request that are no text: different ids would become one
_UNDECODABLE = "\ufffd"
_BAD_ID = frozenset("/\\#?" + _UNDECODABLE)
_encode = json.Encoder().encode


class RuntimeStatus(IntEnum):
    """Runtime status, numbered as in the Durable Task Framework; `label` is the text that users see."""

    RUNNING = 0
    COMPLETED = 1
    CONTINUED_AS_NEW = 2
    FAILED = 3
    CANCELED = 4
    TERMINATED = 5
    PENDING = 6
    SUSPENDED = 7

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({RuntimeStatus.COMPLETED, RuntimeStatus.FAILED, RuntimeStatus.CANCELED, RuntimeStatus.TERMINATED})
_LABELS = {
    RuntimeStatus.RUNNING: "Running",
    RuntimeStatus.COMPLETED: "Completed",
    RuntimeStatus.CONTINUED_AS_NEW: "ContinuedAsNew",
    RuntimeStatus.FAILED: "Failed",
    RuntimeStatus.CANCELED: "Canceled",
    RuntimeStatus.TERMINATED: "Terminated",
    RuntimeStatus.PENDING: "Pending",
    RuntimeStatus.SUSPENDED: "Suspended",
}
STATUS_BY_LABEL = {label: status for status, label in _LABELS.items()}


class InstanceKind(IntEnum):
    ORCHESTRATION = 0
    ENTITY = 1


def instance_number(token: int, counter: int, shard: int = 0) -> int:
    """The instance number `n` that the host with `token` gives to the `counter`-th instance it creates."""
    return shard << (_TOKEN_BITS + _COUNTER_BITS) | token << _COUNTER_BITS | counter


def execution_id(n: int, generation: int) -> str:
    """The execution id of one generation: 32 hex digits, unique within a store and the same on every replay."""
    return f"{n:016x}{generation:016x}"


def entity_scheduler_id(name: str, key: str) -> str:
    """The instance id of an entity: the name in lower case, the key as given."""
    return f"@{name.lower()}@{key}"


def is_entity_id(instance_id: str) -> bool:
    """Whether this can only be the id of an entity."""
    return instance_id.startswith("@")


def bad_instance_id(instance_id: str) -> str | None:
    """Why this cannot be the id of an orchestration (http-api.md 2), or None."""
    if is_entity_id(instance_id):
        return f"Instance IDs must not start with '@'; that form names entities. Received '{instance_id[:80]}'."
    return _unusable("Instance IDs", instance_id, LONGEST_ID)


def bad_entity_id(entity: str) -> str | None:
    """Why no client can signal the entity of this scheduler id (http-api.md 7), or None."""
    name, at, key = entity[1:].partition("@")
    if not is_entity_id(entity) or not name or not at:
        return f"'{entity[:80]}' names no entity. Expected @name@key."
    return _unusable("Entity keys", key, LONGEST_ENTITY_ID - len(name) - 2)


def too_long_id(instance_id: str) -> str | None:
    """Why no store could find an instance by this id, or None."""
    if len(instance_id) * 4 <= LONGEST_ID_BYTES:
        return None
    size = len(instance_id.encode("utf-8", "surrogatepass"))
    if size <= LONGEST_ID_BYTES:
        return None
    return f"The instance ID '{instance_id[:80]}...' has {size} bytes in UTF-8. Expected at most {LONGEST_ID_BYTES}."


def _unusable(what: str, text: str, longest: int) -> str | None:
    if len(text) > longest:
        return f"{what} must not be longer than {longest} characters; this one has {len(text)}."
    for character in text:
        if character in _BAD_ID or ord(character) < 32 or 127 <= ord(character) < 160:
            found = "what is not UTF-8" if character == _UNDECODABLE else repr(character)
            return f"{what} must not contain '/', '\\', '#', '?' or control characters; found {found}."
    return None


class EntityLock(Struct, frozen=True, rename="camel"):
    """Who holds the lock of an entity: the id of an orchestration, and the task of its critical section."""

    locked_by: str
    generation: int = 0
    task: int = -1


_decode_lock = json.Decoder(EntityLock).decode


def encode_lock(lock: EntityLock) -> str:
    """The custom status of an entity that is locked."""
    return _encode(lock).decode()


def decode_lock(custom_status: str | None) -> EntityLock | None:
    """The lock that the custom status of an entity tells of, None for none."""
    return None if custom_status is None else _decode_lock(custom_status)


class InstanceRecord(Struct, frozen=True):
    """An instance as its row says it. Times in microseconds since 1970 (0: not yet); payloads are JSON text.

    `first_turn` is the turn in which the code of this generation first ran (0: not yet). `cursor` is 1 + the first
    task id whose work row is still to be written (0: none is). `trace` as in `NewInstance`.
    """

    n: int
    instance_id: str
    kind: InstanceKind
    name: str
    version: str
    generation: int
    turn: int
    status: RuntimeStatus
    owner: int
    created: int
    started: int = 0
    updated: int = 0
    completed: int = 0
    parent_n: int = 0
    parent_generation: int = 0
    parent_task: int = -1
    parent_id: str | None = None
    parked: str | None = None
    suspect: int = 0
    not_before: int = 0
    lock_holder: int = 0
    cursor: int = 0
    first_turn: int = 0
    tags: dict[str, str] | None = None
    input: str | None = None
    output: str | None = None
    custom_status: str | None = None
    state: str | None = None
    trace: str | None = None


class InstanceFilter(Struct, frozen=True, omit_defaults=True):
    """Which instances a query or a purge means. Empty fields do not filter; both times are inclusive."""

    created_from: int | None = None
    created_to: int | None = None
    statuses: tuple[int, ...] = ()
    id_prefix: str | None = None
    name_prefix: str | None = None
    parent_id: str | None = None
    tags: dict[str, str] | None = None
    kinds: tuple[int, ...] = ()


class Page(Struct, frozen=True):
    """One page of a listing; `continuation` is None after the last page."""

    items: list[InstanceRecord]
    continuation: str | None = None
