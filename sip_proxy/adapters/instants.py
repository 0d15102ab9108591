"""Instants as the HTTP interfaces write them."""

from datetime import UTC, datetime


def rfc3339(instant: float) -> str:
    """Write an instant (seconds since the epoch) in UTC with microseconds: `2026-11-21T20:00:00.123456Z`."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def rfc3339_or_none(instant: float | None) -> str | None:
    """Write an instant that may not have come."""
    return None if instant is None else rfc3339(instant)
