"""Which invocations user code had begun when a worker died: a few bytes that both processes map.

Each thread that runs user code owns one slot and writes the number of its invocation there, 0 when it is idle. A
write costs no system call and outlives the process, so blame is exact: what only waited in a queue is no suspect.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile

_SLOT = struct.Struct("<Q")
SLOTS = 512


class BegunSlots:
    """The slots of one worker. The host creates them, the worker opens them by `path`."""

    def __init__(self, path: str | None = None) -> None:
        size = SLOTS * _SLOT.size
        if path is None:
            number, path = tempfile.mkstemp(prefix="perdure-begun-")
            os.write(number, bytes(size))
        else:
            number = os.open(path, os.O_RDWR)
        self.path = path
        try:
            self._map = mmap.mmap(number, size)
        finally:
            os.close(number)

    def mark(self, slot: int, number: int) -> None:
        """The thread of `slot` runs invocation `number` now; 0: none."""
        _SLOT.pack_into(self._map, slot % SLOTS * _SLOT.size, number)

    def running(self) -> set[int]:
        """Numbers of the invocations that were begun and did not end."""
        return {number for (number,) in _SLOT.iter_unpack(self._map[:]) if number}

    def remove(self) -> None:
        """Forget the file; both mappings stay usable (where the system allows it)."""
        with contextlib.suppress(OSError):
            os.unlink(self.path)

    def close(self) -> None:
        self._map.close()
        self.remove()


def invocation_number(invocation: str) -> int:
    """The number in the last twelve digits of an invocation id, a GUID."""
    return int(invocation[24:], 16)


class InvocationIds:
    """Makes invocation ids: GUIDs whose last twelve digits count, from 1."""

    def __init__(self, prefix: bytes) -> None:
        digits = prefix.hex()
        self._prefix = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-"
        self._last = 0

    def next(self) -> str:
        self._last += 1
        return f"{self._prefix}{self._last:012x}"
