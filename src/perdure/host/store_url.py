"""Where state is kept: the URL of the store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from perdure.host.errors import StartError

_EXPECTED = "Expected sqlite:///relative/path, sqlite:////absolute/path, memory: or postgresql://user@host/database"


class StoreUrl(Struct, frozen=True):
    """`kind` is "sqlite", "memory" or "postgres"; `location` a file path, "" or the URL."""

    kind: str
    location: str

    def __str__(self) -> str:
        """For messages: without a password."""
        if self.kind != "postgres":
            return self.location or "memory"
        parts = urlsplit(self.location)
        return f"postgresql://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


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
                return StoreUrl("postgres", text.strip())
            case _:
                pass
    raise StartError(f"{origin}: '{text}' names no store. {_EXPECTED}.")
