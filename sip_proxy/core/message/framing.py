"""Cutting a byte stream into SIP messages (RFC 3261 §18.3) and keep-alives (RFC 5626 §3.5.1)."""

import re
from enum import Enum
from typing import Final

MAXIMUM_HEADER_BYTES: Final = 32 * 1024
MAXIMUM_BODY_BYTES: Final = 256 * 1024

_CONTENT_LENGTH: Final = re.compile(
    rb"^(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_PINGS: Final = re.compile(rb"(?:\r\n\r\n)++")


class FramingErrorKind(Enum):
    """Why no further message can be found in a stream."""

    HEADER_TOO_LARGE = "header too large"
    BODY_TOO_LARGE = "body too large"
    NO_CONTENT_LENGTH = "no Content-Length"
    BAD_CONTENT_LENGTH = "bad Content-Length"
    TRUNCATED = "truncated"


class FramingError(Exception):
    """The stream can't be cut any further: the connection must be dropped.

    `head` holds the bytes up to where the trouble was seen: a driver may hand them to the engine as a message
    to have a last answer with `status` made from them.
    """

    def __init__(self, kind: FramingErrorKind, *, status: int, head: bytes) -> None:
        super().__init__(kind.value)
        self.kind = kind
        self.status = status
        self.head = head


class StreamFramer:
    """Collects the bytes of one stream connection and hands out whole messages.

    After `FramingError` the framer is of no more use.
    """

    __slots__ = ("_buffer", "_needed", "_pongs", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = 0  # length of the message whose header is complete; 0: not known yet
        self._searched = 0  # where to go on looking for the end of the header
        self._pongs = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        self._buffer += data

    def next_message(self) -> bytes | None:
        """Return the next whole message, or None until more bytes come.

        Raises FramingError when the stream can't be cut into messages.
        """
        if not self._needed:
            self._drop_keep_alives()
            self._needed = self._measure()
        if not self._needed or len(self._buffer) < self._needed:
            return None
        message = bytes(self._buffer[: self._needed])
        del self._buffer[: self._needed]
        self._needed = self._searched = 0
        return message

    def pongs_due(self) -> int:
        """Return how many pings (double CRLF) came since the last call; each is answered with one CRLF."""
        pongs, self._pongs = self._pongs, 0
        return pongs

    def is_idle(self) -> bool:
        """Tell whether no unfinished message is waiting for its rest. (A CRLF may be half a ping.)"""
        return bytes(self._buffer) in (b"", b"\r", b"\r\n", b"\r\n\r")

    def truncation(self) -> FramingError | None:
        """Return what is wrong with a stream that ends here: an error when a message has only begun."""
        if self.is_idle():
            return None
        return self._error(FramingErrorKind.TRUNCATED, 400, len(self._buffer))

    def _drop_keep_alives(self) -> None:
        """Leading CRLFs are no part of a message (RFC 3261 §7.5); two of them are a ping."""
        pings = _PINGS.match(self._buffer)
        if pings is not None:
            self._pongs += pings.end() // 4
            del self._buffer[: pings.end()]
        if self._buffer.startswith(b"\r\n") and len(self._buffer) > 2 and self._buffer[2] != 0x0D:
            del self._buffer[:2]

    def _measure(self) -> int:
        """Return the length of the message at the front, 0 while its header is incomplete."""
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end > MAXIMUM_HEADER_BYTES or (end < 0 and len(buffer) > MAXIMUM_HEADER_BYTES):
            raise self._error(FramingErrorKind.HEADER_TOO_LARGE, 513, MAXIMUM_HEADER_BYTES)
        if end < 0:
            self._searched = max(0, len(buffer) - 3)
            return 0
        values = {bytes(value).strip() for value in _CONTENT_LENGTH.findall(buffer, 0, end)}
        if not values:
            raise self._error(FramingErrorKind.NO_CONTENT_LENGTH, 400, end)
        value = values.pop()
        if values or not value.isdigit() or len(value) > 10:
            raise self._error(FramingErrorKind.BAD_CONTENT_LENGTH, 400, end)
        if int(value) > MAXIMUM_BODY_BYTES:
            raise self._error(FramingErrorKind.BODY_TOO_LARGE, 413, end)
        return end + 4 + int(value)

    def _error(self, kind: FramingErrorKind, status: int, head_end: int) -> FramingError:
        return FramingError(kind, status=status, head=bytes(self._buffer[:head_end]))
