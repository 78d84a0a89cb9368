"""One worker process as the host sees it: start, messages, what it is running, its end."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import IO, Any

from msgspec import Struct

from perdure import portable
from perdure.host.protocol.begun import BegunSlots, invocation_number
from perdure.host.protocol.messages import AppIndexed, Heartbeat, Ping, StartWorker, StopWorker, WorkerMessage
from perdure.host.protocol.worker_settings import WorkerSettings
from perdure.host.supervision.channel import HostChannel
from perdure.host.supervision.runs import Run

_MODULE = "perdure.host.worker.process"
_LAST_WORDS = 40
#: seconds between the end of the process and the end of its channel, which a child of it may keep open
_CHANNEL_LINGER = 0.3


class SupervisorOptions(Struct, frozen=True):
    """How workers are started and watched. Times in seconds.

    `interpreter` "": the one that runs this host; `arguments` go before `-m` (such as those of debugpy).
    `environment` None: this process's own. `function_timeout` 0: none. `heartbeat_limit` 0: no hang detection.
    `under_debugger`: `arguments` start a debugger, which has one port, so only one worker at a time can.
    """

    script_root: str
    processes: int = 1
    interpreter: str = ""
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] | None = None
    functions: tuple[str, ...] = ()
    threads: int = 0
    settings: WorkerSettings = WorkerSettings()
    function_timeout: float = 1800.0
    max_activities: int = 10 * (os.cpu_count() or 1)
    shutdown_grace: float = 10.0
    heartbeat_limit: float = 60.0
    under_debugger: bool = False


class WorkerLink:
    """A worker process. All methods are called on the loop's thread.

    `on_messages` gets the messages of each frame, `on_line` what the process writes past its channel, `on_end` is
    called once, after all its messages, when the process is gone.
    """

    def __init__(
        self,
        name: str,
        options: SupervisorOptions,
        on_messages: Callable[[WorkerLink, list[WorkerMessage]], None],
        on_line: Callable[[WorkerLink, str], None],
        on_end: Callable[[WorkerLink], None],
    ) -> None:
        self.name = name
        self.options = options
        self.loop = asyncio.get_running_loop()
        self.channel = HostChannel(lambda messages: on_messages(self, messages), self._channel_closed)
        self.inflight: dict[str, Run] = {}
        #: how many of these need a thread of the pool
        self._threads_taken = 0
        self.app: AppIndexed | None = None
        self.threads = 1
        #: given nothing new any more
        self.retired = False
        #: asked to stop, or killed by the host: its end is nobody's fault
        self.dismissed = False
        self.exit_code: int | None = None
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self.started = self.loop.time()
        self.heard = self.started
        self.heartbeat = Heartbeat()
        self._pings: deque[Callable[[float], None]] = deque()
        self.gone = asyncio.Event()
        self._begun = BegunSlots()
        self._on_line = on_line
        self._on_end = on_end
        self._process: subprocess.Popen[bytes] | None = None
        self._open_parts = 2

    async def start(self) -> None:
        """Start the process and tell it what to load. Raises OSError when the interpreter cannot be started."""
        options = self.options
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 512 * 1024)
        command = [options.interpreter or sys.executable, *options.arguments, "-m", _MODULE]
        environment = dict(os.environ if options.environment is None else options.environment)
        environment["AzureWebJobsScriptRoot"] = options.script_root
        if search := environment.get("PYTHONPATH"):
            environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in search.split(os.pathsep))
        try:
            # the folder a process starts in is on its module path: the root holds no modules that shadow others
            process = portable.spawn_with_channel(command, theirs, env=environment, cwd=os.path.abspath(os.sep))
        except OSError:
            ours.close()
            self._begun.close()
            raise
        finally:
            theirs.close()
        self._process = process
        assert process.stderr is not None
        reader = threading.Thread(
            target=self._read_last_words, args=(process.stderr,), name=f"{self.name}-stderr", daemon=True
        )
        reader.start()
        threading.Thread(target=self._wait, args=(process, reader), name=f"{self.name}-wait", daemon=True).start()
        await self.channel.open(ours)
        settings = {**options.settings.to_message(), "begun_file": self._begun.path}
        self.channel.send(StartWorker(options.script_root, self.name, options.threads, settings, options.functions))

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def is_ready(self) -> bool:
        """Whether it can be given work."""
        return self.app is not None and not self.retired and self.exit_code is None

    def give(self, run: Run) -> None:
        """Hand over one invocation."""
        run.sent = self.loop.time()
        self.inflight[run.invocation] = run
        self._threads_taken += run.needs_thread
        self.channel.send(run.begin)

    def ping(self, answered: Callable[[float], None]) -> None:
        """Ask for the CPU seconds that the process has used so far; it answers over the channel."""
        self._pings.append(answered)
        self.channel.send(Ping())

    def pong(self, cpu: float) -> None:
        """It answered."""
        self._pings.popleft()(cpu)

    def take(self, invocation: str) -> Run | None:
        """What it runs no longer, None when it did not run that."""
        run = self.inflight.pop(invocation, None)
        if run is not None:
            self._threads_taken -= run.needs_thread
        return run

    def take_all(self) -> list[Run]:
        """All that it ran."""
        runs = list(self.inflight.values())
        self.inflight.clear()
        self._threads_taken = 0
        return runs

    @property
    def free_threads(self) -> int:
        """Threads of the pool that nothing runs on or waits for; below 0: so many runs wait for one."""
        return self.threads - self._threads_taken

    def has_begun(self, run: Run) -> bool:
        """Whether user code of `run` has begun, as far as is known after the end of the process, too."""
        return run.is_async or invocation_number(run.invocation) in self._begun.running()

    def begun(self) -> list[Run]:
        """The invocations that user code has begun and not ended."""
        numbers = self._begun.running()
        return [run for run in self.inflight.values() if run.is_async or invocation_number(run.invocation) in numbers]

    def stranded(self, before: float) -> list[Run]:
        """Runs handed over until then that have found no thread yet."""
        begun = {id(run) for run in self.begun()}
        return [
            run for run in self.inflight.values() if run.needs_thread and run.sent <= before and id(run) not in begun
        ]

    def overdue(self, limit: float) -> list[Run]:
        """Runs of user code that were handed over until `limit`. The time of those that wait for a thread begins
        anew."""
        late = list(itertools.takewhile(lambda run: run.sent <= limit, self.inflight.values()))
        if not late:
            return []
        begun = {id(run) for run in self.begun()}
        for run in late:
            if id(run) not in begun:
                self.inflight[run.invocation] = self.inflight.pop(run.invocation)
                run.sent = self.loop.time()
        return [run for run in late if id(run) in begun]

    def stop(self, grace: float) -> None:
        """Let what runs end within `grace` seconds, take nothing new, then end."""
        self.retired = self.dismissed = True
        self.channel.send(StopWorker(grace))
        self.loop.call_later(grace + 1.5, self._kill_process)

    def kill(self) -> None:
        """End it at once; this end is the host's doing."""
        self.retired = self.dismissed = True
        self._kill_process()

    def kill_as_hung(self) -> None:
        """End it at once; this end counts as a death of the worker."""
        self.retired = True
        self._kill_process()

    def describe_end(self) -> str:
        """How the process ended, for people."""
        text = portable.describe_exit(self.exit_code if self.exit_code is not None else 0)
        return f"worker {self.name} (process {self.pid}) ended with {text}"

    def _kill_process(self) -> None:
        if self._process is not None and self.exit_code is None:
            portable.kill_tree(self._process.pid)

    def _wait(self, process: subprocess.Popen[bytes], reader: threading.Thread) -> None:
        code = process.wait()
        reader.join(_CHANNEL_LINGER)
        self._call_loop(self._process_ended, code)

    def _read_last_words(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._call_loop(self._line, line.decode("utf-8", "backslashreplace").rstrip())

    def _call_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return  # the host's loop is closed: nobody is left to be told

    def _line(self, line: str) -> None:
        self.last_words.append(line)
        self._on_line(self, line)

    def _process_ended(self, code: int) -> None:
        self.exit_code = code
        # what is left of its process group would keep its channel and its output open
        portable.kill_tree(self.pid)
        self.loop.call_later(_CHANNEL_LINGER, self.channel.close)
        self._part_ended()

    def _channel_closed(self) -> None:
        if self.exit_code is None:
            # a worker that lost its channel ends by itself; one that closed it is made to
            self.loop.call_later(1.0, self._kill_process)
        self._part_ended()

    def _part_ended(self) -> None:
        self._open_parts -= 1
        if self._open_parts == 0:
            self._on_end(self)
            self._begun.close()
            self.gone.set()
