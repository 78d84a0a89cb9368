"""Runs tests under every supported interpreter on this machine but the one that runs this script.

    pythons.py [PYTEST ARGUMENT...]

Interpreters are those on PATH (python3.N) and under pyenv. Each gets an environment `.venv-3.N` beside `.venv`, kept
for the next run. Ends with 0 when the tests passed under all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MINORS = (10, 11, 12, 13, 14)


def interpreter(minor: int) -> str | None:
    """The path of Python 3.`minor`, if there is one that starts."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(path) for path in sorted(versions.glob(f"3.{minor}.*/bin/python"), reverse=True)]
    if on_path := shutil.which(f"python3.{minor}"):
        found.append(on_path)
    for path in found:  # the shims of pyenv exist for versions that are not active, too
        asked = subprocess.run(
            [path, "-c", "import sys, venv, sqlite3; print(*sys.version_info[:2])"], capture_output=True, text=True
        )
        if asked.returncode == 0 and asked.stdout.split() == ["3", str(minor)]:
            return path
    return None


def environment(minor: int, python: str) -> Path:
    """The environment for 3.`minor` with the project in it, brought up to date when pyproject.toml has changed."""
    home = ROOT / f".venv-3.{minor}"
    mark = home / "ready"
    if not mark.exists() or mark.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        subprocess.run([python, "-m", "venv", home], check=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", f"{ROOT}[dev]"], check=True)
        mark.touch()
    return home / "bin" / "python"


def main(arguments: list[str]) -> int:
    failed: list[str] = []
    for minor in MINORS:
        if minor == sys.version_info[1]:
            continue
        python = interpreter(minor)
        if python is None:
            print(f"Python 3.{minor}: not on this machine", flush=True)
            continue
        print(f"Python 3.{minor}: {python}", flush=True)
        tests = [environment(minor, python), "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *arguments]
        if subprocess.run(tests, cwd=ROOT).returncode != 0:
            failed.append(f"3.{minor}")
    if failed:
        print(f"failed under Python {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
