"""`perdure settings list | add | delete`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perdure.cli.main import main


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_add_list_delete(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["settings", "add", "Name", "secret"]) == 0
    assert main(["settings", "add", "Db", "text", "--connectionString"]) == 0
    assert json.loads((folder / "local.settings.json").read_text()) == {
        "IsEncrypted": False,
        "Values": {"Name": "secret"},
        "ConnectionStrings": {"Db": "text"},
    }
    capsys.readouterr()
    assert main(["settings", "list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "App Settings:",
        "   -> Name: Name",
        "      Value: *****",
        "",
        "Connection Strings:",
        "   -> Name: Db",
        "      Value: *****",
        "",
    ]
    assert main(["settings", "list", "--showValue"]) == 0
    assert "      Value: secret" in capsys.readouterr().out
    assert main(["settings", "delete", "Name"]) == 0
    assert main(["settings", "remove", "Name"]) == 1
    assert "local.settings.json has no setting 'Name'." in capsys.readouterr().err


def test_encrypted_file_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = '{"Values": {"A": "CfDJ8"}}'
    (folder / "local.settings.json").write_text(text)
    assert main(["settings", "add", "B", "x"]) == 1
    assert "is encrypted" in capsys.readouterr().err
    assert (folder / "local.settings.json").read_text() == text
