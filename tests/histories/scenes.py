"""What is recorded: per app and scene the operations on a hub, and between them the seconds that pass."""

from __future__ import annotations

from typing import Union

from perdure.model.operations import (
    Operation,
    RaiseEvent,
    ResumeInstance,
    RewindInstance,
    StartInstance,
    SuspendInstance,
    TerminateInstance,
)

Step = Union[Operation, float]
_HOUR = 3600.0


def _run(name: str, input: str | None = None) -> Step:
    return StartInstance(name, name, input)


#: by app (a file in `app`) and scene: add scenes, never change one
SCENES: dict[str, dict[str, list[Step]]] = {
    "classic": {
        "chaining": [_run("chaining"), _HOUR],
        "fan_out": [_run("fan_out", '["a", "b", "c", "d"]'), _HOUR],
        "race": [_run("race"), _HOUR],
        "retries": [_run("retries"), _HOUR],
        "parent": [StartInstance("parent", "parent", None, "1.0", {"team": "blue"}), _HOUR],
        "events": [
            _run("events"),
            1.0,
            RaiseEvent("events", "go", '"one"'),
            RaiseEvent("events", "Go", '"two"', client=True),
            _HOUR,
            RaiseEvent("events", "stop", '{"n": 3}'),
            _HOUR,
        ],
        "two_waits": [
            _run("two_waits"),
            1.0,
            RaiseEvent("two_waits", "go", '"one"'),
            RaiseEvent("two_waits", "go", '"two"'),
            _HOUR,
        ],
        "entities": [_run("entities"), _HOUR],
        "transfer": [_run("transfer", "30"), _HOUR],
        "counting": [
            _run("counting", "0"),
            RaiseEvent("counting", "carried", '"early"'),
            _HOUR,
        ],
        "status": [_run("status"), _HOUR],
        "coroutine": [_run("coroutine"), 5.0, RaiseEvent("coroutine", "y", "7"), _HOUR],
        "terminated": [StartInstance("approval", "terminated"), 60.0, TerminateInstance("terminated", "enough"), _HOUR],
        "terminated_holding": [_run("holder"), 60.0, TerminateInstance("holder", "enough"), _HOUR],
        "terminated_with_child": [
            _run("waiting_parent"),
            60.0,
            TerminateInstance("waiting_parent", "all of you"),
            _HOUR,
        ],
        "suspended": [
            StartInstance("approval", "suspended"),
            60.0,
            SuspendInstance("suspended", "lunch"),
            RaiseEvent("suspended", "approval", '"yes"'),
            60.0,
        ],
        "suspended_in_turn": [
            StartInstance("approval", "suspended_in_turn"),
            SuspendInstance("suspended_in_turn", "at once"),
            60.0,
            RaiseEvent("suspended_in_turn", "approval", '"yes"'),
            ResumeInstance("suspended_in_turn", "go on"),
            _HOUR,
        ],
        "waiting": [StartInstance("approval", "waiting"), _HOUR],
        "failing": [_run("failing"), _HOUR],
        "rewound": [_run("rewound"), 60.0, RewindInstance("rewound", "mended"), _HOUR],
        "rewound_parent": [_run("rewound_parent"), 60.0, RewindInstance("rewound_parent", "mended"), _HOUR],
    },
    "modern": {
        "chaining": [_run("chaining", '{"number": 7, "item": "pear"}'), _HOUR],
        "one_argument": [_run("one_argument", '"x"'), _HOUR],
        "fan_out": [_run("fan_out", '["a", "b", "c"]'), _HOUR],
        "all_with_a_failure": [_run("all_with_a_failure"), _HOUR],
        "race": [_run("race"), 60.0, RaiseEvent("race", "go", "[1]", client=True), _HOUR],
        "retries": [_run("retries"), _HOUR],
        "parent": [_run("parent"), _HOUR],
        "events": [
            _run("events"),
            RaiseEvent("events", "early", '"0"'),
            1.0,
            RaiseEvent("events", "go", '"one"'),
            RaiseEvent("events", "go", '"two"'),
            _HOUR,
        ],
        "entities": [_run("entities", "5"), _HOUR],
        "counting": [_run("counting", "0"), RaiseEvent("counting", "carried", '"early"'), _HOUR],
        "status": [_run("status"), _HOUR],
        "coroutine": [
            _run("coroutine", '{"number": 1, "item": "pear"}'),
            5.0,
            RaiseEvent("coroutine", "y", "7"),
            _HOUR,
        ],
        "terminated": [StartInstance("approval", "terminated"), 60.0, TerminateInstance("terminated", "enough"), _HOUR],
        "suspended": [
            StartInstance("approval", "suspended"),
            60.0,
            SuspendInstance("suspended"),
            60.0,
            ResumeInstance("suspended"),
            RaiseEvent("suspended", "approval", '"yes"'),
            _HOUR,
        ],
        "rewound": [_run("rewound"), 60.0, RewindInstance("rewound"), _HOUR],
    },
}
