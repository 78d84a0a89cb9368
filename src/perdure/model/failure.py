"""What is kept of an exception: type, message, traceback and cause chain, as data."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from msgspec import Struct

_DEEPEST_CAUSE = 16


class FailureDetails(Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """One exception as data. `error_type` is the bare class name, `module` where the class is defined."""

    error_type: str
    message: str
    module: str = ""
    stack_trace: str = ""
    cause: FailureDetails | None = None
    #: what the published host shows as Reason, where it is more than type and message
    reason: str = ""


def describe(error: BaseException, *, hide: Iterable[str] = (), depth: int = _DEEPEST_CAUSE) -> FailureDetails:
    """The failure details of an exception. Frames of files that start with one of `hide` are left out."""
    hidden = tuple(hide)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not (hidden and f.filename.startswith(hidden))]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return FailureDetails(
        error_type=type(error).__qualname__,
        message=str(error),
        module=type(error).__module__,
        stack_trace="".join(traceback.format_list(frames)),
        cause=describe(cause, hide=hidden, depth=depth - 1) if cause is not None and depth > 1 else None,
    )
