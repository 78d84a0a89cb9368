"""Durable functions started by hand: what the hub is asked for."""

from __future__ import annotations

import pytest

from perdure.host.by_hand import by_hand
from perdure.model.operations import SignalEntityOperation, StartInstance
from tests.unit.host.test_function_list import function


@pytest.mark.parametrize(
    ("text", "input"),
    [(None, None), ("", None), ('{"a": 1}', '{"a": 1}'), ('"x"', '"x"'), ("plain text", '"plain text"')],
)
def test_orchestrations_start(text: str | None, input: str | None) -> None:
    assert by_hand(function("Orch", "orchestrationTrigger"), text) == StartInstance("Orch", None, input)


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        (None, SignalEntityOperation("@ent@manual", "manual")),
        ("5", SignalEntityOperation("@ent@manual", "manual", "5")),
        ("plain", SignalEntityOperation("@ent@manual", "manual", '"plain"')),
        ('{"a": 1}', SignalEntityOperation("@ent@manual", "manual", '{"a": 1}')),
        ('{"key": "k", "operation": "add", "input": 2}', SignalEntityOperation("@ent@k", "add", "2")),
        ('{"Operation": "reset"}', SignalEntityOperation("@ent@manual", "reset")),
    ],
)
def test_entities_are_signalled(text: str | None, signal: SignalEntityOperation) -> None:
    assert by_hand(function("Ent", "entityTrigger"), text) == signal


def test_other_functions_are_run_by_workers() -> None:
    assert by_hand(function("Queue", "queueTrigger"), "x") is None
