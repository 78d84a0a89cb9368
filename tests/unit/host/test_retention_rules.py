"""The setting `retention`: what it means, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.host.errors import StartError
from perdure.host.retention import retention_rules
from perdure.model.instance import InstanceKind, InstanceRecord, RuntimeStatus

DAY = 86_400_000_000


def record(name: str, status: RuntimeStatus, completed: int) -> InstanceRecord:
    return InstanceRecord(
        1, "i", InstanceKind.ORCHESTRATION, name, "", 0, 1, status, owner=0, created=1, completed=completed
    )


def test_rules() -> None:
    rules = retention_rules(
        {"completed": "30.00:00:00", "Failed": 90, "names": {"Audit": {"Completed": "365"}, "Ping": {"Completed": 0}}}
    )
    now = 100 * DAY

    def expired(name: str, status: RuntimeStatus, age: int) -> bool:
        return rules.is_expired(record(name, status, now - age * DAY), now)

    assert rules.statuses() == (RuntimeStatus.COMPLETED, RuntimeStatus.FAILED)
    assert rules.shortest() == 0
    assert not expired("Order", RuntimeStatus.COMPLETED, 29)
    assert expired("Order", RuntimeStatus.COMPLETED, 30)
    assert not expired("audit", RuntimeStatus.COMPLETED, 99)
    assert expired("PING", RuntimeStatus.COMPLETED, 0)
    assert expired("Audit", RuntimeStatus.FAILED, 95), "what its name says nothing of follows the general rule"
    assert not expired("Order", RuntimeStatus.TERMINATED, 99)
    assert not rules.is_expired(record("Order", RuntimeStatus.RUNNING, 0), now)


def test_no_rules() -> None:
    assert retention_rules(None).statuses() == ()
    assert retention_rules({}).statuses() == ()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"Running": "1"}, "'Running' is no final status (Completed, Failed, Terminated, Canceled)"),
        ({"Finished": "1"}, "'Finished' is no final status"),
        ({"Completed": "soon"}, "retention.Completed: 'soon' is no age"),
        ({"Completed": "-1"}, "'-1' is no age"),
        ({"names": {"X": "1"}}, "is not understood. Expected ages by final status"),
        ({"names": {"X": {"Completed": "x"}}}, "retention.names.X.Completed: 'x' is no age"),
    ],
)
def test_what_is_not_understood_deletes_nothing(setting: dict[str, Any], text: str) -> None:
    with pytest.raises(StartError) as caught:
        retention_rules(setting)
    assert text in str(caught.value)
