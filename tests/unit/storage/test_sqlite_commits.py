"""What every commit of the SQLite store costs beyond its own rows."""

from __future__ import annotations

from pathlib import Path

from perdure.model.commit_plan import CommitBatch
from perdure.storage.provider import HostRegistration
from perdure.storage.sqlite import commits, hosts
from perdure.storage.sqlite.database import Database
from perdure.storage.sqlite.locks import HostLocks


def test_the_list_of_changes_is_trimmed_now_and_then(tmp_path: Path) -> None:
    database = Database(tmp_path / "one.db")
    hub = database.open("hub")
    connection = database.writer()
    connection.execute("BEGIN IMMEDIATE")
    locks = HostLocks(database.path)
    token = hosts.register(connection, hub, locks, HostRegistration("", "one", {}), 1).token
    trims = []
    connection.set_trace_callback(lambda sql: trims.append(sql) if sql.startswith("DELETE FROM change") else None)
    for number in range(1, 1501):
        commits.commit(connection, hub, CommitBatch(token, number), 1, 1024)
    (kept,) = connection.execute("SELECT count(*) FROM change").fetchone()
    assert commits.CHANGES_KEPT <= kept <= commits.CHANGES_KEPT + 100
    assert len(trims) == 15
    connection.close()
    locks.close()
