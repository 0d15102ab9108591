"""One TCP or TLS connection with a peer: bytes to messages and back, within limits (RFC 3261 §18)."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.framing import FramingError, StreamFramer
from sip_proxy.transport.addresses import unmapped
from sip_proxy.transport.handler import TransportHandler

REST_S = 0.5
"""For how long a connection is not read whose source has sent more than it may."""

_PING, _PONG = b"\r\n\r\n", b"\r\n"
_MOST_PINGS = 16  # at once: a phone sends one or two a minute
# The kernel finds out within some four minutes that a peer has vanished without closing.
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 120), (socket.TCP_KEEPINTVL, 30), (socket.TCP_KEEPCNT, 4))


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What peers may take of us. Durations in seconds.

    `first_message_s`: a new connection must bring a whole message by then. `message_s`: a message that was
    begun must be complete by then. `idle_s`: longer than the longest registration, so that a phone that only
    waits for calls keeps its connection.
    """

    connections: int = 10_000
    connections_of_one_source: int = 1000
    first_message_s: float = 30.0
    message_s: float = 30.0
    idle_s: float = 9000.0
    connect_s: float = 5.0
    unsent_bytes: int = 1024 * 1024


class StreamConnection(asyncio.Protocol):
    """One connection, from its first byte to its last."""

    def __init__(
        self,
        *,
        transport: Transport,
        number: int,
        handler: TransportHandler,
        limits: StreamLimits,
        clock: Callable[[], float],
        on_open: Callable[["StreamConnection"], bool],
        on_closed: Callable[["StreamConnection"], None],
    ) -> None:
        """`on_open` tells whether there is room for the connection."""
        self._transport_kind = transport
        self._number = number
        self._handler = handler
        self._limits = limits
        self._clock = clock
        self._on_open = on_open
        self._on_closed = on_closed
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._is_admitted = False
        self._is_failed = False
        self._heard_at = clock()
        self._has_brought_message = False
        self._unfinished_since: float | None = None
        self._refused: bytes | None = None
        self._rest: asyncio.TimerHandle | None = None
        self.flow: Flow | None = None
        self.received_count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        # A peer that has gone again before we looked has no name.
        if not peer or not local:
            self._transport.abort()
            return
        self.flow = Flow(
            self._transport_kind, (unmapped(peer[0]), peer[1]), (unmapped(local[0]), local[1]), self._number
        )
        self._is_admitted = self._on_open(self)
        if not self._is_admitted:
            self._transport.abort()
            return
        connected = transport.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connected.setsockopt(socket.IPPROTO_TCP, option, value)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._is_failed or not self._is_admitted:
            return
        self._heard_at = self._clock()
        self._framer.feed(data)
        if self._rest is None and not self._take_messages():
            self._rest_a_while()

    def _take_messages(self) -> bool:
        """Hand on the messages that are complete, as many as the source may send; tell whether to read on."""
        flow, handler, framer, transport = self.flow, self._handler, self._framer, self._transport
        if flow is None or transport is None:
            return False
        may_read_on = True
        try:
            while (message := self._refused or framer.next_message()) is not None:
                if not handler.received(message, flow):
                    self._refused = message
                    may_read_on = False
                    break
                self._refused = None
                self._has_brought_message = True
                self._unfinished_since = None
                self.received_count += 1
        except FramingError as error:
            self._is_failed = True
            handler.framing_failed(error, flow)
        if framer.is_idle():
            self._unfinished_since = None
        elif self._unfinished_since is None:
            self._unfinished_since = self._heard_at
        if pings := framer.pongs_due():
            if pings <= _MOST_PINGS and handler.received(_PING, flow):
                self.send(_PONG * pings)
            else:
                may_read_on = False
        handler.turn_ended()
        if self._is_failed:
            transport.close()
        return may_read_on and not transport.is_closing()

    def _rest_a_while(self) -> None:
        """Read no more for now: what the peer goes on sending waits in its own machine."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._rest = asyncio.get_running_loop().call_later(REST_S, self._rested)

    def _rested(self) -> None:
        self._rest = None
        if self._is_failed:
            return
        if not self._take_messages():
            self._rest_a_while()
        elif self._transport is not None:
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """The peer sends no more; it may still read the answer to what it left unfinished."""
        self._report_unfinished_message()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, whoever ended it."""
        if exc is not None:  # the peer's doing: without an error, it was ended by us or by its end of stream
            self._report_unfinished_message()
        self._transport = None
        if self._rest is not None:
            self._rest.cancel()
        if self._is_admitted:
            self._is_admitted = False
            self._on_closed(self)

    def send(self, data: bytes) -> bool:
        """Send bytes; False when the connection is closed or its peer has stopped reading."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        transport.write(data)
        if transport.get_write_buffer_size() > self._limits.unsent_bytes:
            transport.abort()
            return False
        return True

    def close(self) -> None:
        """Send what is waiting, then close."""
        if self._transport is not None:
            self._transport.close()

    def overstayed(self, now: float) -> str | None:
        """Return why the connection should be dropped, or None."""
        limits = self._limits
        if self._unfinished_since is not None and now - self._unfinished_since > limits.message_s:
            return "unfinished message"
        if not self._has_brought_message and now - self._heard_at > limits.first_message_s:
            return "no message"
        if now - self._heard_at > limits.idle_s:
            return "idle"
        return None

    def _report_unfinished_message(self) -> None:
        """A message that its stream did not bring to an end is malformed; that is said once."""
        if self._is_failed or not self._is_admitted or self.flow is None:
            return
        error = self._framer.truncation()
        if error is not None:
            self._is_failed = True
            self._handler.framing_failed(error, self.flow)
            self._handler.turn_ended()

    def drop(self) -> None:
        """Close at once; what is waiting is lost."""
        if self._transport is not None:
            self._transport.abort()
