"""What the library's callbacks note down, for the engine's next turn to deal with.

A callback runs in the middle of the library's work on the very object, so whatever might change or free that
object (connecting sound, dropping the last reference) must wait until the library has returned.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from softphone.engine.events import Event

if TYPE_CHECKING:
    from softphone.engine.library_objects import SipAccount, SipCall


@dataclass(frozen=True, slots=True)
class RegistrationResult:
    """A registration was answered, or failed without an answer.

    `expires_s` 0 with a success: it was removed.
    """

    account: SipAccount
    status: int
    reason: str
    expires_s: int


@dataclass(slots=True)
class Notes:
    """Filled by callbacks, emptied by the engine's loop. Both run in the same thread."""

    events: deque[Event] = field(default_factory=deque)
    arrived: deque[SipCall] = field(default_factory=deque)
    moved: deque[SipCall] = field(default_factory=deque)
    media_changed: deque[str] = field(default_factory=deque)
    ended: deque[str] = field(default_factory=deque)
    registrations: deque[RegistrationResult] = field(default_factory=deque)
    fatal: BaseException | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def next_incoming_name(self) -> str:
        return f"in-{next(self._numbers)}"

    def next_moved_name(self) -> str:
        return f"moved-{next(self._numbers)}"
