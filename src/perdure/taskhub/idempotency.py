"""Idempotency keys of starts: the same key and function within a day start one instance, whoever asks how often.

A key is a setting of the hub. It is reserved, with the id of the instance, before that is created, and marked when it
was: a start that died in between is completed by its repetition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
from msgspec import Struct

from perdure.model.operations import (
    ExistingPolicy,
    OperationAnswer,
    RefusalCode,
    Refused,
    Started,
    StartInstance,
)
from perdure.storage.provider import StoreError
from perdure.taskhub.interfaces import Store

KIND = "idempotency"
#: how long a key is remembered, in microseconds
REMEMBERED = 24 * 3600 * 1_000_000
LONGEST_KEY = 256
_LONGEST_READABLE = 512

Answer = Callable[[OperationAnswer], None]
Begin = Callable[[StartInstance, Answer], None]


class _Use(Struct, frozen=True):
    """The first use of a key. `created`: the instance is known to have come into being."""

    instance_id: str
    input: str
    expires: int
    created: bool = False


def start_once(store: Store, operation: StartInstance, new_id: str, time: int, begin: Begin, done: Answer) -> None:
    """Start by `begin` unless the key was used; `new_id` is the id for a start that names none."""
    key = operation.idempotency_key or ""
    if len(key) > LONGEST_KEY:
        text = f"Idempotency-Key has {len(key)} characters. Expected at most {LONGEST_KEY}."
        done(Refused(RefusalCode.BAD_REQUEST, text))
        return
    _KeyedStart(store, operation, new_id, time, begin, done).look()


class _KeyedStart:
    """One start with a key, from looking the key up to the answer."""

    def __init__(
        self, store: Store, operation: StartInstance, new_id: str, time: int, begin: Begin, done: Answer
    ) -> None:
        self._store, self._operation, self._begin, self._done = store, operation, begin, done
        self._key = setting_key(operation.name, operation.idempotency_key or "")
        self._own = _Use(operation.instance_id or new_id, _digest(operation.input or ""), time + REMEMBERED)
        self._time = time

    def look(self) -> None:
        self._store.get_setting(KIND, self._key, self._found)

    def _found(self, text: str | StoreError | None) -> None:
        if isinstance(text, StoreError):
            self._failed(text)
            return
        use = None if text is None else msgspec.json.decode(text, type=_Use)
        if use is None or use.expires <= self._time:
            self._reserve(text)
        elif use.input != self._own.input:
            said = (
                f"Idempotency-Key '{self._operation.idempotency_key}' was used with another input for "
                f"'{self._operation.name}' (instance '{use.instance_id}'). Expected the same input, or a new key."
            )
            self._done(Refused(RefusalCode.BAD_REQUEST, said))
        elif use.created:
            self._done(Started(use.instance_id))
        else:
            # the first start is under way elsewhere, or died: there is one instance with this id either way
            self._start(use, ExistingPolicy.RETURN_EXISTING)

    def _reserve(self, expired: str | None) -> None:
        def reserved(answer: bool | StoreError) -> None:
            if isinstance(answer, StoreError):
                self._failed(answer)
            elif answer:
                self._start(self._own, self._operation.policy)
            else:
                self.look()

        self._store.put_setting(KIND, self._key, _text(self._own), expired, reserved)

    def _start(self, use: _Use, policy: ExistingPolicy | None) -> None:
        def begun(answer: OperationAnswer) -> None:
            # whether the key is noted or forgotten: the answer is that of the start
            noted = _text(msgspec.structs.replace(use, created=True)) if isinstance(answer, Started) else None
            self._store.put_setting(KIND, self._key, noted, _text(use), lambda _: self._done(answer))

        operation = msgspec.structs.replace(
            self._operation, instance_id=use.instance_id, policy=policy, idempotency_key=None
        )
        self._begin(operation, begun)

    def _failed(self, error: StoreError) -> None:
        self._done(Refused(RefusalCode.UNAVAILABLE, f"The store could not answer: {error}"))


def setting_key(name: str, key: str) -> str:
    """The setting that a key of a function is: readable, or a digest where it is more than every store can index."""
    readable = f"{name.lower()}\n{key}"
    return (
        readable
        if len(readable) <= _LONGEST_READABLE and readable.replace("\n", "").isprintable()
        else _digest(readable)
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _text(use: _Use) -> str:
    return msgspec.json.encode(use).decode()


def forget_expired(store: Store, time: int, done: Callable[[int], None]) -> None:
    """Delete keys that are no longer remembered; `done` gets how many."""

    def listed(answer: list[tuple[str, str]] | StoreError) -> None:
        rows = [] if isinstance(answer, StoreError) else answer
        old = [(key, text) for key, text in rows if msgspec.json.decode(text, type=_Use).expires <= time]
        left = len(old)
        if not left:
            done(0)

        def deleted(_: bool | StoreError) -> None:
            nonlocal left
            left -= 1
            if not left:
                done(len(old))

        for key, text in old:
            store.put_setting(KIND, key, None, text, deleted)

    store.list_settings(KIND, listed)
