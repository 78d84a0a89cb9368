"""What the command itself says: its list of commands, its version, what shells complete."""

from __future__ import annotations

import pytest

import perdure
from perdure.cli.main import main


def completed(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash offers after `words`."""
    monkeypatch.setenv("_PERDURE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    main([])
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("perdure do", ["doctor"]),
        ("perdure durable get-i", ["get-instances"]),
        ("perdure durable why --task", ["--task-hub-name"]),
        ("perdure start --re", ["--reload"]),
        ("perdure start --po", ["--port"]),
    ],
)
def test_shells_complete(
    words: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert completed(words, monkeypatch, capsys) == offered


def test_the_list_begins_with_what_one_needs_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    places = [out.index(f"│ {command}") for command in ("start", "init", "new", "logs", "durable")]
    assert places == sorted(places)
    assert "--version" in out


@pytest.mark.parametrize("words", [["--version"], ["-v"], ["version"], ["--version", "doctor"]])
def test_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out == f"{perdure.__version__}\n"
