"""Which changes restart the workers."""

from __future__ import annotations

import pytest

from perdure.host.reload_rules import reload_rules, restarts_workers


def restarts(path: str, *, environments: tuple[str, ...] = (), **settings: object) -> bool:
    return restarts_workers(reload_rules(**settings), path, lambda folder: folder in environments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    ["function_app.py", "a/b/c.py", "host.json", "Tick/function.json", "func01/__init__.py", ".python_packages/x.py"],
)
def test_sources_and_definitions_restart(path: str) -> None:
    assert restarts(path)


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "local.settings.json",
        "data.json",
        "function_app.pyc",
        "function_app.py~",
        ".function_app.py.swp",
        ".#function_app.py",
        "__pycache__/function_app.cpython-311.pyc",
        "a/__pycache__/x.py",
        ".perdure/TestHubName.db-wal",
        ".perdure/x.py",
        ".git/hooks/x.py",
        ".venv/lib/x.py",
        "venv/lib/x.py",
        "myenv/lib/python3.11/site-packages/x.py",
        "apps/other/lib/x.py",
    ],
)
def test_everything_else_does_not(path: str) -> None:
    assert not restarts(path, environments=("myenv", "apps/other"))


def test_watch_directories_and_files() -> None:
    assert restarts("templates/mail.html", watch_directories=["templates"])
    assert restarts("templates/deep/mail.html", watch_directories=["./templates/"])
    assert restarts("a\\b".replace("\\", "/") + "/x.txt", watch_directories=["a\\b"])
    assert not restarts("templates2/mail.html", watch_directories=["templates"])
    assert not restarts("mail.html", watch_directories=["templates"])
    assert restarts("settings.yaml", watch_files=["settings.yaml"])
    assert restarts("deep/settings.yaml", watch_files=["settings.yaml"])
    assert restarts("deep/settings.yaml", watch_files=["deep/settings.yaml"])
    assert not restarts("settings.yaml", watch_files=["deep/settings.yaml"])
    assert not restarts(".venv/mail.html", watch_directories=[".venv"])


@pytest.mark.parametrize(
    ("funcignore", "path", "ignored"),
    [
        ("tests", "tests/x.py", True),
        ("tests", "a/tests/x.py", True),
        ("tests/", "tests/x.py", True),
        ("tests/", "tests.py", False),
        ("/tests", "a/tests/x.py", False),
        ("/tests", "tests/x.py", True),
        ("a/tests", "a/tests/x.py", True),
        ("a/tests", "b/a/tests/x.py", False),
        ("*_test.py", "a/b_test.py", True),
        ("*_test.py", "a/b.py", False),
        ("test?.py", "test1.py", True),
        ("test?.py", "test/.py", False),
        ("test[0-9].py", "test1.py", True),
        ("test[!0-9].py", "test1.py", False),
        ("**/gen/*.py", "a/b/gen/x.py", True),
        ("**/gen/*.py", "gen/x.py", True),
        ("a/**/x.py", "a/b/c/x.py", True),
        ("a/**/x.py", "a/x.py", True),
        ("a/**", "a/b/x.py", True),
        ("*.py\n!keep.py", "keep.py", False),
        ("*.py\n!keep.py", "other.py", True),
        ("a/\n!a/keep.py", "a/keep.py", True),
        ("# x.py\n\n   \nb.py", "x.py", False),
        ("\\#x.py", "#x.py", True),
        ("\\!x.py", "!x.py", True),
        (".git*\n.vscode\nlocal.settings.json\ntest\n.venv\n", "function_app.py", False),
        ("/", "x.py", False),
        ("x.py   ", "x.py", True),
        ("[x.py", "[x.py", True),
    ],
)
def test_funcignore(funcignore: str, path: str, ignored: bool) -> None:
    assert restarts(path, funcignore=funcignore) is not ignored
