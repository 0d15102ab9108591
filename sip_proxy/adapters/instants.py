"""Instants as the HTTP interfaces write them."""

from datetime import UTC, datetime
from functools import lru_cache


def rfc3339(instant: float) -> str:
    """Write an instant (seconds since the epoch) in UTC with microseconds: `2026-11-21T20:00:00.123456Z`."""
    seconds, microseconds = divmod(round(instant * 1_000_000), 1_000_000)
    return f"{_whole_seconds(seconds)}.{microseconds:06}Z"


@lru_cache(maxsize=16)
def _whole_seconds(seconds: int) -> str:
    """Instants to be written are mostly of the last few seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rfc3339_or_none(instant: float | None) -> str | None:
    """Write an instant that may not have come."""
    return None if instant is None else rfc3339(instant)
