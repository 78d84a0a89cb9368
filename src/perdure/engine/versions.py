"""Which versions of an orchestration a host may run (host-json.md 2.1 and 2.10)."""

from __future__ import annotations

from msgspec import Struct


class VersionRule(Struct, frozen=True):
    """`match` is None, Strict or CurrentOrOlder (case does not matter); `own` the app's default version."""

    own: str = ""
    match: str = "CurrentOrOlder"
    fail: bool = False

    def refusal(self, version: str) -> str | None:
        """Why an instance of this version may not run here, or None."""
        if not self.own or self.match.lower() == "none" or version == self.own:
            return None
        order = compare(version, self.own)
        if order == 0 or (order < 0 and self.match.lower() == "currentorolder"):
            return None
        return (
            f"The instance has version '{version}', this host runs version '{self.own}' and its "
            f"versionMatchStrategy is {self.match}."
        )


def compare(left: str, right: str) -> int:
    """Below, at or above zero as `left` is older than, equal to or newer than `right`."""
    if not left or not right:
        return bool(left) - bool(right)
    parts = _numbers(left), _numbers(right)
    if parts[0] is not None and parts[1] is not None:
        return (parts[0] > parts[1]) - (parts[0] < parts[1])
    folded = left.lower(), right.lower()
    return (folded[0] > folded[1]) - (folded[0] < folded[1])


def _numbers(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")
    if not 2 <= len(parts) <= 4 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    numbers = [int(part) for part in parts]
    return tuple(numbers + [-1] * (4 - len(numbers)))
