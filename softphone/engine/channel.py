"""One end of the socket pair between the phone and its engine: whole lines in, whole lines out."""

from __future__ import annotations

import select
import socket
from typing import Final

# A message is a few hundred bytes; a line beyond this means the stream is broken.
MAX_LINE: Final = 1 << 20
_SEND_TIMEOUT_S: Final = 5.0


class ChannelClosedError(ConnectionError):
    """The other process is gone, or has stopped reading."""


class LineBuffer:
    """Cuts a byte stream into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are complete now, without line feeds.

        Raises ChannelClosedError for an endless line.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise ChannelClosedError("a line without end")
        return lines


class Channel:
    """Non-blocking to read, blocking for at most a few seconds to write."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.settimeout(_SEND_TIMEOUT_S)
        self._buffer = LineBuffer()
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def wait_readable(self, timeout_s: float) -> bool:
        """True as soon as `receive` would return something or notice the end."""
        return bool(self._poll.poll(max(0.0, timeout_s) * 1000))

    def receive(self) -> list[bytes]:
        """All lines that have arrived, without waiting. Sets `closed` when the other side is gone."""
        lines: list[bytes] = []
        while not self.closed and self._poll.poll(0):
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                self.closed = True
                break
            lines.extend(self._buffer.feed(data))
        return lines

    def send(self, line: bytes) -> None:
        """Raises ChannelClosedError when the other side is gone or does not read."""
        try:
            self._socket.sendall(line)
        except OSError as error:
            raise ChannelClosedError(f"the other side does not take messages: {error}") from error

    def close(self) -> None:
        """Harmless when it was closed before."""
        self.closed = True
        if self._socket.fileno() >= 0:
            self._poll.unregister(self._socket)
            self._socket.close()
