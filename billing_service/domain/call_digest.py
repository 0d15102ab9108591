"""The digest of a call's facts, which tells a repeated delivery from another call under its identifier."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from json.encoder import encode_basestring_ascii

from billing_service.domain.call import Call

CallFacts = tuple[str | None, ...]
"""The facts of a call as texts, without its identifier."""


def facts_of(call: Call) -> CallFacts:
    """The facts that the digest is over, in its order: the same whichever way a call comes in."""
    return (
        instant_text(call.invited_at),
        call.call_id,
        call.caller,
        call.callee,
        "t" if call.emergency else "f",
        _optional(call.ringing_at),
        _optional(call.answered_at),
        _optional(call.acknowledged_at),
        instant_text(call.ended_at),
        str(call.duration_us),
        call.outcome.value,
        str(call.status),
        call.reason,
        call.ended_by.value,
    )


def digest_of(facts: CallFacts) -> bytes:
    """SHA-256 of the facts as a JSON array."""
    return sha256(_as_json(facts)).digest()


def _as_json(facts: Sequence[str | None]) -> bytes:
    """What `json.dumps` makes of them, in a third of the time."""
    written = ["null" if fact is None else encode_basestring_ascii(fact) for fact in facts]
    return f"[{', '.join(written)}]".encode()


def instant_text(instant: datetime) -> str:
    """An instant as the facts have it."""
    return (instant if instant.tzinfo is UTC else instant.astimezone(UTC)).isoformat()


def _optional(instant: datetime | None) -> str | None:
    return None if instant is None else instant_text(instant)
