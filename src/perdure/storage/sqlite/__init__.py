"""The SQLite store: the default, one file."""

from perdure.storage.sqlite.errors import StoreUnusable
from perdure.storage.sqlite.provider import SqliteProvider

__all__ = ["SqliteProvider", "StoreUnusable"]
