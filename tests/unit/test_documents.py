"""What documents name in the code is there: the stops of the walk, the tests of the invariants."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WALK = (ROOT / "docs" / "one-activity-call.md").read_text("utf-8")
PROMISES = (ROOT / "docs" / "invariants.md").read_text("utf-8")


def defined_in(file: Path) -> set[str]:
    """Functions, classes and `Class.method` of a module."""
    tree = ast.parse(file.read_text("utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            inner = (part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)))
            names.update(f"{node.name}.{name}" for name in inner)
    return names


def test_every_stop_of_the_walk_exists() -> None:
    stops = re.findall(r"`([\w/]+\.py)` `([\w.]+)`(?: or `([\w.]+)`)?", WALK)
    six = re.findall(r"^\| \d \| `([\w/]+\.py)`", WALK, re.MULTILINE)
    assert len(six) == 6
    lines = {file: len((ROOT / "src" / "perdure" / file).read_text("utf-8").splitlines()) for file in six}
    assert all(count < 400 for count in lines.values()), f"the six are meant to be short: {lines}"
    assert len(stops) >= 10
    for file, *names in stops:
        known = defined_in(ROOT / "src" / "perdure" / file)
        assert all(name in known for name in names if name), (file, names)
    everything = set().union(*(defined_in(file) for file in (ROOT / "src" / "perdure").rglob("*.py")))
    for name in re.findall(r"`(\w+\.\w+)`", WALK):
        assert name.endswith(".py") or name in everything, name


def test_every_invariant_has_tests_that_exist() -> None:
    contract = ROOT / "src" / "perdure" / "testing" / "contract"
    sources = [file.read_text("utf-8") for file in [*(ROOT / "tests").rglob("test_*.py"), *contract.glob("*.py")]]
    written = set(re.findall(r"def (test_\w+)\(", "\n".join(sources)))
    rows = re.findall(r"^\| (\d+) \|.*\| (.+) \|$", PROMISES, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 14))
    for number, tests in rows:
        named = set(re.findall(r"`(test_\w+)`", tests))
        assert named <= written, (number, named - written)
        assert named or "test_clear_errors.py" in tests, number
