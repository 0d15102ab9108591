"""When a busy socket is looked at: in rounds, as network cards bundle their interrupts.

A message that comes alone finds the processor's caches filled by others, and costs several times what it
costs in company (docs/benchmarks.md, "Rounds"). So once messages come close enough, the socket is looked at
every 60 ms only (a setting), and all that has come is served at once. It makes the set-up of a call some
130 ms longer, which nobody hears; with fewer than some 40 calls a second each message is answered at once, as
it comes.
"""

from typing import Final

# Messages a second from which on it is worth while to wait for company, and below which it no longer is.
_ENOUGH_A_SECOND: Final = 400
_TOO_FEW_A_SECOND: Final = 200


class Rounds:
    """Says of one socket when it is to be looked at next."""

    def __init__(self, *, length_s: float, room: int, burst: int) -> None:
        """`length_s`: how long messages wait for company at most; 0: never.

        `room`: how many messages the kernel can keep for the socket; rounds count on a quarter of it.
        `burst`: how many are read at a look at most.
        """
        self._length_s = length_s
        self._enough = length_s * _ENOUGH_A_SECOND
        self._too_few = length_s * _TOO_FEW_A_SECOND
        self._most = room / 4
        self._burst = burst
        self._is_busy = False
        self._looked_at = 0.0
        # As long as it is not busy: messages counted since an instant.
        self._counted = 0
        self._counting_since = 0.0

    def next_look(self, received: int, began_at: float) -> float | None:
        """Say at what instant to look again, or None: to be woken by whatever comes next.

        `received`: how many messages were found at this look, which began at the instant `began_at` (s).
        """
        if not self._length_s:
            return None
        elapsed = began_at - self._looked_at
        self._looked_at = began_at
        if self._is_busy:
            self._is_busy = received >= self._too_few
            self._counted = 0
        else:
            if began_at - self._counting_since >= self._length_s:
                self._counting_since = began_at
                self._counted = 0
            self._counted += received
            self._is_busy = self._counted >= self._enough
        if not self._is_busy:
            return None
        if received >= self._burst:
            return began_at  # there is more: what waits too long is lost when the kernel's room is full
        return began_at + min(self._length_s, self._most * elapsed / received)
