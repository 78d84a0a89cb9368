"""What the host tells its workers beside the app's folder: one typed value, sent in `StartWorker.settings`."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from msgspec import Struct


class WorkerSettings(Struct, frozen=True, omit_defaults=True):
    """Settings that user code's runtime needs.

    `sdk` holds fields of `SdkOptions` other than the dialect. `dialect` as in host.json (None: auto).
    `durable_client` is the JSON text that durable client bindings get, for the app's own hub. `http_allow`: where
    durable HTTP may go. `log_level` is Python's number. `begun_file`: see `begun.py`.
    """

    sdk: dict[str, Any] = {}
    dialect: int | str | None = None
    durable_client: str = "{}"
    http_allow: tuple[str, ...] = ("*",)
    log_level: int = logging.INFO
    trace_replay_events: bool = False
    begun_file: str = ""

    def to_message(self) -> dict[str, Any]:
        """As it travels."""
        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    @staticmethod
    def from_message(settings: dict[str, Any]) -> WorkerSettings:
        """What `to_message` made; unknown keys are ignored."""
        return msgspec.convert(settings, WorkerSettings)
