"""What the host learns of the app from its workers, at the start and after each reload."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from perdure.host.composition import supervisor_options
from perdure.host.errors import StartError
from perdure.host.functions.function_list import FunctionList, in_error, list_functions, trigger_name
from perdure.host.logs.log import ERROR, INFORMATION, WARNING, HostLog
from perdure.host.protocol.messages import AppIndexed
from perdure.host.settings.config import HostConfig, load_config
from perdure.host.supervision.supervisor import Supervisor, WorkerStartError

if TYPE_CHECKING:
    from perdure.host.reload import ReloadWatch

_LEVELS = {"Information": INFORMATION, "Warning": WARNING, "Error": ERROR}
_GOES_ON = "The app goes on as it was; the next change that loads takes over."


class LoadedApp:
    """An app that loads: its functions, and what is wrong with some of them."""

    def __init__(self, app: AppIndexed, config: HostConfig) -> None:
        """Raises `StartError` with the user's own text when the app cannot run."""
        fatal = [error.text for error in app.errors if error.fatal]
        if fatal:
            raise StartError("\n".join(fatal))
        self.config = config
        self.fingerprint = app.fingerprint
        self.functions: FunctionList = list_functions(app.functions, config)
        self.errors = [error.text for error in app.errors]
        self.dialect = app.dialect
        self._why = f"SDK dialect {app.dialect}: {app.dialect_reason}."
        self.errors += [in_error(function, text) for function, text in self.functions.mistakes.items()]
        self.warnings = list(app.warnings)
        silent = ", ".join(f"{f.name} ({trigger_name(f)})" for f in self.functions.not_fired())
        if silent:
            self.warnings.append(f"Not fired here, only by hand with POST /admin/functions/NAME: {silent}.")

    def tell(self, log: HostLog) -> None:
        """Log what is wrong, and with `--verbose` which dialect the app has and why."""
        tell_notes(self.config, log)
        if self.config.flags.verbose:
            log.write("perdure", INFORMATION, self._why)
        for text in self.errors:
            log.write("perdure", ERROR, text)
        for text in self.warnings:
            log.write("perdure", WARNING, text)


def tell_notes(config: HostConfig, log: HostLog) -> None:
    """Log what the configuration has to say."""
    for level, text in config.notes:
        log.write("perdure", _LEVELS[level], text)


class AppReload:
    """Watches the app's files; a change starts new workers, and `take` gets the app that they load."""

    def __init__(
        self,
        config: HostConfig,
        code: str,
        supervisor: Supervisor,
        log: HostLog,
        take: Callable[[LoadedApp], None],
    ) -> None:
        self._config = config
        self._code = code
        self._supervisor = supervisor
        self._log = log
        self._take = take
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._names: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._watch: ReloadWatch | None = None

    async def start(self) -> None:
        """Begin to watch."""
        # not on the loop: the import takes tens of milliseconds
        self._watch = await self._loop.run_in_executor(None, self._new_watch)
        self._watch.start()
        self._task = asyncio.ensure_future(self._reload_on_change())

    async def stop(self) -> None:
        """Watch no longer; a reload under way is given up."""
        if self._task is None or self._watch is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._loop.run_in_executor(None, self._watch.stop)

    def _new_watch(self) -> ReloadWatch:
        from perdure.host.reload import ReloadWatch, read_funcignore
        from perdure.host.reload_rules import reload_rules

        root = self._config.script_root
        return ReloadWatch(
            root,
            lambda: reload_rules(self._config.watch_directories, self._config.watch_files, read_funcignore(root)),
            lambda names: self._post(self._note, names),
            lambda text: self._post(self._log.write, "perdure", WARNING, text),
        )

    def _post(self, call: Callable[..., None], *arguments: Any) -> None:
        """From the watching thread to the loop, which may be gone."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _note(self, names: list[str]) -> None:
        self._names.update(names)
        self._changed.set()

    async def _reload_on_change(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            names, self._names = sorted(self._names), set()
            shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            self._log.write("perdure", INFORMATION, f"Changed: {shown}. Loading the app anew.")
            try:
                await self._reload()
            except (StartError, WorkerStartError) as error:
                self._log.write("perdure", ERROR, f"{error}\n{_GOES_ON}")

    async def _reload(self) -> None:
        config = self._fresh_config()
        options = supervisor_options(config, dict(os.environ), self._code)
        loaded = LoadedApp(await self._supervisor.reload(options), config)
        self._config = config
        self._take(loaded)

    def _fresh_config(self) -> HostConfig:
        """What host.json says now; where the host listens and keeps state stays as it was."""
        old = self._config
        new = load_config(old.flags, os.environ, Path(old.script_root)).on_port(old.port)
        if (new.hub_name, new.store) != (old.hub_name, old.store):
            note = ("Warning", "The hub name and the store take effect when the host is started again.")
            new = structs.replace(new, notes=(*new.notes, note))
        return structs.replace(
            new, script_root=old.script_root, store=old.store, hub_name=old.hub_name, address=old.address
        )
