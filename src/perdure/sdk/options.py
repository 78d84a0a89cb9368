"""The own settings that the SDK obeys, as one value per worker."""

from __future__ import annotations

from msgspec import Struct


class SdkOptions(Struct, frozen=True):
    """Settings of design section 12 that reach user code's runtime.

    `dialect` 1 or 2: whose answers one-argument functions get. `session_idle` in seconds, `http_poll_milliseconds`
    the pause between polls of a durable HTTP call whose answer names none, `custom_status_limit` in bytes of UTF-16.
    `max_sessions` 0 replays on every turn. `rollback_entities` None: decided by dialect and kind of entity.
    `show_task_inputs`: histories show what activities and children were given.
    """

    dialect: int = 1
    decode_events: bool = False
    carry_over_events: bool = True
    typed_payloads: bool = False
    trusted_classes: tuple[str, ...] = ()
    max_sessions: int = 10000
    session_idle: float = 300.0
    rollback_entities: bool | None = None
    custom_status_limit: int = 16384
    http_poll_milliseconds: int = 30000
    show_task_inputs: bool = False
