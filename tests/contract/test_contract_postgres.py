from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from perdure.testing.provider_contract import ProviderContract
from tests.contract.postgres_site import PostgresSite
from tests.postgres_server import PostgresServer

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
