"""The log of a hub in a rotated file: one JSON object on each line, what `perdure logs` reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import Struct

from perdure.host.logs.log import Record

#: bytes of one file, and how many older ones are kept
LARGEST, KEPT = 10_000_000, 5


class Entry(Struct, frozen=True, omit_defaults=True):
    """One line of the file. `time` in microseconds since 1970, `level` as in Python's logging."""

    time: int
    level: int
    category: str
    message: str
    function: str = ""
    invocation: str = ""
    instance: str = ""
    process: int = 0


_encoder = msgspec.json.Encoder()


def log_path(script_root: str | Path, hub_name: str) -> Path:
    """Where the log of a hub is."""
    return Path(script_root) / ".perdure" / "logs" / f"{hub_name}.log"


class LogFile:
    """Appends records; used on one thread. Several hosts may write the same file."""

    def __init__(self, path: Path, largest: int = LARGEST, kept: int = KEPT) -> None:
        """Raises OSError when the file cannot be made."""
        self.path = path
        self._largest, self._kept = largest, kept
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, records: Iterable[Record]) -> None:
        """Append records; a disk that takes nothing loses them, and the host goes on."""
        data = bytearray()
        for record in records:
            entry = Entry(
                record.time,
                record.level,
                record.category,
                record.text,
                record.function,
                record.invocation,
                record.instance_id,
                record.process or os.getpid(),
            )
            data += _encoder.encode(entry)
            data += b"\n"
        if not data:
            return
        try:
            self._make_room()
            os.write(self._descriptor, data)
        except (OSError, ValueError):
            return

    def _make_room(self) -> None:
        """Begin a new file when this one is full, or when another host has begun one."""
        own = os.fstat(self._descriptor)
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            there = None
        if there is not None and os.path.samestat(own, there):
            if own.st_size < self._largest:
                return
            self._rotate()
        os.close(self._descriptor)
        self._descriptor = self._open()

    def _rotate(self) -> None:
        for number in range(self._kept - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(older(self.path, number), older(self.path, number + 1))
        os.replace(self.path, older(self.path, 1))

    def close(self) -> None:
        """Write no more."""
        os.close(self._descriptor)


def older(path: Path, number: int) -> Path:
    """The file before: `hub.log.1`, then `hub.log.2`."""
    return path.with_name(f"{path.name}.{number}")
