"""What libraries log in the host's own process (the store, the HTTP server, asyncio), in the host's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from perdure.host.logs.log import HostLog


class _Handler(logging.Handler):
    def __init__(self, log: HostLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        category = f"Host.{record.name.removeprefix('perdure.')}"
        self._log.write(category, record.levelno, self.format(record))


@contextmanager
def library_logs(log: HostLog) -> Iterator[None]:
    """Within, warnings and errors of Python's `logging` are records of `log`, of the category `Host.<logger>`."""
    handler = _Handler(log)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
