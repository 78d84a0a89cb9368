"""What the host logs: categories, levels, the lines of every function run. `console.py` writes them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from perdure.host.protocol.executions import Execution, RunKind, RunStarted
from perdure.host.protocol.messages import LogLine
from perdure.host.settings.config import HostConfig
from perdure.model.failure import FailureDetails

TRACE, DEBUG, INFORMATION, WARNING, ERROR, CRITICAL, NONE = 5, 10, 20, 30, 40, 50, 100
LEVELS = {
    "trace": TRACE,
    "debug": DEBUG,
    "information": INFORMATION,
    "warning": WARNING,
    "error": ERROR,
    "critical": CRITICAL,
    "none": NONE,
}
_SYSTEM = ("host.", "worker", "microsoft.")
_FRAMEWORK = "durabletask."
#: what workers say themselves
WORKER_CATEGORY = "Worker"
#: what user code writes outside of any function
CONSOLE_CATEGORY = "Host.Function.Console"
_ALWAYS = ("Worker process started and initialized.", "Host lock lease acquired by instance ID", "Host started (")

HOST_API = "This function was programmatically called via the host APIs."


class Record(NamedTuple):
    """One entry: `time` in microseconds since 1970, `level` as in Python's logging."""

    time: int
    level: int
    category: str
    text: str
    function: str = ""
    invocation: str = ""
    instance_id: str = ""
    process: int = 0
    thread: str = ""


class LevelFilter:
    """The lowest level of each category that is shown (cli.md 4.1)."""

    def __init__(self, levels: dict[str, str], user_level: str | None = None, verbose: bool = False) -> None:
        self._named = {name.lower(): LEVELS[level.lower()] for name, level in levels.items()}
        default = self._named.pop("default", None)
        if user_level is not None:
            self._user = LEVELS[user_level.lower()]
        else:
            self._user = INFORMATION if default is None else default
        self._system = default if default is not None else INFORMATION if verbose else WARNING
        self._known: dict[str, int] = {}

    def lowest(self, category: str) -> int:
        """Records of `category` below this level are not shown."""
        known = self._known.get(category)
        if known is None:
            known = self._known[category] = self._decide(category.lower())
        return known

    def lowest_user(self) -> int:
        """Below this no user log of any function is shown, so that workers need not send it."""
        return min([self._user, *(level for name, level in self._named.items() if name.startswith("function"))])

    def _decide(self, category: str) -> int:
        matching = [name for name in self._named if category.startswith(name)]
        if matching:
            return self._named[max(matching, key=len)]
        if category.startswith(_FRAMEWORK):
            return NONE
        is_system = category.startswith(_SYSTEM) and category != CONSOLE_CATEGORY.lower()
        return self._system if is_system else self._user


class HostLog:
    """Where every part of the host logs. Cheap when a level is not shown; `sink` takes what is."""

    def __init__(self, sink: Callable[[Record], None], levels: LevelFilter) -> None:
        self._sink = sink
        self._lowest = levels.lowest
        #: functions of whose runs only failures are shown
        self._quiet: set[str] = set()

    @classmethod
    def of(cls, config: HostConfig, sink: Callable[[Record], None]) -> HostLog:
        """The log of a configured host."""
        return cls(sink, LevelFilter(config.log_levels, config.user_log_level, config.flags.verbose))

    def take_levels(self, config: HostConfig) -> None:
        """Show what the configuration says from now on."""
        self._lowest = LevelFilter(config.log_levels, config.user_log_level, config.flags.verbose).lowest
        self._quiet.clear()

    def write(self, category: str, level: int, text: str) -> None:
        """Log one text, of one or more lines."""
        if level >= self._lowest(category) or text.startswith(_ALWAYS):
            self._sink(Record(_now(), level, category, text))

    def user(self, line: LogLine) -> None:
        """A log record or a printed line of user code, as it came from a worker."""
        if line.category == WORKER_CATEGORY:
            category = WORKER_CATEGORY
        else:
            category = f"Function.{line.function}.User" if line.function else CONSOLE_CATEGORY
        if line.level >= self._lowest(category):
            self._sink(
                Record(
                    line.time or _now(),
                    line.level,
                    category,
                    line.text,
                    line.function,
                    line.invocation,
                    line.instance_id,
                    line.process,
                    line.thread,
                )
            )

    def run(self, event: Execution) -> None:
        """A function run, or a turn, begins or ends."""
        if event.function in self._quiet and (isinstance(event, RunStarted) or not event.error):
            return
        if self._lowest(f"Function.{event.function}") > INFORMATION:
            self._quiet.add(event.function)
        if isinstance(event, RunStarted):
            by_host = event.kind in (RunKind.HTTP, RunKind.TRIGGER)
            reason = event.reason or (HOST_API if by_host else "(null)")
            self.executing(event.function, event.invocation, reason, event.details, event.instance_id)
        else:
            milliseconds = event.duration * 1000
            self.executed(event.function, event.invocation, milliseconds, event.error or None, event.instance_id)

    def executing(
        self, function: str, invocation: str, reason: str = "(null)", details: str = "", instance_id: str = ""
    ) -> None:
        """A function, or a turn of an orchestrator or entity, begins."""
        category = f"Function.{function}"
        if self._lowest(category) <= INFORMATION:
            text = f"Executing 'Functions.{function}' (Reason='{reason}', Id={invocation})"
            now = _now()
            self._sink(Record(now, INFORMATION, category, text, function, invocation, instance_id))
            if details:
                text = f"Trigger Details: {details}"
                self._sink(Record(now, INFORMATION, category, text, function, invocation, instance_id))

    def executed(
        self,
        function: str,
        invocation: str,
        milliseconds: float,
        failure: FailureDetails | str | None = None,
        instance_id: str = "",
    ) -> None:
        """What `executing` announced has ended; `failure` None is success."""
        category = f"Function.{function}"
        lowest = self._lowest(category)
        if failure is None:
            if lowest <= INFORMATION:
                text = f"Executed 'Functions.{function}' (Succeeded, Id={invocation}, Duration={milliseconds:.0f}ms)"
                self._sink(Record(_now(), INFORMATION, category, text, function, invocation, instance_id))
        elif lowest <= ERROR:
            text = (
                f"Executed 'Functions.{function}' (Failed, Id={invocation}, Duration={milliseconds:.0f}ms)\n"
                + failure_text(failure)
            )
            self._sink(Record(_now(), ERROR, category, text, function, invocation, instance_id))


def failure_text(failure: FailureDetails | str) -> str:
    """An exception as the logs show it; a text is its type and message, with what else there is to say below."""
    if isinstance(failure, str):
        return f"Result: Failure\nException: {failure}"
    lines = ["Result: Failure", f"Exception: {failure.error_type}: {failure.message}"]
    if failure.stack_trace:
        lines.append(f"Stack: {failure.stack_trace.rstrip()}")
    return "\n".join(lines)


def _now() -> int:
    return time.time_ns() // 1000
