"""Which dialect an app gets, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.host.app_loading import LoadedApp
from perdure.host.logs.log import HostLog, Record
from perdure.host.protocol.messages import AppIndexed
from perdure.host.settings import dialect
from perdure.host.settings.config import Flags, load_config
from perdure.host.settings.dialect import decide_dialect, installed_version


@pytest.fixture
def nothing_installed(monkeypatch) -> None:
    monkeypatch.setattr(dialect, "installed_version", lambda: None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("azure-functions-durable", 1),
        ("azure-functions-durable==1.7.0", 1),
        ("azure-functions-durable>=1.2,<2", 1),
        ("azure-functions-durable==2.0.0b2", 2),
        ("azure_functions_durable>=2", 2),
        ("Azure.Functions.Durable ~= 2.1 ; python_version > '3.8'", 2),
        ("azure-functions-durable[x]>=2.0.0b1  # new", 2),
        ("azure-functions-durable-extras>=2", 1),
        ("azure-functions>=2", 1),
    ],
)
def test_requirements(tmp_path: Path, nothing_installed, line: str, expected: int) -> None:
    (tmp_path / "requirements.txt").write_text(f"requests\n{line}\n")
    number, reason = decide_dialect("auto", str(tmp_path), None)
    assert number == expected
    assert ("requirements.txt" in reason) == (expected == 2)


def test_setting_beats_all(tmp_path: Path, nothing_installed) -> None:
    (tmp_path / "requirements.txt").write_text("azure-functions-durable>=2")
    assert decide_dialect(1, str(tmp_path), "df.RetryPolicy") == (1, "setting dialect is 1")
    assert decide_dialect("2", str(tmp_path), None)[0] == 2


def test_names_of_2_decide_last(tmp_path: Path, nothing_installed) -> None:
    assert decide_dialect(None, str(tmp_path), None) == (1, "nothing asks for 2.0")
    assert decide_dialect(None, str(tmp_path), "df.RetryPolicy") == (
        2,
        "the app uses df.RetryPolicy, which exists only in 2.0",
    )


def test_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"extensions\.perdure\.dialect is 3; expected 1, 2 or auto"):
        decide_dialect(3, str(tmp_path), None)


def test_installed_distribution(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "azure_functions_durable-2.0.0b2.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert installed_version() == 2
    assert decide_dialect("auto", str(tmp_path), None) == (2, "azure-functions-durable 2 is installed")


@pytest.mark.parametrize("verbose", [True, False])
def test_the_dialect_and_why_are_said_when_asked_for(tmp_path: Path, verbose: bool) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    config = load_config(Flags(verbose=verbose), {}, tmp_path)
    records: list[Record] = []
    indexed = AppIndexed([], [], [], "v2", 2, "the app uses X, which exists only in 2.0", "3.12", "", 1, 1)
    LoadedApp(indexed, config).tell(HostLog.of(config, records.append))
    said = [record.text for record in records]
    assert said == (["SDK dialect 2: the app uses X, which exists only in 2.0."] if verbose else [])
