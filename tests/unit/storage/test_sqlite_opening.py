from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.storage.sqlite import SqliteProvider, StoreUnusable, database, errors
from perdure.storage.sqlite.mounts import kind_in_mount_listing, kind_in_mountinfo, network_file_system
from perdure.storage.sqlite.statements import SCHEMA


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_AT_OPENING", 0.05)


def refusal(path: Path) -> str:
    with pytest.raises(StoreUnusable) as caught:
        SqliteProvider(path, "hub", lambda call: call()).open()
    return str(caught.value)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Path]:
    """A store that was opened once and closed."""
    path = tmp_path / "made.db"
    provider = SqliteProvider(path, "hub", lambda call: call())
    provider.open()
    provider.shutdown()
    yield path


def test_folders_on_the_way_are_made(tmp_path: Path) -> None:
    provider = SqliteProvider(tmp_path / "a" / "b" / "hub.db", "hub", lambda call: call())
    provider.open()
    provider.shutdown()
    assert (tmp_path / "a" / "b" / "hub.db").exists()


def test_a_stopped_store_is_one_file(made: Path) -> None:
    assert not made.with_name("made.db-wal").exists() or made.with_name("made.db-wal").stat().st_size == 0
    assert sqlite3.connect(made).execute("SELECT count(*) FROM Instances").fetchone() == (0,)


def test_every_commit_is_synced_to_the_disk(made: Path) -> None:
    connection = database.Database(made).writer()
    modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    connection.close()
    assert modes == ["wal", 2], "2 is FULL: what was acknowledged survives a loss of power"


def test_a_second_opening_changes_nothing(made: Path) -> None:
    before = sqlite3.connect(made).execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    provider = SqliteProvider(made, "hub", lambda call: call())
    provider.open()
    provider.shutdown()
    after = sqlite3.connect(made).execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()
    assert before == after
    assert sqlite3.connect(made).execute("SELECT name FROM hub ORDER BY number").fetchall() == [("",), ("hub",)]


def test_an_index_that_an_older_release_did_not_make_is_made(made: Path) -> None:
    with sqlite3.connect(made) as older:
        older.execute("DROP INDEX work_claimed")
        older.execute(
            "INSERT INTO work (n, generation, task, hub, seq, function, owner) VALUES (1, 0, 0, 1, 1, 'a', 7)"
        )
    older.close()
    provider = SqliteProvider(made, "hub", lambda call: call())
    provider.open()
    provider.shutdown()
    with sqlite3.connect(made) as store:
        plan = store.execute("EXPLAIN QUERY PLAN SELECT 1 FROM work WHERE hub = 1 AND owner > 0")
        assert "work_claimed (hub=? AND owner>?)" in plan.fetchone()[3]
        assert store.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
        assert store.execute("SELECT count(*) FROM work INDEXED BY work_claimed WHERE owner > 0").fetchone() == (1,)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "hub.db").mkdir()
    assert refusal(tmp_path / "hub.db") == (
        f"The store file {tmp_path}/hub.db cannot be written (unable to open database file): give the user that runs "
        "perdure the right to write there, or set PERDURE_STORE to another place."
    )


def test_a_file_that_may_not_be_written(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert refusal(made) == (
        f"The store file {made} cannot be written (permission denied): give the user that runs perdure the right to "
        "write there, or set PERDURE_STORE to another place."
    )


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refusal(tmp_path / "file" / "hub.db") == (
        f"The folder of the store, {tmp_path}/file, cannot be made (File exists): give the user that runs perdure "
        "the right to write there, or set PERDURE_STORE to another place."
    )


@pytest.mark.parametrize("begin", ["BEGIN EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE"])
def test_a_file_that_another_program_holds(made: Path, begin: str) -> None:
    other = sqlite3.connect(made, isolation_level=None)
    if begin.startswith("BEGIN"):
        other.execute("PRAGMA journal_mode = DELETE")
    for statement in begin.split("; "):
        other.execute(statement)
    other.execute("UPDATE hub SET counter = counter")
    assert refusal(made) == (
        f"The store file {made} is held exclusively by another program: close that program (a database browser, a "
        "shell with an open transaction, a backup), then start again. Programs that only read may stay open."
    )
    other.close()


def test_a_program_that_reads_does_not_matter(made: Path) -> None:
    other = sqlite3.connect(made, isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT * FROM Instances").fetchall()
    provider = SqliteProvider(made, "other hub", lambda call: call())
    provider.open()
    provider.shutdown()
    other.close()


def test_a_corrupt_file(made: Path) -> None:
    made.write_bytes(b"this is no database, but it is long enough to have a header" * 20)
    assert refusal(made) == (
        f"The store file {made} is not a usable SQLite database (file is not a database): put a backup in its place, "
        "or move it away to start with an empty store. Nothing was changed."
    )


def test_a_damaged_schema(made: Path) -> None:
    content = bytearray(made.read_bytes())
    content[100:4096] = b"\xff" * 3996
    made.write_bytes(content)
    assert refusal(made) == (
        f"The store file {made} is not a usable SQLite database (database disk image is malformed): put a backup in "
        "its place, or move it away to start with an empty store. Nothing was changed."
    )


def test_a_database_of_another_program(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "app.db")
    other.execute("CREATE TABLE users (name)")
    other.close()
    assert refusal(tmp_path / "app.db") == (
        f"The store file {tmp_path}/app.db is a SQLite database of another program (it has tables, but not those of "
        "perdure): set PERDURE_STORE to a file of its own. Nothing was changed."
    )


def test_a_file_of_a_newer_version(made: Path) -> None:
    other = sqlite3.connect(made)
    other.execute("UPDATE hub SET schema = 9, min_writer = 8")
    other.execute("PRAGMA user_version = 9")
    other.commit()
    other.close()
    assert refusal(made) == (
        f"The store file {made} comes from a newer version of perdure (schema 9, this version writes up to {SCHEMA}): "
        "upgrade perdure, or set PERDURE_STORE to another file. Nothing was changed."
    )


def test_a_newer_schema_that_this_version_may_write_is_opened(made: Path) -> None:
    other = sqlite3.connect(made)
    other.execute("PRAGMA user_version = 9")
    other.commit()
    other.close()
    provider = SqliteProvider(made, "hub", lambda call: call())
    provider.open()
    provider.shutdown()


def test_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "network_file_system", lambda path: "nfs4")
    path = tmp_path / "hub.db"
    assert refusal(path) == (
        f"The store file {path} lies on a network file system (nfs4), where SQLite's locks are not reliable: set "
        "PERDURE_STORE to a file on a local disk, or to a PostgreSQL database to share it between machines."
    )
    assert not path.exists()


def test_an_old_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 31, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.31.1")
    assert refusal(tmp_path / "hub.db") == (
        "This Python uses SQLite 3.31.1, and the store needs 3.35.0 or newer: use a newer Python or SQLite library."
    )


def test_the_mount_that_covers_a_path_decides() -> None:
    text = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "40 22 0:40 / /mnt/my\\040share rw - nfs4 server:/export rw\n"
        "41 22 0:41 / /mnt/local rw shared:1 - xfs /dev/sdb rw\n"
        "42 41 0:42 / /mnt/local/deep rw - fuse.sshfs host: rw\n"
    )
    kinds = {
        "/home/app/hub.db": "ext4",
        "/mnt/my share/hub.db": "nfs4",
        "/mnt/my shared/hub.db": "ext4",
        "/mnt/local/hub.db": "xfs",
        "/mnt/local/deep/hub.db": "fuse.sshfs",
    }
    assert {path: kind_in_mountinfo(text, path) for path in kinds} == kinds
    listing = "/dev/disk1s1 on / (apfs, local)\n//me@server/share on /Volumes/share (smbfs, nodev)\n"
    assert kind_in_mount_listing(listing, "/Volumes/share/x") == "smbfs"
    assert kind_in_mount_listing(listing, "/Users/me") == "apfs"


def test_this_folder_is_local(tmp_path: Path) -> None:
    assert network_file_system(tmp_path / "not" / "there") is None


def test_errors_of_calls_say_what_to_do() -> None:
    path = Path("/data/hub.db")
    cases = {
        "database is locked": (
            "the store file /data/hub.db is locked by another program: nothing can be written until it ends",
            False,
        ),
        "database or disk is full": (
            "the disk of the store file /data/hub.db is full: nothing can be written until there is room",
            False,
        ),
        "disk I/O error": ("writing the store file /data/hub.db failed (disk I/O error): check the disk", True),
        "database disk image is malformed": (
            "the store file /data/hub.db is damaged (database disk image is malformed): stop the host and put a "
            "backup in its place",
            False,
        ),
        "UNIQUE constraint failed": (
            "the store file /data/hub.db refused a statement: UNIQUE constraint failed",
            False,
        ),
    }
    for text, expected in cases.items():
        answer = errors.call_failed(path, sqlite3.OperationalError(text))
        assert (str(answer), answer.lost) == expected
