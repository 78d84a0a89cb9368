"""A PostgreSQL URL as its driver understands it: options that only libpq knows are taken out."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from perdure.storage.postgres.errors import StoreUnusable

#: options that ask for nothing here: the driver has its own way, or it is done anyway
_LEFT_OUT = frozenset(
    (
        "client_encoding",
        "connect_timeout",
        "fallback_application_name",
        "gssdelegation",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    )
)
#: options that may ask for more than the driver does, with the values that do not
_DEMANDS = {
    "channel_binding": ("prefer", "disable"),
    "gssencmode": ("prefer", "disable"),
    "sslcertmode": ("allow", "disable"),
    "require_auth": ("",),
    "requirepeer": ("",),
}


def for_driver(url: str) -> tuple[str, float | None]:
    """The URL without what only libpq knows, and the seconds of `connect_timeout`. Raises `StoreUnusable`."""
    parts = urlsplit(url)
    kept: list[tuple[str, str]] = []
    timeout: float | None = None
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "connect_timeout":
            # 0 is no limit of its own, and libpq knows none below two seconds
            timeout = max(2.0, float(value)) if value.isdecimal() and int(value) else None
        if name in _DEMANDS and value not in _DEMANDS[name]:
            raise StoreUnusable(
                f"The URL of the store asks for {name}={value}, which the driver cannot do. Leave {name} out; "
                "sslmode=verify-full checks whom the host talks to."
            )
        if name not in _LEFT_OUT and name not in _DEMANDS:
            kept.append((name, value))
    return urlunsplit(parts._replace(query=urlencode(kept, quote_via=quote))), timeout
