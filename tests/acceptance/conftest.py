"""Hosts for the acceptance tests, each on a folder of its own, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.host import EXAMPLES, REPLAY_ON_EVERY_TURN, Host

NewHost = Callable[..., Host]


@pytest.fixture(params=["hot", "replay"])
def sessions(request: pytest.FixtureRequest) -> dict[str, str]:
    """Both session modes: generators kept between turns, and replay on every turn."""
    return REPLAY_ON_EVERY_TURN if request.param == "replay" else {}


@pytest.fixture
def new_host(tmp_path: Path) -> Iterator[NewHost]:
    """Makes hosts that are not started yet; `app` is a folder, or the name of an example."""
    made: list[Host] = []

    def make(app: Path | str, *, settings: dict[str, str] | None = None, args: tuple[str, ...] = ()) -> Host:
        folder = tmp_path / f"host{len(made)}"
        folder.mkdir()
        host = Host(EXAMPLES / app if isinstance(app, str) else app, folder, settings=settings, args=args)
        made.append(host)
        return host

    yield make
    for host in made:
        host.close()
