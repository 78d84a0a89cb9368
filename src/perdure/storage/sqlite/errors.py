"""What can be wrong with a store file, in words: what was found, where, what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from perdure.storage.provider import StoreError


class StoreUnusable(Exception):
    """The store cannot be opened. The text is ready to print."""


_WRITABLE = "give the user that runs perdure the right to write there, or set PERDURE_STORE to another place"


def not_writable(path: Path, found: str) -> StoreUnusable:
    return StoreUnusable(f"The store file {path} cannot be written ({found}): {_WRITABLE}.")


def no_folder(folder: Path, found: str) -> StoreUnusable:
    return StoreUnusable(f"The folder of the store, {folder}, cannot be made ({found}): {_WRITABLE}.")


def network_file_system(path: Path, kind: str) -> StoreUnusable:
    return StoreUnusable(
        f"The store file {path} lies on a network file system ({kind}), where SQLite's locks are not reliable: "
        "set PERDURE_STORE to a file on a local disk, or to a PostgreSQL database to share it between machines."
    )


def held_exclusively(path: Path) -> StoreUnusable:
    return StoreUnusable(
        f"The store file {path} is held exclusively by another program: close that program (a database browser, "
        "a shell with an open transaction, a backup), then start again. Programs that only read may stay open."
    )


def corrupt(path: Path, found: str) -> StoreUnusable:
    return StoreUnusable(
        f"The store file {path} is not a usable SQLite database ({found}): put a backup in its place, or move it "
        "away to start with an empty store. Nothing was changed."
    )


def foreign(path: Path) -> StoreUnusable:
    return StoreUnusable(
        f"The store file {path} is a SQLite database of another program (it has tables, but not those of perdure): "
        "set PERDURE_STORE to a file of its own. Nothing was changed."
    )


def newer_version(path: Path, found: int, known: int) -> StoreUnusable:
    return StoreUnusable(
        f"The store file {path} comes from a newer version of perdure (schema {found}, this version writes up to "
        f"{known}): upgrade perdure, or set PERDURE_STORE to another file. Nothing was changed."
    )


def old_library(found: str, needed: str) -> StoreUnusable:
    return StoreUnusable(
        f"This Python uses SQLite {found}, and the store needs {needed} or newer: use a newer Python or SQLite library."
    )


_BUSY, _READ_ONLY, _IO, _CORRUPT, _FULL, _CANNOT_OPEN, _NOT_A_DATABASE = 5, 8, 10, 11, 13, 14, 26
_BY_TEXT = (
    ("locked", _BUSY),
    ("readonly", _READ_ONLY),
    ("disk i/o", _IO),
    ("malformed", _CORRUPT),
    ("full", _FULL),
    ("unable to open", _CANNOT_OPEN),
    ("not a database", _NOT_A_DATABASE),
)


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; by the text where this Python does not give the number (before 3.11)."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF
    text = str(error).lower()
    return next((number for part, number in _BY_TEXT if part in text), 1)


def opening_failed(path: Path, error: sqlite3.Error) -> StoreUnusable:
    """Why a database could not be opened."""
    code = _code(error)
    if code in (_BUSY, 6):
        return held_exclusively(path)
    if code in (_READ_ONLY, _CANNOT_OPEN, 3, 23):
        return not_writable(path, str(error))
    if code in (_CORRUPT, _NOT_A_DATABASE):
        return corrupt(path, str(error))
    return StoreUnusable(f"The store file {path} cannot be opened: {error}.")


def call_failed(path: Path, error: sqlite3.Error) -> StoreError:
    """Why a call failed. `lost` when what reached the disk is not known."""
    code = _code(error)
    if code in (_BUSY, 6):
        return StoreError(f"the store file {path} is locked by another program: nothing can be written until it ends")
    if code == _FULL:
        return StoreError(f"the disk of the store file {path} is full: nothing can be written until there is room")
    if code == _IO:
        return StoreError(f"writing the store file {path} failed ({error}): check the disk", lost=True)
    if code in (_CORRUPT, _NOT_A_DATABASE):
        return StoreError(f"the store file {path} is damaged ({error}): stop the host and put a backup in its place")
    return StoreError(f"the store file {path} refused a statement: {error}")


def breaks_connection(error: sqlite3.Error) -> bool:
    """Whether the connection must not be used again."""
    return _code(error) in (_IO, _CORRUPT, _NOT_A_DATABASE)
