from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from perdure.testing.provider_contract import ProviderContract
from tests.contract.postgres_site import PostgresSite
from tests.postgres_server import PostgresServer, pooled_url

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
def pooled(server: PostgresServer) -> Iterator[str]:
    with pooled_url(server) as url:
        yield url


class TestPostgresBehindAPooler(ProviderContract):
    """Each transaction may come to another connection of the server."""

    @pytest.fixture
    def site(self, pooled: str) -> Iterator[PostgresSite]:
        site = PostgresSite(pooled, f"pooled_{next(_schemas)}")
        yield site
        site.close()
