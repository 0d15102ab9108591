"""A call attempt as its two phones saw it."""

import asyncio
from dataclasses import dataclass, field
from enum import Enum


class Hangup(Enum):
    """Who ends an answered call."""

    CALLER = "caller"
    CALLEE = "callee"


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What the people at the two phones mean to do; seconds.

    `refusal` is the status of a called phone that doesn't want the call. A caller who hears nothing for
    `patience_s` gives up.
    """

    ring_s: float = 0.1
    talk_s: float = 1.0
    hangs_up: Hangup = Hangup.CALLER
    refusal: int | None = None
    patience_s: float = 30.0


@dataclass(slots=True)
class DialogNotes:
    """What the two phones noted of one dialog; instants on the monotonic clock, None for what never happened.

    An attempt can make two: after a restart the exchange challenges the caller once more, and the called
    phone may have got both INVITEs.
    """

    answer_sent_at: float | None = None  # by the called phone, the first time
    answer_heard_at: float | None = None  # by the caller, the first time
    hung_up_at: float | None = None  # the first BYE was sent
    hang_up_heard_at: float | None = None  # the other phone got that BYE
    hang_up_settled_at: float | None = None  # its sender got an answer, or gave up waiting for one

    def note_answer_sent(self, at: float) -> None:
        """The called phone said 200."""
        self.answer_sent_at = self.answer_sent_at or at

    def note_answer_heard(self, at: float) -> None:
        """The caller heard 200."""
        self.answer_heard_at = self.answer_heard_at or at

    def note_hung_up(self, at: float) -> None:
        """A phone said BYE."""
        self.hung_up_at = self.hung_up_at or at

    def note_hang_up_heard(self, at: float) -> None:
        """A BYE has come through the exchange."""
        self.hang_up_heard_at = self.hang_up_heard_at or at

    def note_hang_up_settled(self, at: float) -> None:
        """A BYE was answered, or nobody answers it any more."""
        self.hang_up_settled_at = self.hang_up_settled_at or at

    def duration_bounds_us(self, *, exchange_died: bool) -> tuple[float, float]:
        """The least and the most that the exchange can have measured, in microseconds.

        It stands between the phones: it knows of the answer after the one who sent it and before the one who
        heard it, and likewise of the end. When it has died meanwhile, it may have forgotten a BYE that it had
        passed on, and known of the end only from a copy; but never after it has answered one.
        """
        assert self.answer_sent_at is not None
        assert self.answer_heard_at is not None
        assert self.hung_up_at is not None, self
        assert self.hang_up_settled_at is not None, self
        known_at = self.hang_up_settled_at
        if not exchange_died and self.hang_up_heard_at is not None:
            known_at = min(known_at, self.hang_up_heard_at)
        least = max(0.0, self.hung_up_at - self.answer_heard_at)
        rounding = 1
        return least * 1e6 - rounding, (known_at - self.answer_sent_at) * 1e6 + rounding


@dataclass(slots=True)
class Attempt:
    """What became of one attempt."""

    call_id: str
    caller: str
    callee: str
    plan: CallPlan
    invited_at: float
    admitted: bool = False  # an INVITE with credentials was responded to
    refused: int | None = None  # the final status that the caller heard instead of an answer
    bye_statuses: list[int | None] = field(default_factory=list)  # None: nobody answered it
    dialogs: dict[str, DialogNotes] = field(default_factory=dict)  # by the tag of the called phone
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def notes(self, tag: str) -> DialogNotes:
        """The notes of the dialog in which the called phone has this tag."""
        return self.dialogs.setdefault(tag, DialogNotes())

    @property
    def answered(self) -> DialogNotes | None:
        """The dialog that the caller heard an answer of: only then can the two have talked."""
        heard = [notes for notes in self.dialogs.values() if notes.answer_heard_at is not None]
        assert len(heard) <= 1, self
        return heard[0] if heard else None
