from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.testing.provider_contract import ProviderContract
from tests.contract.sites import SqliteSite


class TestSqlite(ProviderContract):
    @pytest.fixture
    def site(self, tmp_path: Path) -> Iterator[SqliteSite]:
        site = SqliteSite(tmp_path)
        yield site
        site.close()
