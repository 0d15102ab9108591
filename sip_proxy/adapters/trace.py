"""The last messages that came and went, kept as they are, and looked through only when somebody asks."""

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.parser import parse_message

MOST_MESSAGES: Final = 10_000
_SHORTEST: Final = 40  # keep-alives are shorter, messages are longer


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """A message of a call. `at` is on the monotonic clock."""

    at: float
    peer: Flow | Destination
    is_incoming: bool
    start_line: str
    cseq_method: str


class Trace:
    """Keeps references to the bytes of messages, the oldest making room for the newest.

    Nothing is parsed or copied until `of_call`, so it costs next to nothing and may always be on.
    """

    __slots__ = ("_messages",)

    def __init__(self, most_messages: int = MOST_MESSAGES) -> None:
        """Keep so many messages; 0: none."""
        self._messages: deque[tuple[float, Flow | Destination, bool, bytes]] = deque(maxlen=most_messages)

    def came(self, data: bytes, peer: Flow, now: float) -> None:
        """Keep a message that came."""
        if len(data) > _SHORTEST:
            self._messages.append((now, peer, True, data))

    def went(self, data: bytes, peer: Flow | Destination, now: float) -> None:
        """Keep a message that went."""
        if len(data) > _SHORTEST:
            self._messages.append((now, peer, False, data))

    def of_call(self, call_id: str) -> list[TracedMessage]:
        """Return what is kept of a call, oldest first."""
        wanted = call_id.encode("utf-8", "surrogateescape")
        line = re.compile(
            rb"\n(?:call-id|i)[ \t]*:[ \t]*" + re.escape(wanted) + rb"[ \t]*\r\n", re.IGNORECASE
        )
        found = []
        for at, peer, is_incoming, data in self._messages:
            if wanted in data and line.search(data):
                traced = _traced(at, peer, data, is_incoming=is_incoming)
                # The names of headers are in any case, a Call-ID is not.
                if traced is not None and traced[1] == call_id:
                    found.append(traced[0])
        return found


def _traced(
    at: float, peer: Flow | Destination, data: bytes, *, is_incoming: bool
) -> tuple[TracedMessage, str] | None:
    try:
        message = parse_message(data)
    except MalformedMessage:
        return None
    method = (message.first("cseq") or "").rpartition(" ")[2]
    traced = TracedMessage(at, peer, is_incoming, message.lines[0], method)
    return traced, message.first("call-id") or ""
