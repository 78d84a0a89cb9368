"""Runs acceptance tests against a host whose dependencies are the oldest that pyproject.toml allows.

    lowest.py [PYTEST ARGUMENT...]

The environment `.venv-lowest`, under the interpreter that runs this script, is kept for the next run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-lowest"
TESTS = ("test_chaining_app", "test_entity_apps", "test_http_app", "test_reload", "test_metrics", "test_traces")
EXTRAS = ("metrics", "otel")
#: what came with later releases of azure-functions, and what needs another extra
LEFT_OUT = "not plain_function_app and not over_hosts and not hosts_of_one_hub"


def lowest() -> list[str]:
    """The dependencies of pyproject.toml and of extras, each with its lower bound as the version."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    blocks = [text.partition("\ndependencies = [")[2].partition("\n]")[0]]
    blocks += [text.partition(f"\n{extra} = [")[2].partition("]\n")[0] for extra in EXTRAS]
    found = re.findall(r'"([a-z-]+)>=([0-9.]+)([^"]*)"', "\n".join(blocks))
    return [f"{name}=={version}{marker}" for name, version, marker in found]


def environment() -> Path:
    """The interpreter of the environment, brought up to date when pyproject.toml has changed."""
    mark = HOME / "ready"
    if not mark.exists() or mark.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        subprocess.run([sys.executable, "-m", "venv", "--clear", HOME], check=True)
        pip = [HOME / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *lowest(), "--editable", ROOT], check=True)
        mark.touch()
    return HOME / "bin" / "python"


def main(arguments: list[str]) -> int:
    command = f"{environment()} -m perdure start"
    tests = arguments or [*(f"tests/acceptance/{name}.py" for name in TESTS), "-k", LEFT_OUT]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={**os.environ, "PERDURE_TEST_COMMAND": command},
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
