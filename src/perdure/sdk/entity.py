"""Runs a batch of operations on an entity: one result per operation, then state and messages for the whole batch."""

from __future__ import annotations

import inspect
import time
from typing import Any

from perdure.model.execution import EntityDecided, EntityRequest, OperationResult
from perdure.model.failure import describe
from perdure.model.history import EntityOperationRequested
from perdure.sdk.codes import Entity, EntityCode
from perdure.sdk.entity_class import operation_of
from perdure.sdk.entity_context import DurableEntityContext, EntityContext, Outbox
from perdure.sdk.options import SdkOptions
from perdure.sdk.serialization import dumps, loads
from perdure.sdk.typed import convert
from perdure.sdk.types import EntityInstanceId

_OWN_FILES = (__file__.rpartition("sdk")[0],)


def run_batch(code: EntityCode, request: EntityRequest, options: SdkOptions) -> EntityDecided:
    """Run the operations of `request` in order.

    A failing operation never fails the batch. Its own effects are kept or undone as `options.rollback_entities` says;
    None means: kept in one-argument functions of dialect 1, undone everywhere else.
    """
    batch = _Batch(code, request, options)
    for operation in request.operations:
        mark = batch.begin(operation)
        try:
            value = batch.call(operation)
            if inspect.isawaitable(value):
                _close(value)
                raise TypeError(f"the entity '{code.name}' gave something to await; declare it with `async def`")
            batch.succeeded(value)
        except (Exception, SystemExit) as error:  # noqa: BLE001  user code raised; the caller is told
            batch.failed(error, mark)
    decided = batch.decided()
    return decided if decided is not None else run_batch(code, request, _checking_each(options, batch))


async def run_batch_async(code: EntityCode, request: EntityRequest, options: SdkOptions) -> EntityDecided:
    """As `run_batch`, for entities with `async def`."""
    batch = _Batch(code, request, options)
    for operation in request.operations:
        mark = batch.begin(operation)
        try:
            value = batch.call(operation)
            batch.succeeded(await value if inspect.isawaitable(value) else value)
        except (Exception, SystemExit) as error:  # noqa: BLE001  user code raised; the caller is told
            batch.failed(error, mark)
    decided = batch.decided()
    return decided if decided is not None else await run_batch_async(code, request, _checking_each(options, batch))


def _close(value: Any) -> None:
    if inspect.iscoroutine(value):
        value.close()


class _Checked(SdkOptions, frozen=True):
    """Options of a second run in which the state is written after every operation, to find the one that spoils it."""

    checks_each: bool = True


def _checking_each(options: SdkOptions, batch: _Batch) -> SdkOptions:
    fields = {name: getattr(options, name) for name in SdkOptions.__struct_fields__}
    return _Checked(**fields)


class _Batch:
    """One run over a batch: what was there before each operation, what came out."""

    def __init__(self, code: EntityCode, request: EntityRequest, options: SdkOptions) -> None:
        self.code = code
        self.request = request
        self.typed = options.typed_payloads
        self.dialect = options.dialect
        self.native = code.is_native(options.dialect)
        rollback = options.rollback_entities
        self.rolls_back = rollback if rollback is not None else self.native or options.dialect == 2
        #: whether the live state of dialect 1 is written after each operation rather than once at the end
        self.checks_each = isinstance(options, _Checked) or self.rolls_back
        self.outbox = Outbox(options.dialect)
        name, _, key = request.entity_id[1:].partition("@")
        self.context: DurableEntityContext | EntityContext
        if self.native:
            self.context = EntityContext(_identity(name, key), request.state, self.outbox)
        else:
            self.context = DurableEntityContext._of(name, key, request.state, self.outbox, copies=options.dialect == 2)
        self.state = request.state
        self.results: list[OperationResult] = []
        self.started = 0
        self.traced = any(operation.trace is not None for operation in request.operations)

    def now(self) -> int:
        """Microseconds since 1970, asked for only where a trace tells of them."""
        return time.time_ns() // 1000 if self.traced else 0

    def begin(self, operation: EntityOperationRequested) -> tuple[int, int]:
        self.outbox.operation = len(self.results)
        self.started = self.now()
        if isinstance(self.context, EntityContext):
            self.context._begin(operation.operation, operation.caller_id)
        else:
            self.context._begin(operation.operation, operation.input)
        return self.outbox.mark()

    def call(self, operation: EntityOperationRequested) -> Any:
        """Run user code: its value, or something to await."""
        context = self.context
        if not isinstance(context, EntityContext):
            return self.code.function(context)
        value = None if operation.input is None else loads(operation.input)
        if self.code.is_class:
            entity = self.code.function()
            entity.entity_context = context
            return operation_of(entity, operation.operation, value)()
        annotation = self.code.input_type
        return self.code.function(context, value if annotation is None else convert(value, annotation, "input"))

    def succeeded(self, value: Any) -> None:
        context = self.context
        if isinstance(context, DurableEntityContext) and context._result_set:
            value = context._result
        text = None if value is None else dumps(value, "result")
        if self.checks_each:
            self.state = context._state_text()
        self.results.append(OperationResult(text, started=self.started, finished=self.now()))

    def failed(self, error: BaseException, mark: tuple[int, int]) -> None:
        if self.rolls_back:
            self.outbox.cut(mark)
            self.context._restore(self.state)
        elif self.checks_each:
            self._keep_what_can_be_written()
        failure = describe(error, hide=_OWN_FILES)
        self.results.append(OperationResult(None, str(error), failure, self.started, self.now()))

    def _keep_what_can_be_written(self) -> None:
        try:
            self.state = self.context._state_text()
        except (TypeError, ValueError):
            self.context._restore(self.state)

    def decided(self) -> EntityDecided | None:
        """The outcome; None when the live state cannot be written, which needs a run that checks each operation."""
        try:
            state = self.context._state_text()
        except (TypeError, ValueError):
            if self.checks_each:
                raise
            return None
        request = self.request
        return EntityDecided(request.n, request.base_turn, self.results, state, self.outbox.signals, self.outbox.starts)


def _identity(name: str, key: str) -> EntityInstanceId:
    identity = EntityInstanceId.__new__(EntityInstanceId)  # stored keys may hold what new ids may not
    identity.entity, identity.key = name, key
    return identity


__all__ = ["Entity", "EntityCode", "run_batch", "run_batch_async"]
