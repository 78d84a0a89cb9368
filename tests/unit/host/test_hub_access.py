"""How the hub is asked: events for instances that cannot take them."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from perdure.host.hub_access import HubAccess
from perdure.model.operations import (
    Done,
    Operation,
    OperationAnswer,
    RaiseEvent,
    RefusalCode,
    Refused,
    TerminateInstance,
)


class Refusing:
    """A hub that refuses everything with one code."""

    def __init__(self, code: RefusalCode) -> None:
        self.code = code

    def call(self, operation: Operation, done: Any) -> None:
        done(Refused(self.code, "no"))


def asked(operation: Operation, code: RefusalCode, strict: bool) -> OperationAnswer:
    access = HubAccess("Hub", strict)
    access.open(Refusing(code))  # type: ignore[arg-type]
    return asyncio.run(access.ask(operation))


@pytest.mark.parametrize("code", [RefusalCode.NOT_FOUND, RefusalCode.GONE])
def test_lost_events(code: RefusalCode) -> None:
    assert asked(RaiseEvent("i", "go"), code, True) == Refused(code, "no")
    assert asked(RaiseEvent("i", "go"), code, False) == Done()
    assert asked(TerminateInstance("i"), code, False) == Refused(code, "no"), "only events are dropped"


def test_an_event_that_is_wrong_is_always_an_error() -> None:
    refused = Refused(RefusalCode.BAD_REQUEST, "no")
    assert asked(RaiseEvent("i", "go"), RefusalCode.BAD_REQUEST, False) == refused


class Broken:
    """Other hubs that cannot be asked, in a way that nobody foresaw."""

    async def ask(self, operation: Operation, name: str) -> OperationAnswer:
        raise OSError(24, "Too many open files")


def test_who_asks_another_hub_is_answered_whatever_happens() -> None:
    logged: list[str] = []

    async def ask() -> OperationAnswer:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(repr(context["exception"])))
        access = HubAccess("Hub")
        access.open(Refusing(RefusalCode.GONE), Broken())  # type: ignore[arg-type]
        answer = await asyncio.wait_for(access.ask(TerminateInstance("i"), "Another"), 5)
        await asyncio.sleep(0)
        gc.collect()
        return answer

    text = "Task hub 'Another' could not be asked: OSError(24, 'Too many open files')"
    assert asyncio.run(ask()) == Refused(RefusalCode.UNAVAILABLE, text)
    assert logged == ["OSError(24, 'Too many open files')"], "and the error is not lost"
