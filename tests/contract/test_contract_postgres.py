from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from perdure.testing.provider_contract import ProviderContract
from tests.contract.postgres_site import PostgresSite
from tests.postgres_server import Pooler, PostgresServer, pooler_binary

_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.make()
    yield server
    server.remove()


class TestPostgres(ProviderContract):
    @pytest.fixture
    def site(self, server: PostgresServer) -> Iterator[PostgresSite]:
        site = PostgresSite(server.url, f"contract_{next(_schemas)}")
        yield site
        site.close()


@pytest.fixture(scope="module")
def pooler(server: PostgresServer) -> Iterator[Pooler]:
    pooler = Pooler(server)
    yield pooler
    pooler.remove()


@pytest.mark.skipif(pooler_binary() is None, reason="pgbouncer is not on this machine")
class TestPostgresBehindAPooler(ProviderContract):
    """Each transaction may come to another connection of the server."""

    @pytest.fixture
    def site(self, pooler: Pooler) -> Iterator[PostgresSite]:
        site = PostgresSite(pooler.url(), f"pooled_{next(_schemas)}")
        yield site
        site.close()
