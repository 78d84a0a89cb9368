"""The setting `retention` of host.json: how long finished orchestrations are kept."""

from __future__ import annotations

from typing import Any

from perdure.host.errors import StartError
from perdure.host.http.query_values import status_in_any_case
from perdure.host.settings.setting_kinds import parse_time_span
from perdure.model.instance import TERMINAL
from perdure.taskhub.retention import RetentionRules

_WHERE = "host.json: extensions.perdure.retention"
_EXPECTED = (
    'Expected ages by final status, such as {"Completed": "30.00:00:00", "names": {"MyOrchestrator": {"Failed": "90"}}}'
)


def retention_rules(setting: dict[str, Any] | None) -> RetentionRules:
    """The rules that a setting gives. Raises `StartError` on anything that is not understood: it decides what is
    deleted."""
    if not setting:
        return RetentionRules()
    by_name: dict[str, dict[int, int]] = {}
    general = {key: value for key, value in setting.items() if key.lower() != "names"}
    for key, names in setting.items():
        if key.lower() == "names":
            if not isinstance(names, dict) or not all(isinstance(ages, dict) for ages in names.values()):
                raise StartError(f"{_WHERE}.{key}: {names!r} is not understood. {_EXPECTED}.")
            by_name = {name.lower(): _ages(ages, f"{_WHERE}.{key}.{name}") for name, ages in names.items()}
    return RetentionRules(_ages(general, _WHERE), by_name)


def _ages(written: dict[str, Any], where: str) -> dict[int, int]:
    ages: dict[int, int] = {}
    for label, text in written.items():
        status = status_in_any_case(label)
        if status is None or status not in TERMINAL:
            raise StartError(f"{where}: '{label}' is no final status (Completed, Failed, Terminated, Canceled).")
        try:
            seconds = parse_time_span(str(text))
        except ValueError:
            seconds = -1.0
        if seconds < 0:
            raise StartError(f"{where}.{label}: {text!r} is no age (d.hh:mm:ss, or whole days). {_EXPECTED}.")
        ages[int(status)] = int(seconds * 1_000_000)
    return ages
