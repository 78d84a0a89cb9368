"""The PostgreSQL store: many hosts, one hub. Needs the extra `perdure[postgres]`."""

from perdure.storage.postgres.errors import StoreUnusable
from perdure.storage.postgres.provider import PostgresProvider

__all__ = ["PostgresProvider", "StoreUnusable"]
