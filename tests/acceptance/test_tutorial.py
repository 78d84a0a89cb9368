"""The tutorial is true: its app, put together from the page, does what the page says."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import ROOT, WEBHOOK


def test_the_app_of_the_tutorial(new_host: NewHost, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text()
    first, second = re.findall(r"```python\n(.*?)```", page, re.S)
    (host_json,) = re.findall(r"```json\n(.*?)```", page, re.S)
    app = tmp_path / "greetings"
    app.mkdir()
    (app / "host.json").write_text(host_json)
    code = f"from datetime import timedelta\n{first}\n\n{second}".replace("time.sleep(2)", "time.sleep(0.01)")
    (app / "function_app.py").write_text(code)

    host = new_host(app).start()
    links = host.begin("/api/greetings", ["Ada", "Grace", "Edsger"])
    assert host.completed(links["id"]) == ["Hello Ada!", "Hello Grace!", "Hello Edsger!"]
    host.post(f"{WEBHOOK}/orchestrators/greet_if_allowed/mine", content=b'"Ada"')
    host.post(f"{WEBHOOK}/instances/mine/raiseEvent/allowed", {})
    assert host.completed("mine") == "Hello Ada!"

    queries = re.findall(r'"(select .*?)"', page)
    assert len(queries) == 2
    database = host.app / ".perdure" / "TestHubName.db"
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        instances, events = (store.execute(query).fetchall() for query in queries)
    assert ("mine", "greet_if_allowed", "Completed") in {row[:3] for row in instances}
    assert "EventRaised" in {event for _, event, *_ in events}
