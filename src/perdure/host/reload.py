"""Watch an app's files and tell once per settled batch of changes.

Every folder that matters is watched by itself, not the tree: the hub's own files and virtual environments lie below
the same root and change all the time, or are large.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import watchfiles

from perdure.host.reload_rules import ReloadRules, restarts_workers, watches_folder

#: milliseconds without a further change after which a batch has settled, and the most that a batch may take
SETTLED = 100
LONGEST_BATCH = 1600


class ReloadWatch:
    """Watches `root` on a thread of its own until `stop()`.

    `rules` is asked again whenever something changed, since host.json and `.funcignore` are such files. `changed` gets
    the changed paths, relative and sorted, on the watching thread; `warn` a line when the system refuses to watch.
    """

    def __init__(
        self,
        root: str,
        rules: Callable[[], ReloadRules],
        changed: Callable[[list[str]], None],
        warn: Callable[[str], None],
    ) -> None:
        self._root = os.path.realpath(root)
        self._rules = rules
        self._changed = changed
        self._warn = warn
        self._polling: bool | None = None
        self._stop = threading.Event()
        self._watching = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perdure-reload", daemon=True)

    def start(self) -> None:
        """Begin to watch; returns at once."""
        self._thread.start()

    def wait_until_watching(self, timeout: float) -> bool:
        """Wait until changes from now on are noticed; whether that is so."""
        return self._watching.wait(timeout)

    def stop(self) -> None:
        """End the thread; no call of `changed` comes afterwards."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        rules = self._rules()
        folders = self._folders(rules)
        files = self._files(folders)
        while not self._stop.is_set():
            stands = False
            for batch in self._batches(folders):
                if not stands:
                    # what changed while nothing watched, for one in folders that came with the last batch
                    stands = True
                    now = self._files(folders)
                    batch.update(path for path in {*files, *now} if files.get(path) != now.get(path))
                self._watching.set()
                if not batch:
                    continue
                files, before, rules = self._files(folders), rules, self._rules()
                self._tell(batch, before, rules)
                if self._folders(rules) != folders:
                    break
            folders = self._folders(rules)

    def _tell(self, batch: set[str], *rules: ReloadRules) -> None:
        """Report what matters by the rules before or after the batch, which may itself have changed them."""
        relevant = sorted(
            path for path in batch if any(restarts_workers(rule, path, self._is_environment) for rule in rules)
        )
        if relevant and not self._stop.is_set():
            self._changed(relevant)

    def _batches(self, folders: set[str]) -> Iterator[set[str]]:
        """The paths that changed, batch by batch; an empty one twice a second. Ends when the folders are others."""
        paths = [os.path.join(self._root, folder) for folder in sorted(folders)]
        batches = watchfiles.watch(
            *paths,
            watch_filter=None,
            debounce=LONGEST_BATCH,
            step=SETTLED,
            stop_event=self._stop,
            rust_timeout=500,
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=self._polling,
            recursive=False,
        )
        try:
            for changes in batches:
                yield {self._relative(path) for _, path in changes}
        except FileNotFoundError:
            return  # a folder went away between looking and watching
        except OSError as error:
            if self._polling:
                self._warn(f"Changes of the app's files are not noticed any more: {error}")
                self._stop.set()
                return
            self._polling = True
            self._warn(
                f"The system refuses to watch the app's folders ({error}); they are compared from time to time "
                "instead. On Linux, raise fs.inotify.max_user_watches."
            )

    def _folders(self, rules: ReloadRules) -> set[str]:
        """The folders to watch, relative to the root, which is the empty text."""
        found = {""}
        for where, names, _ in os.walk(self._root):
            inside = self._relative(where)
            names[:] = [
                name
                for name in names
                if watches_folder(rules, f"{inside}/{name}" if inside else name, self._is_environment)
            ]
            found.update(f"{inside}/{name}" if inside else name for name in names)
        return found

    def _files(self, folders: set[str]) -> dict[str, tuple[int, int]]:
        """Every file in the folders, with what tells its versions apart."""
        found: dict[str, tuple[int, int]] = {}
        for folder in folders:
            try:
                for entry in os.scandir(os.path.join(self._root, folder)):
                    if entry.is_file():
                        state = entry.stat()
                        found[self._relative(entry.path)] = (state.st_mtime_ns, state.st_size)
            except OSError:
                continue  # gone between looking and reading
        return found

    def _relative(self, path: str) -> str:
        relative = os.path.relpath(path, self._root).replace(os.sep, "/")
        return "" if relative == "." else relative

    def _is_environment(self, folder: str) -> bool:
        return os.path.exists(os.path.join(self._root, folder, "pyvenv.cfg"))


def read_funcignore(root: str) -> str:
    """The text of the app's `.funcignore`, empty when there is none or it cannot be read."""
    try:
        with open(os.path.join(root, ".funcignore"), encoding="utf-8-sig", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
