"""The file watch on a real folder: one call per settled batch, only for what matters, also in new folders."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.host.reload import ReloadWatch, read_funcignore
from perdure.host.reload_rules import reload_rules


class Watched:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.batches: queue.Queue[list[str]] = queue.Queue()
        self.warnings: list[str] = []
        self.watch = ReloadWatch(
            str(root),
            lambda: reload_rules(funcignore=read_funcignore(str(root))),
            self.batches.put,
            self.warnings.append,
        )
        self.watch.start()
        assert self.watch.wait_until_watching(10)

    def write(self, path: str, text: str = "x = 1\n") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def next(self) -> list[str]:
        return self.batches.get(timeout=10)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    (tmp_path / "function_app.py").write_text("")
    (tmp_path / ".perdure").mkdir()
    (tmp_path / ".venv").mkdir()
    one = Watched(tmp_path)
    yield one
    one.watch.stop()
    assert one.warnings == []


def test_a_save_is_told_once(watched: Watched) -> None:
    for number in range(5):
        watched.write("function_app.py", f"x = {number}\n")
    assert watched.next() == ["function_app.py"]
    watched.write("function_app.py", "y = 1\n")
    assert watched.next() == ["function_app.py"]
    assert watched.batches.empty()


def test_what_does_not_matter_is_silent(watched: Watched) -> None:
    watched.write(".perdure/hub.db-wal")
    watched.write(".venv/lib.py")
    watched.write("notes.txt")
    watched.write("host.json", "{}")
    # batches come in order, so nothing was told before
    assert watched.next() == ["host.json"]


def test_new_folders_are_watched_and_what_came_with_them_counts(watched: Watched) -> None:
    watched.write("Tick/__init__.py")
    watched.write("Tick/function.json", "{}")
    told: set[str] = set()
    while told != {"Tick/__init__.py", "Tick/function.json"}:
        told.update(watched.next())
    # whether the watch stands on the new folder by now or not, a change there comes through
    watched.write("Tick/deep/er/code.py")
    told.clear()
    while "Tick/deep/er/code.py" not in told:
        told.update(watched.next())


def test_deleted_and_renamed_files_are_told(watched: Watched) -> None:
    (watched.root / "function_app.py").rename(watched.root / "other.py")
    told: set[str] = set()
    while told != {"function_app.py", "other.py"}:
        told.update(watched.next())


def test_a_new_funcignore_counts_from_the_next_change_on(watched: Watched) -> None:
    watched.write(".funcignore", "tests\n")
    watched.write("function_app.py", "z = 1\n")
    assert "function_app.py" in watched.next()
    watched.write("tests/test_x.py")
    watched.write("function_app.py", "z = 2\n")
    told = set(watched.next())
    while "function_app.py" not in told:
        told.update(watched.next())
    assert told == {"function_app.py"}


def test_stop_ends_the_thread(tmp_path: Path) -> None:
    one = Watched(tmp_path)
    one.watch.stop()
    one.write("x.py")
    assert one.batches.empty()


def test_saves_at_any_moment_of_a_reload_are_not_lost(watched: Watched) -> None:
    for number in range(4):
        watched.write(f"pack{number}/code.py")
        told: set[str] = set()
        while f"pack{number}/code.py" not in told:
            told.update(watched.next())
        watched.write(f"pack{number}/code.py", "y = 22\n")
        assert f"pack{number}/code.py" in watched.next()
