"""What a caller reads when a call does not come about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

# RFC 3261 §21, in the words of a telephone rather than of a protocol.
_TEXTS: Final[Mapping[int, str]] = {
    401: "Wrong password",
    403: "Not allowed",
    404: "No such number",
    407: "Wrong password",
    408: "No answer from the exchange",
    480: "Not available",
    484: "Number incomplete",
    486: "Busy",
    487: "Cancelled",
    488: "No sound in common",
    500: "Fault in the exchange",
    503: "Exchange unavailable",
    600: "Busy",
    603: "Declined",
    604: "No such number",
}

_BUSY: Final = frozenset({486, 600})


def is_busy(status: int) -> bool:
    """Whether a refusal means that the called phone is in use."""
    return status in _BUSY


def refusal_text(status: int, reason: str, detail: str = "") -> str:
    """The exchange's own explanation if it gave one, else ours, else the protocol's reason phrase."""
    return detail or _TEXTS.get(status) or reason or f"Failed ({status})"
