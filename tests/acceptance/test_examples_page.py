"""What examples/README.md says to send starts the example."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.conftest import NewHost
from tests.acceptance.host import EXAMPLES

ROW = re.compile(r"^\| `(\w+)` \|.*\| `(GET|POST) (/\S+)`(?: `(.+)`)? \|$", re.MULTILINE)
ROWS = ROW.findall((EXAMPLES / "README.md").read_text("utf-8"))
#: those that go on until somebody ends them or answers
OPEN_ENDED = {"singleton", "eternal_v1", "human_interaction"}


def test_the_page_names_every_example() -> None:
    assert {example for example, *_ in ROWS} == {file.parent.name for file in EXAMPLES.glob("*/host.json")}


@pytest.mark.parametrize(("example", "method", "path", "body"), ROWS, ids=[row[0] for row in ROWS])
def test_started_as_the_page_says(new_host: NewHost, example: str, method: str, path: str, body: str) -> None:
    host = new_host(example).start()
    where = host.url + re.sub(r"\{\w+\}", "some", path)
    answer = host.http.request(method, where, json=json.loads(body) if body else None)
    assert answer.status_code in (200, 202), host.log()
    if "statusQueryGetUri" in answer.text and example not in OPEN_ENDED:
        host.completed(answer.json()["id"])
