from __future__ import annotations

import asyncio
import sys

import pytest

from perdure.host.client_hubs import StoreTerms
from perdure.host.composition import open_store
from perdure.host.errors import StartError
from perdure.host.loop import LoopClock
from perdure.host.settings.store_url import StoreUrl


def opened(url: str) -> None:
    loop = asyncio.new_event_loop()
    try:
        open_store(StoreTerms(StoreUrl("postgres", url), "hub"), LoopClock(loop), loop, None)
    finally:
        loop.close()


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("asyncpg", "perdure.storage.postgres"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(StartError) as raised:
        opened("postgresql://app:secret@db/app")
    assert str(raised.value) == (
        "The store postgresql://db/app needs the PostgreSQL driver. Install it: pip install perdure[postgres]"
    )
