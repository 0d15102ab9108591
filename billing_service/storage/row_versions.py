"""Edits that are made only if nobody else has made one since: what a client has read is still so."""

from collections.abc import Collection

from billing_service.errors import Stale


def require_unchanged(version: str | int, expected: Collection[str] | None) -> None:
    """Raise Stale unless the version of a locked row is one of those expected; None expects nothing."""
    if expected is not None and str(version) not in expected:
        raise Stale("Somebody else has changed this in the meantime; read it again, then decide.")
