"""What the functions share."""

import os


def period_seconds() -> float:
    """Seconds between two beats, from the app setting PULSE_SECONDS."""
    return float(os.environ.get("PULSE_SECONDS", "5"))


def describe(beat: int) -> str:
    return f"beat {beat}: {'strong' if beat % 2 else 'weak'}"
