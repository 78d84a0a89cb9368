"""Everything that differs between operating systems, one function each. No other module calls POSIX-only functions.

A leaf: it imports nothing of perdure, so every layer may use it. `tests/unit/host/test_worker_portable.py` keeps it
the only place.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

WINDOWS = sys.platform == "win32"


def spawn_with_channel(
    command: Sequence[str], channel: socket.socket, *, env: dict[str, str], cwd: str
) -> subprocess.Popen[bytes]:
    """Start `command` in a process group of its own, with `channel` handed over.

    The child gets one more argument and passes it to `open_channel`. Its standard error is a pipe.
    Raises OSError when it cannot be started.
    """
    if sys.platform == "win32":
        child = subprocess.Popen(
            [*command, "stdin"],
            env=env,
            cwd=cwd,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
        shared = channel.share(child.pid)
        assert child.stdin is not None
        child.stdin.write(len(shared).to_bytes(4, "little") + shared)
        child.stdin.close()
        return child
    number = channel.fileno()
    return subprocess.Popen(
        [*command, str(number)],
        env=env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[number],
        start_new_session=True,
    )


def open_channel(argument: str) -> socket.socket:
    """The channel that `spawn_with_channel` handed to this process."""
    if sys.platform == "win32":
        size = int.from_bytes(sys.stdin.buffer.read(4), "little")
        return socket.fromshare(sys.stdin.buffer.read(size))
    channel = socket.socket(fileno=int(argument))
    channel.set_inheritable(False)
    return channel


def kill_tree(pid: int) -> None:
    """End a process that `spawn_with_channel` started, and what is left of its group, at once. Gone is fine."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def die_with_parent() -> None:
    """Ask the kernel to end this process when the one that started it is gone, where the kernel can (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes

    set_death_signal = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(set_death_signal, signal.SIGKILL, 0, 0, 0)


def describe_exit(code: int) -> str:
    """An exit code for people: `exit code 3`, `signal 11 (SIGSEGV)`."""
    if code >= 0 or sys.platform == "win32":
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def on_stop_signals(loop: Any, call: Callable[[], None]) -> None:
    """Call `call` on `loop`, an asyncio event loop, at each Ctrl-C and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(call))
        else:
            loop.add_signal_handler(number, call)


def try_lock(descriptor: int) -> bool:
    """Take the exclusive lock on an open file; the kernel frees it when the file is closed or the process ends.

    False when somebody else holds it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock(descriptor: int) -> None:
    """Give back what `try_lock` took."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


def private_file(path: str) -> None:
    """Only the owner may read and write `path`, where files have modes."""
    if sys.platform != "win32":
        os.chmod(path, 0o600)


def open_files_limit() -> int | None:
    """How many files this process may have open; None where nothing limits that."""
    if sys.platform == "win32":
        return None
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
