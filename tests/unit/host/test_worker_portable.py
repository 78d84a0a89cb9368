"""POSIX-only calls live in one module."""

from __future__ import annotations

import ast
from pathlib import Path

import perdure

SOURCE = Path(perdure.__file__).parent
MODULES = {"fcntl", "termios", "pwd", "grp", "resource", "pty", "msvcrt"}
CALLS = {
    "killpg",
    "add_signal_handler",
    "remove_signal_handler",
    "fork",
    "forkpty",
    "setsid",
    "setpgid",
    "getpgid",
    "chmod",
    "fchmod",
    "chown",
    "umask",
    "waitpid",
    "waitid",
    "wait4",
    "getuid",
    "geteuid",
    "mkfifo",
    "prctl",
}
KEYWORDS = {"preexec_fn", "start_new_session", "pass_fds"}


def offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {name.name}" for name in node.names if name.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found.append(f"{node.lineno}: from {node.module} import")
        elif isinstance(node, ast.Attribute) and node.attr in CALLS:
            found.append(f"{node.lineno}: {node.attr}")
        elif isinstance(node, ast.keyword) and node.arg in KEYWORDS:
            found.append(f"{node.lineno}: {node.arg}=")
    return found


def test_only_one_module_differs_between_systems() -> None:
    wrong = {
        str(path.relative_to(SOURCE)): found
        for path in SOURCE.rglob("*.py")
        if path != SOURCE / "portable.py" and (found := offences(ast.parse(path.read_text("utf-8"))))
    }
    assert wrong == {}


def test_the_check_sees_what_it_looks_for() -> None:
    text = "import fcntl\nos.killpg(1, 2)\nPopen(start_new_session=True)\nloop.add_signal_handler(1, f)"
    assert len(offences(ast.parse(text))) == 4


def test_every_difference_has_a_windows_branch() -> None:
    tree = ast.parse((SOURCE / "portable.py").read_text("utf-8"))
    for function in [node for node in tree.body if isinstance(node, ast.FunctionDef)]:
        text = ast.unparse(function)
        if offences(function):
            assert "win32" in text or "linux" in text, function.name
