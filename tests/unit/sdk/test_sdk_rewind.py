"""Rewinds: the failure that a rewind voids is as if it had not come, in the rewound turn and in later replays."""

from __future__ import annotations

import pytest

from perdure.model.actions import CompleteOrchestration, ScheduleTask
from perdure.model.codec import encode_history
from perdure.model.execution import TurnDecided, TurnRequest
from perdure.model.history import (
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionStarted,
    OrchestratorStarted,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from perdure.sdk.codes import OrchestratorCode
from perdure.sdk.options import SdkOptions
from perdure.sdk.replay import Sessions


def row(*events):
    return encode_history(list(events))


def turn(sessions, base, events, history=None):
    outcome = sessions.run(TurnRequest(1, 0, base, "i", "f", 1_000_000 * (base + 1), events, history))
    assert isinstance(outcome, TurnDecided), outcome
    return outcome.actions


def sessions_of(function):
    return Sessions(lambda name: OrchestratorCode(function, name="f"), SdkOptions())


@pytest.mark.parametrize("cold", [False, True])
def test_a_voided_failure_is_as_if_it_had_not_come(cold):
    def f(context):
        first = yield context.call_activity("a")
        second = yield context.call_activity("b")
        return [first, second]

    history = [
        row(OrchestratorStarted(1), ExecutionStarted("f"), TaskScheduled(0, "a")),
        row(OrchestratorStarted(2), TaskFailed(0, "boom"), ExecutionCompleted(3, '"failed"')),
    ]
    sessions = sessions_of(f)
    assert turn(sessions, 2, [ExecutionRewound("r", (0,))], history) == []
    history.append(row(OrchestratorStarted(3), ExecutionRewound("r", (0,))))
    if cold:
        sessions = sessions_of(f)
    actions = turn(sessions, 3, [TaskCompleted(0, "1")], history)
    assert [(type(a), a.id, a.name) for a in actions] == [(ScheduleTask, 1, "b")]
    history.append(row(OrchestratorStarted(4), TaskCompleted(0, "1"), TaskScheduled(1, "b")))
    if cold:
        sessions = sessions_of(f)
    assert turn(sessions, 4, [TaskCompleted(1, "2")], history) == [CompleteOrchestration("[1, 2]")]


@pytest.mark.parametrize("mended", [False, True])
def test_code_that_raised_by_itself_runs_its_last_turn_again(mended):
    def f(context):
        first = yield context.call_activity("a")
        if not mended:
            raise ValueError("bug")
        return first

    history = [
        row(OrchestratorStarted(1), ExecutionStarted("f"), TaskScheduled(0, "a")),
        row(OrchestratorStarted(2), TaskCompleted(0, "7"), ExecutionCompleted(3, '"failed"')),
    ]
    actions = turn(sessions_of(f), 2, [ExecutionRewound("r", ())], history)
    assert isinstance(actions[0], CompleteOrchestration)
    assert (actions[0].result == "7") is mended and (actions[0].failure is None) is mended
