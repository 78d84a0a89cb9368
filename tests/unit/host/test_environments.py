"""Virtual environments that functions do not run in are named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from perdure.host.settings.environments import environment_of, other_environment


def environment(folder: Path) -> Path:
    """A folder that looks like a virtual environment, its interpreter a link as `venv` makes it."""
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (folder / "bin" / "python").symlink_to(sys.executable)
    return folder


def test_where_functions_run(tmp_path: Path) -> None:
    assert environment_of(None) == environment_of("") == sys.prefix
    own = environment(tmp_path / "env")
    assert environment_of(str(own / "bin" / "python")) == str(own)
    plain = tmp_path / "opt" / "bin"
    plain.mkdir(parents=True)
    (plain / "python").write_text("")
    (plain / "python").chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(plain / "python")
    assert environment_of(str(link)) == os.path.realpath(tmp_path / "opt")


def test_another_environment_in_the_app(tmp_path: Path) -> None:
    own = environment(tmp_path / ".venv")
    text = other_environment(str(tmp_path), None, {"VIRTUAL_ENV": sys.prefix})
    assert text == (
        f"Functions run in {sys.prefix}, but the app has an environment of its own, {own}: what is installed there is "
        f"not found. Install perdure there with '{own}/bin/python -m pip install perdure' and start "
        f"{own}/bin/perdure, or set languageWorkers__python__defaultExecutablePath to {own}/bin/python."
    )
    assert other_environment(str(tmp_path), str(own / "bin" / "python"), {}) is None


def test_another_environment_is_active(tmp_path: Path) -> None:
    active = environment(tmp_path / "active")
    text = other_environment(str(tmp_path), None, {"VIRTUAL_ENV": str(active)})
    assert text is not None
    assert text.startswith(f"Functions run in {sys.prefix}, but the active environment is {active}: ")


@pytest.mark.parametrize("variables", [{}, {"VIRTUAL_ENV": ""}, {"VIRTUAL_ENV": sys.prefix}, {"VIRTUAL_ENV": "/gone"}])
def test_nothing_to_say(tmp_path: Path, variables: dict[str, str]) -> None:
    (tmp_path / ".venv").mkdir()
    assert other_environment(str(tmp_path), None, variables) is None
