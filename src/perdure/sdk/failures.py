"""What orchestrator code catches when a task failed: the published text, and everything that is known behind it."""

from __future__ import annotations

import builtins
import sys
from typing import Any

from perdure.model.failure import FailureDetails


class TaskFailedError(Exception):
    """A task failed. `str(error)` is the published text; the original error is beside it as data.

    `failure` holds type, message, traceback and cause chain (None when the failure came from the hub itself);
    `error_type`, `message`, `stack_trace` and `cause` read it; `original_class` is the class of the original
    exception where a module that is already loaded defines it, else None.
    """

    def __init__(self, message: str, details: FailureDetails | None = None) -> None:
        super().__init__(message)
        self.failure = details

    @property
    def details(self) -> FailureInfo:
        return FailureInfo(self.failure) if self.failure is not None else FailureInfo(FailureDetails("", str(self)))

    @property
    def error_type(self) -> str | None:
        return self.failure.error_type if self.failure else None

    @property
    def message(self) -> str:
        return self.failure.message if self.failure else str(self)

    @property
    def stack_trace(self) -> str:
        return self.failure.stack_trace if self.failure else ""

    @property
    def cause(self) -> FailureInfo | None:
        return FailureInfo(self.failure.cause) if self.failure and self.failure.cause else None

    @property
    def original_class(self) -> type[BaseException] | None:
        return class_of(self.failure) if self.failure else None

    def is_caused_by(self, error_type: type[BaseException] | str) -> bool:
        """Whether the original error, or one in its cause chain, is of this class (or name of a class)."""
        return self.details.is_caused_by(error_type)


class TaskCancelledError(Exception):
    """The result of a cancelled task was asked for."""


class FailureInfo:
    """Failure details as orchestrator code reads them."""

    __slots__ = ("failure",)

    def __init__(self, failure: FailureDetails) -> None:
        self.failure = failure

    @property
    def message(self) -> str:
        return self.failure.message

    @property
    def error_type(self) -> str:
        """The class name with its module, such as `builtins.ValueError`."""
        module = self.failure.module
        return f"{module}.{self.failure.error_type}" if module else self.failure.error_type

    @property
    def stack_trace(self) -> str:
        return self.failure.stack_trace

    @property
    def cause(self) -> FailureInfo | None:
        return FailureInfo(self.failure.cause) if self.failure.cause else None

    def is_caused_by(self, error_type: type[BaseException] | str) -> bool:
        """Whether this failure, or one in its cause chain, is of this class (or name of a class)."""
        failure: FailureDetails | None = self.failure
        while failure is not None:
            if _matches(failure, error_type):
                return True
            failure = failure.cause
        return False

    def __repr__(self) -> str:
        return f"FailureInfo({self.error_type}: {self.message})"


def class_of(failure: FailureDetails) -> type[BaseException] | None:
    """The exception class that `failure` names, from modules that are already loaded; None when there is none."""
    module = sys.modules.get(failure.module) if failure.module else builtins
    found: Any = module
    for part in failure.error_type.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _matches(failure: FailureDetails, error_type: type[BaseException] | str) -> bool:
    if isinstance(error_type, str):
        return error_type in (failure.error_type, f"{failure.module}.{failure.error_type}")
    own = class_of(failure)
    if own is not None:
        return issubclass(own, error_type)
    return failure.error_type == error_type.__qualname__ and failure.module == error_type.__module__
