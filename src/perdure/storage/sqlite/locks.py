"""File locks of the operating system: held by an open file, freed by the kernel when its process ends."""

from __future__ import annotations

import os
from pathlib import Path

from perdure import portable


class FileLock:
    """An exclusive lock on one file, which is made when missing. Two objects exclude each other, in one process too."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path) -> None:
        """Open the file. Raises OSError when that cannot be done."""
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        return portable.try_lock(self._descriptor)

    def release(self) -> None:
        """Give the lock back; the file stays open."""
        portable.unlock(self._descriptor)

    def close(self) -> None:
        """Close the file, which frees the lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class HostLocks:
    """The lock files of the hosts on one database, one for each token: `<database>.hosts/<token>.lock`."""

    def __init__(self, database: Path) -> None:
        self._folder = database.with_name(database.name + ".hosts")
        self._held: dict[int, FileLock] = {}

    def hold(self, token: int) -> None:
        """Show that the host with this token lives, until `drop` or the end of the process."""
        if token in self._held:
            return
        self._folder.mkdir(exist_ok=True)
        lock = FileLock(self._path(token))
        if not lock.try_acquire():
            lock.close()
            raise OSError(f"{lock.path} is locked by another process")
        self._held[token] = lock

    def drop(self, token: int) -> None:
        """Show that the host with this token is gone."""
        lock = self._held.pop(token, None)
        if lock is not None:
            lock.close()
            lock.path.unlink(missing_ok=True)

    def is_gone(self, token: int) -> bool:
        """Whether no process holds the lock of this token: its host has ended, or never ran on these files."""
        if token in self._held:
            return False
        path = self._path(token)
        if not path.exists():
            return True
        lock = FileLock(path)
        free = lock.try_acquire()
        lock.close()
        if free:
            path.unlink(missing_ok=True)
        return free

    def close(self) -> None:
        """Close all files without removing them, as the end of the process would."""
        for lock in self._held.values():
            lock.close()
        self._held.clear()

    def _path(self, token: int) -> Path:
        return self._folder / f"{token}.lock"
