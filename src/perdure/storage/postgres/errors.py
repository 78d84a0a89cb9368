"""What goes wrong with PostgreSQL, as the errors of the store port."""

from __future__ import annotations

import asyncio
import ssl

import asyncpg

from perdure.storage.provider import StoreError


class StoreUnusable(Exception):
    """The database cannot be used: not there, not ours, or made by a newer release. The text says what to do."""


#: what connecting may raise
CANNOT_CONNECT = (
    OSError,
    ValueError,
    asyncio.TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
#: classes of SQLSTATE after which the same call may succeed: connection, resources, shutdown, conflicts, locks
_PASSING = ("08", "40", "53", "55", "57", "58")
#: read-only transaction: the server became a standby
_PASSING_STATES = frozenset({"25006"})
#: the transaction was rolled back for the sake of another: repeat it at once
CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


def is_passing(problem: BaseException) -> bool:
    """Whether the call may succeed when it is repeated, and may even have succeeded."""
    if isinstance(problem, asyncpg.PostgresError):
        state = problem.sqlstate or ""
        return state[:2] in _PASSING or state in _PASSING_STATES
    # a wrong argument is an InterfaceError as well as a closed connection
    if isinstance(problem, asyncpg.InterfaceError):
        return not isinstance(problem, ValueError)
    # a connection that the server ends in the middle of something may leave the driver in a state of its own
    return isinstance(problem, (OSError, asyncio.TimeoutError, EOFError, asyncpg.InternalClientError))


def not_connected(problem: BaseException) -> str:
    """Why the server cannot be used, in words, and what to do."""
    text = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
    return f"The PostgreSQL server cannot be used: {text}. {_advice(problem)}"


def _advice(problem: BaseException) -> str:
    if isinstance(problem, asyncpg.InvalidAuthorizationSpecificationError):
        return "Check user and password in the URL, and whom the server lets in."
    if isinstance(problem, asyncpg.InvalidCatalogNameError):
        return "Make the database first (CREATE DATABASE), or name another one."
    if isinstance(problem, asyncpg.TooManyConnectionsError):
        return "A host keeps up to seven connections: raise max_connections, or put a pooler before the server."
    if isinstance(problem, ssl.SSLError):
        return "Check sslmode and sslrootcert in the URL, and that its host is the one in the certificate."
    if isinstance(problem, (FileNotFoundError, PermissionError)):
        return "Check the files and the socket that the URL names (sslrootcert, sslcert, sslkey, host)."
    return "Expected a running server and postgresql://user:password@host:5432/database."


def call_failed(problem: BaseException) -> StoreError:
    """The answer of a call that failed."""
    if isinstance(problem, StoreError):
        return problem
    text = str(problem) or type(problem).__name__
    if isinstance(problem, asyncpg.RaiseError):
        return StoreError(text)
    return StoreError(f"PostgreSQL: {text}", lost=is_passing(problem))
