"""Values that a flag cannot have: exit code 2, and a text that names the flag, the value and what was expected."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perdure.cli.main import main

START = "perdure start: argument -t/--timeout: "
SECONDS = "is not a number of seconds above 0. 'perdure start --help' lists the flags."


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("start --timeout nan", f"{START}'nan' {SECONDS}"),
        ("start --timeout -1", f"{START}'-1' {SECONDS}"),
        ("start --timeout inf", f"{START}'inf' {SECONDS}"),
        ("start --timeout soon", f"{START}'soon' {SECONDS}"),
        ("start --port 70000", "Invalid --port value '70000'. Expected a port number from 0 to 65535."),
        ("start --address here", "Invalid --address value 'here'. Expected an IP address, for example"),
        ("start --user-log-level Loud", "Invalid --user-log-level value 'Loud'. Expected one of Trace,"),
        ("durable get-instances --top abc", "Invalid value for '--top': 'abc' is not a whole number from 1 on."),
        ("durable list-entities --top 0", "Invalid value for '--top': '0' is not a whole number from 1 on."),
        ("durable audit --top 1001", "Invalid value for '--top': '1001' is not a whole number from 1 to 1000."),
        ("durable wait x --timeout nan", "Invalid value for '--timeout': 'nan' is not a number of seconds, 0 or more."),
        ("logs --tail -3", "Invalid value for '--tail' / '-n': '-3' is not a whole number from 0 on."),
    ],
)
def test_a_value_that_cannot_be_is_wrong_usage(
    words: str, text: str, app: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 2
    said = re.sub(r"[│\s]+", " ", capsys.readouterr().err)
    assert text in said
    assert [file.name for file in app.iterdir()] == ["host.json"]


def test_the_same_mistake_in_a_file_is_no_wrong_usage(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (app / "local.settings.json").write_text('{"IsEncrypted": false, "Host": {"LocalHttpPort": 70000}}')
    assert main(["start"]) == 1
    assert "Invalid local.settings.json: Host.LocalHttpPort value '70000'." in capsys.readouterr().err
