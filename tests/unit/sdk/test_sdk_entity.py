"""Batches of entity operations: contexts, classes, rollback, failures (sdk-api.md sections 6 and 9, issue rules)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import pytest

import perdure as df
from perdure.model.execution import EntityDecided, EntityRequest, EntitySignal, EntityStart
from perdure.model.history import EntityOperationRequested
from perdure.sdk.codes import EntityCode, code_of
from perdure.sdk.entity import run_batch, run_batch_async
from perdure.sdk.options import SdkOptions

V1, V2 = SdkOptions(), SdkOptions(dialect=2)


def batch(
    code: Any, *operations: Any, state: str | None = None, options: SdkOptions = V1, entity: str = "@counter@Key"
) -> EntityDecided:
    """Run operations, each a name or (name, input)."""
    requested = [
        EntityOperationRequested(op) if isinstance(op, str) else EntityOperationRequested(op[0], json.dumps(op[1]))
        for op in operations
    ]
    request = EntityRequest(7, 3, entity, "Counter", 0, state, requested)
    code = code if isinstance(code, EntityCode) else EntityCode(code)
    decided = run_batch(code, request, options)
    assert (decided.n, decided.base_turn) == (7, 3)
    assert asyncio.run(run_batch_async(code, request, options)) == decided or code.is_async
    return decided


def results(decided: EntityDecided) -> list[Any]:
    """Decoded results; for failures the text that callers see."""
    return [f"! {r.reason}" if r.failure else r.result and json.loads(r.result) for r in decided.results]


def counter(context: df.DurableEntityContext) -> None:
    current = context.get_state(lambda: 0)
    operation = context.operation_name
    if operation == "add":
        current += context.get_input()
    elif operation == "fail":
        context.set_state(current + 100)
        context.signal_entity(df.EntityId("Other", "k"), "told", current)
        raise ValueError("boom!")
    elif operation == "delete":
        context.destruct_on_exit()
        return
    elif operation == "unknown":
        return
    context.set_state(current)
    context.set_result(current)


def test_idiom() -> None:
    decided = batch(counter, ("add", 3), ("add", 4), "get", "unknown")
    assert results(decided) == [3, 7, 7, None]
    assert decided.state == "7"


def test_falsy_input_and_state_are_values() -> None:
    def echo(context: df.DurableEntityContext) -> None:
        context.set_result([context.get_input(), context.get_state(lambda: "initial")])

    assert results(batch(echo, ("a", 0), ("a", ""), "a", state="0")) == [[0, 0], ["", 0], [None, 0]]
    assert results(batch(echo, ("a", False))) == [[False, "initial"]]
    assert results(batch(echo, ("a", "5"), state='"x"')) == [["5", "x"]]


def test_untouched_state_is_written_back_verbatim() -> None:
    odd = '{"a":1.0,   "b" : 2}'
    assert batch(lambda context: None, "x", state=odd).state == odd


def test_nothing_exists_until_something_is_set() -> None:
    def entity(context: df.DurableEntityContext) -> None:
        if context.operation_name == "result":
            context.set_result(1)
        elif context.operation_name == "none":
            context.set_state(None)

    assert batch(entity, "nothing").state is None
    assert batch(entity, "result").state == "null"
    assert batch(entity, "none").state == "null"
    assert batch(counter, ("add", 1), "delete").state is None
    assert batch(counter, "delete", ("add", 1), state="5").state == "1"


def test_live_state_in_dialect_1_and_copies_in_dialect_2() -> None:
    def entity(context: df.DurableEntityContext) -> None:
        context.get_state(list).append(context.get_input())
        context.set_result(context.get_state(list))

    assert batch(entity, ("a", 1), ("a", 2), state="[0]").state == "[0, 1, 2]"
    assert batch(entity, ("a", 1), state="[0]", options=V2).state == "[0]"


def test_results_and_return_values() -> None:
    def entity(context: df.DurableEntityContext) -> Any:
        if context.operation_name == "set":
            context.set_result(None)
        return context.get_input()

    assert results(batch(entity, ("a", 1), ("set", 2), ("a", None), "a")) == [1, None, None, None]


def test_initializer() -> None:
    def entity(context: df.DurableEntityContext) -> None:
        context.get_state(5)  # type: ignore[arg-type]

    assert results(batch(entity, "a")) == ["! initializer argument needs to be a callable function"]


# ---------------------------------------------------------------- failures and rollback


@pytest.mark.parametrize(
    ("options", "state", "signals"),
    [
        (V1, "101", 1),
        (SdkOptions(rollback_entities=True), "1", 0),
        (V2, "1", 0),
        (SdkOptions(dialect=2, rollback_entities=False), "101", 1),
    ],
)
def test_what_a_failing_operation_leaves(options: SdkOptions, state: str, signals: int) -> None:
    decided = batch(counter, ("add", 1), "fail", "get", options=options)
    assert results(decided) == [1, "! boom!", int(state)]
    assert decided.state == state
    assert decided.signals == [EntitySignal("@other@k", "told", "1", by=1)] * signals
    failure = decided.results[1].failure
    assert failure is not None
    assert (failure.error_type, failure.module, failure.message) == ("ValueError", "builtins", "boom!")
    assert "test_sdk_entity.py" in failure.stack_trace
    assert "perdure/sdk" not in failure.stack_trace


def test_a_mutated_live_state_is_rolled_back_too() -> None:
    def entity(context: df.DurableEntityContext) -> None:
        context.get_state(list).append(1)
        if context.operation_name == "fail":
            raise KeyError("x")

    rolled = SdkOptions(rollback_entities=True)
    assert batch(entity, "a", "fail", "a", state="[]", options=rolled).state == "[1, 1]"
    assert batch(entity, "a", "fail", "a", state="[]").state == "[1, 1, 1]"


def test_unserialisable_result_fails_that_operation() -> None:
    def entity(context: df.DurableEntityContext) -> None:
        context.set_state(context.get_input())
        context.set_result({"x": [object()]} if context.operation_name == "bad" else 1)

    decided = batch(entity, ("a", 1), ("bad", 2), ("a", 3))
    assert results(decided)[::2] == [1, 1]
    assert results(decided)[1].startswith("! result.x[0]: object. ")
    assert decided.state == "3"


@pytest.mark.parametrize("options", [V1, V2, SdkOptions(rollback_entities=True)])
def test_unserialisable_state_fails_the_operation_that_set_it(options: SdkOptions) -> None:
    def entity(context: df.DurableEntityContext) -> Any:
        if context.operation_name == "bad":
            context.set_state({"owner": object()})
        elif context.operation_name == "add":
            context.set_state(context.get_state(lambda: 0) + 1)
        return context.operation_name

    decided = batch(entity, "add", "bad", "add", "add", options=options)
    assert results(decided)[::2] == ["add", "add"]
    assert results(decided)[1].startswith("! state.owner: object. ")
    assert decided.state == "3"


def test_wrong_input_fails_the_operation_not_the_batch() -> None:
    payload = '{"__class__": "Gone", "__module__": "gone", "__data__": 1}'
    request = EntityRequest(
        1, 0, "@c@k", "c", 0, "5", [EntityOperationRequested("add", payload), EntityOperationRequested("get")]
    )
    decided = run_batch(EntityCode(counter), request, V1)
    assert results(decided) == ["! cannot deserialize custom object: module 'gone' is not loaded in sys.modules", 5]


def test_exit_in_an_operation_is_its_failure() -> None:
    def entity(context: Any) -> None:
        raise SystemExit(3)

    assert results(batch(entity, "a", "b")) == ["! 3", "! 3"]


# ---------------------------------------------------------------- messages


def test_signals_and_starts() -> None:
    def entity(context: df.DurableEntityContext) -> Any:
        due = datetime(1970, 1, 2, tzinfo=timezone.utc)
        context.signal_entity(df.EntityInstanceId("A", "k"), "op", {"x": 1}, due)
        context.signal_entity("@B@K", "op")
        return context.schedule_new_orchestration("Orch", [1], "given")

    decided = batch(entity, "a")
    assert decided.signals == [EntitySignal("@a@k", "op", '{"x": 1}', 86_400_000_000), EntitySignal("@b@K", "op")]
    assert decided.starts == [EntityStart("Orch", "given", '"[1]"')]
    assert results(decided) == ["given"]


def test_generated_ids_are_32_hex_digits() -> None:
    def entity(context: df.DurableEntityContext) -> Any:
        return context.schedule_new_orchestration("Orch")

    request = EntityRequest(1, 0, "@c@k", "c", 0, None, [EntityOperationRequested("a")])
    decided = run_batch(EntityCode(entity), request, V1)
    assert len(decided.starts[0].instance_id) == 32
    assert json.loads(decided.results[0].result or "") == decided.starts[0].instance_id


# ---------------------------------------------------------------- native functions, coroutines, classes


def test_two_argument_function() -> None:
    def entity(context: df.EntityContext, amount: float) -> Any:
        assert (context.entity_id.entity, context.entity_id.key, context.operation) == ("counter", "Key@1", "add")
        state = context.get_state(float, 0.0) + amount
        context.set_state(state)
        if amount > 100:
            raise ValueError("too much")
        return [type(amount).__name__, state]

    decided = batch(entity, ("add", 1), ("add", 101), ("add", 2), entity="@counter@Key@1")
    assert results(decided) == [["float", 1.0], "! too much", ["float", 3.0]]
    assert decided.state == "3.0"
    assert results(batch(entity, ("add", "x"))) == ["! input: expected float, got str 'x'"]


def test_native_state_none_deletes() -> None:
    def entity(context: df.EntityContext, value: Any) -> None:
        context.set_state(None)

    assert batch(entity, "x", state="1").state is None


def test_coroutine_functions() -> None:
    async def entity(context: df.DurableEntityContext) -> Any:
        await asyncio.sleep(0)
        if context.operation_name == "fail":
            raise ValueError("boom")
        context.set_state(context.get_state(lambda: 0) + 1)
        return context.get_state()

    code = EntityCode(entity)
    assert code.is_async
    request = EntityRequest(1, 0, "@c@k", "c", 0, None, [EntityOperationRequested(op) for op in ("a", "fail", "a")])
    decided = asyncio.run(run_batch_async(code, request, V1))
    assert results(decided) == [1, "! boom", 2]
    refused = run_batch(code, request, V1)
    assert results(refused)[0] == "! the entity 'entity' gave something to await; declare it with `async def`"


@dataclass
class Account:
    owner: str
    balance: int = 0


class Bank(df.DurableEntity):
    def deposit(self, amount: int) -> int:
        account = self.get_state(Account, Account("nobody"))
        account.balance += amount
        self.set_state(account)
        if amount < 0:
            self.signal_entity(df.EntityId("audit", "a"), "note")
            raise ValueError("negative")
        return account.balance

    def read(self) -> Any:
        return self.get_state()

    def rename(self, to: Account) -> None:
        self.set_state(to)

    def _private(self) -> None: ...


def test_class_entity() -> None:
    decided = batch(Bank, ("deposit", 5), ("deposit", -1), "read", ("DEPOSIT", 1), ("rename", {"owner": "x"}))
    shown = results(decided)
    assert shown[:2] == [5, "! negative"]
    assert shown[2]["__data__"] == {"owner": "nobody", "balance": 5}
    assert shown[3:] == [6, None]
    assert decided.signals == []
    assert json.loads(decided.state or "")["__data__"] == {"owner": "x", "balance": 0}
    assert batch(Bank, "delete", state="1").state is None


@pytest.mark.parametrize("operation", ["_private", "get_state", "nothing", "entity_context", "__init__", ""])
def test_class_entity_without_the_operation(operation: str) -> None:
    text = f"! Entity 'Bank' does not have operation '{operation}'. It has: delete, deposit, read, rename"
    assert results(batch(Bank, operation)) == [text]


def test_class_entity_by_decorator_and_asynchronous() -> None:
    app = df.DFApp()

    @app.entity_trigger(context_name="context")
    class Counter(df.DurableEntity):
        async def add(self, amount: int) -> int:
            self.set_state(self.get_state(int, 0) + amount)
            return int(self.get_state())

    code = code_of(Counter.build().get_user_function())
    assert isinstance(code, EntityCode)
    assert (code.is_class, code.is_async, code.is_native(1)) == (True, True, True)
    request = EntityRequest(1, 0, "@counter@k", "c", 0, "2", [EntityOperationRequested("add", "3")])
    assert results(asyncio.run(run_batch_async(code, request, V1))) == [5]


# ---------------------------------------------------------------- execute_entity


def test_execute_entity() -> None:
    from azure.durable_functions.testing import execute_entity

    outcome = execute_entity(counter, "add", 3, state=4)
    assert (outcome.get_result(), outcome.get_state(), outcome.actions) == (7, 7, ())
    with pytest.raises(ValueError, match="boom!"):
        execute_entity(counter, "fail")
    app = df.DFApp()

    @app.entity_trigger(context_name="context", entity_name="named")
    def sender(context: df.DurableEntityContext) -> None:
        context.signal_entity(df.EntityId("b", "k"), "op", [1], datetime(1970, 1, 2))
        context.schedule_new_orchestration("Orch", {"a": context.entity_key}, "i")

    signal, start = execute_entity(sender, "go", entity_key="K").actions
    assert (str(signal.entity_id), signal.operation, signal.get_input()) == ("@b@k", "op", [1])
    assert signal.scheduled_time == datetime(1970, 1, 2, tzinfo=timezone.utc)
    assert (start.name, start.instance_id, start.get_input()) == ("Orch", "i", {"a": "K"})
    assert execute_entity(Bank, "deposit", 2).get_state(Account) == Account("nobody", 2)


def test_an_orchestration_is_not_started_under_an_id_that_it_may_not_have() -> None:
    def starter(context: df.DurableEntityContext) -> None:
        context.schedule_new_orchestration("Work", instance_id=context.get_input())

    decided = batch(starter, ("start", "@counter@a"), ("start", "fine"))
    assert "must not start with '@'" in decided.results[0].reason
    assert [start.instance_id for start in decided.starts] == ["fine"]


def test_what_has_an_id_that_no_store_can_index_is_not_signalled() -> None:
    def sender(context: df.DurableEntityContext) -> None:
        context.signal_entity(df.EntityId("b", context.get_input()), "op")

    decided = batch(sender, ("go", "\u4e00" * 700), ("go", "fine"))
    assert "has 2103 bytes in UTF-8. Expected at most 2048." in decided.results[0].reason
    assert [signal.entity for signal in decided.signals] == ["@b@fine"]
