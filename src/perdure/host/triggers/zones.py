"""The time zone of timer schedules: `TZ`, else `WEBSITE_TIME_ZONE`, else the machine's; IANA or Windows names."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from perdure.host.triggers.windows_zones import IANA_OF_WINDOWS


class ZoneChoice(Struct, frozen=True):
    """A zone, the name to show for it, and a warning when the name that was asked for is unknown."""

    zone: tzinfo
    name: str
    warning: str = ""


def choose_zone(environment: Mapping[str, str]) -> ZoneChoice:
    """The zone in which schedules are read. An unknown name gives UTC and a warning, never an error."""
    for setting in ("TZ", "WEBSITE_TIME_ZONE"):
        wanted = environment.get(setting, "").strip()
        if not wanted:
            continue
        found = named_zone(wanted)
        if found is not None:
            return found
        return ZoneChoice(
            timezone.utc,
            "UTC",
            f"{setting}='{wanted}' names no time zone known on this machine; timer schedules run in UTC. "
            "Expected an IANA name such as Europe/Berlin (the package tzdata brings them where the system has none) "
            "or a Windows name such as W. Europe Standard Time.",
        )
    return _machine_zone()


def named_zone(name: str) -> ZoneChoice | None:
    """The zone of an IANA name, a Windows name or a path of a zone file; None if there is none."""
    name = name.removeprefix(":")
    key = IANA_OF_WINDOWS.get(name.casefold(), name)
    if os.path.isabs(key):
        return _zone_file(key)
    try:
        return ZoneChoice(ZoneInfo(key), key)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneChoice(timezone.utc, "UTC") if key.upper() in ("UTC", "GMT", "Z") else None


def _zone_file(path: str) -> ZoneChoice | None:
    _, found, key = os.path.realpath(path).partition("zoneinfo/")
    if found:
        try:
            return ZoneChoice(ZoneInfo(key), key)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # a zone file elsewhere that only looks like one of the system
    try:
        with open(path, "rb") as file:
            return ZoneChoice(ZoneInfo.from_file(file, key=None), path)
    except (OSError, ValueError):
        return None


def _machine_zone() -> ZoneChoice:
    if sys.platform == "win32":
        found = named_zone(_windows_zone_name())
    else:
        found = _zone_file("/etc/localtime")
    return found or ZoneChoice(timezone.utc, "UTC")


def _windows_zone_name() -> str:
    import winreg

    try:
        with winreg.OpenKey(  # type: ignore[attr-defined,unused-ignore]
            winreg.HKEY_LOCAL_MACHINE,  # type: ignore[attr-defined,unused-ignore]
            r"SYSTEM\CurrentControlSet\Control\TimeZoneInformation",
        ) as key:
            return str(winreg.QueryValueEx(key, "TimeZoneKeyName")[0]).partition("\0")[0]  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return "UTC"
