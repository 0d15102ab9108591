"""Messages that may leave only when the journal is on disk.

While the disk is away, they wait with their facts. After 32 seconds (64*T1, when both ends have given the
transaction up) a message is dropped; its facts never are.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final

from sip_proxy.core.outputs import Send

_HELD_AT_MOST_S: Final = 32.0


class HeldSends:
    """A queue of messages, each with the position in the journal that it waits for."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[tuple[int, float, Send]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def hold(self, send: Send, position: int, now: float) -> None:
        """Hold a message until the journal has come to a position, which never goes back."""
        self._queue.append((position, now, send))

    def release(self, position: int) -> Iterator[tuple[Send, float]]:
        """Hand out what need wait no longer, with the instant since when it has waited."""
        queue = self._queue
        while queue and queue[0][0] <= position:
            _, held_at, send = queue.popleft()
            yield send, held_at

    def release_despite_failure(self) -> Iterator[tuple[Send, float]]:
        """Hand out what need not wait for a journal that can't be written."""
        waiting = list(self._queue)
        self._queue = deque(held for held in waiting if not held[2].or_failure)
        for _, held_at, send in waiting:
            if send.or_failure:
                yield send, held_at

    def drop_old(self, now: float) -> int:
        """Drop what nobody waits for any longer; return how many."""
        queue = self._queue
        before = len(queue)
        while queue and queue[0][1] < now - _HELD_AT_MOST_S:
            queue.popleft()
        return before - len(queue)
