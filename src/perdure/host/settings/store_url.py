"""Where state is kept: the URL of the store."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from perdure.host.errors import StartError

_EXPECTED = "Expected sqlite:///relative/path, sqlite:////absolute/path, memory: or postgresql://user@host/database"
_POSTGRES = (
    "Expected postgresql://user:password@host:5432/database; in user and password @ : / ? # % and space are written "
    "%40 %3A %2F %3F %23 %25 %20"
)
_PASSWORD = re.compile(r"(//[^:/?#@]*):.*@", re.DOTALL)
_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>.*))?", re.DOTALL)


class StoreUrl(Struct, frozen=True):
    """`kind` is "sqlite", "memory" or "postgres"; `location` a file path, "" or the URL."""

    kind: str
    location: str

    def __str__(self) -> str:
        """For messages: without user, password and options."""
        if self.kind != "postgres":
            return self.location or "memory"
        parts = urlsplit(self.location)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"


def parse_store_url(text: str, origin: str, root: Path) -> StoreUrl:
    """The store that a URL names; relative paths start at the app's folder `root`. Raises `StartError`."""
    scheme, colon, rest = text.strip().partition(":")
    if colon:
        match scheme.lower():
            case "memory":
                return StoreUrl("memory", "")
            case "sqlite" if rest.startswith("///") and len(rest) > 3:
                return StoreUrl("sqlite", str(root / unquote(rest[3:].split("?")[0])))
            case "postgresql" | "postgres" if rest.startswith("//") and len(rest) > 2:
                problem = _problem(text.strip())
                if problem:
                    raise StartError(f"{origin}: '{_masked(text)}' is no PostgreSQL URL: {problem}. {_POSTGRES}.")
                return StoreUrl("postgres", text.strip())
            case _:
                pass
    raise StartError(f"{origin}: '{_masked(text)}' names no store. {_EXPECTED}.")


def _masked(text: str) -> str:
    return _PASSWORD.sub(r"\1:***@", text.strip())


def _problem(url: str) -> str:
    """What is wrong with a PostgreSQL URL, mostly a password that is not encoded; empty when nothing is."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        return str(error)
    if parts.netloc.count("@") > 1:
        return "it has more than one @"
    if parts.fragment:
        return "it has a #"
    _, user, hosts = parts.netloc.rpartition("@")
    for host in hosts.split(","):
        found = _HOST.fullmatch(host)
        port = found["port"] if found else ""
        if found is None or (port and not (port.isdecimal() and int(port) < 65536)):
            # without a user it may be the beginning of a password
            return f"'{host}' is no host and port" if user else "what stands before the first / ? or # is no host"
    return ""
