"""Hosts for the acceptance tests, each on a folder of its own, ended with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.cluster import Cluster
from tests.acceptance.host import EXAMPLES, REPLAY_ON_EVERY_TURN, Host
from tests.postgres_server import PostgresServer

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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A database server for the whole run."""
    server = PostgresServer()
    server.make()
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store, of both kinds."""
    if request.param == "sqlite":
        (tmp_path / "shared").mkdir()
        yield f"sqlite:///{tmp_path}/shared/hub.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as url:
        yield url


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A database server that a test may stop; it writes to disk as in production."""
    server = PostgresServer(fsync=True)
    server.make()
    yield server
    server.remove()


@pytest.fixture
def cluster(new_host: NewHost, store: str, tmp_path: Path) -> Cluster:
    """Hosts of one hub; on a store of its own."""
    return Cluster(new_host, store, tmp_path)
