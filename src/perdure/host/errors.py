"""Errors that the command prints as they are: what was received, what was expected, what to do."""

from __future__ import annotations


class StartError(Exception):
    """The host cannot start. The text is complete; no traceback belongs to it."""


class UsageError(StartError):
    """The command line is wrong: an unknown flag, or a value that a flag cannot have."""
