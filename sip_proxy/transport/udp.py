"""SIP over UDP (RFC 3261 §18).

The socket is driven by hand rather than through a datagram protocol of asyncio: that costs a fifth less per
datagram, reads a burst before anything is answered, and says which datagram could not be sent. Under load it
is looked at in rounds (`rounds.py`).
"""

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.settings import ListenAddress
from sip_proxy.transport.addresses import WILDCARDS, LocalAddresses, mapped, unmapped
from sip_proxy.transport.handler import TransportHandler
from sip_proxy.transport.rounds import Rounds

_LARGEST_DATAGRAM: Final = 65_535
# Datagrams read in one turn, so that timers and streams get theirs under load.
_BURST: Final = 256
# Room for bursts while a turn is at work: some thousand messages (the kernel may grant less).
_BUFFER_BYTES: Final = 4 * 1024 * 1024
# What the kernel counts of it for a message of usual length.
_DATAGRAM_BYTES: Final = 2304
_FLOW_CACHE_SIZE: Final = 20_000


def bind_udp(address: ListenAddress) -> socket.socket:
    """Bind a UDP socket; the IPv6 wildcard takes IPv4 as well. Raises OSError."""
    family, _, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            bound.setsockopt(socket.SOL_SOCKET, option, _BUFFER_BYTES)
        bound.settimeout(0)
        bound.bind(where)
    except OSError:
        bound.close()
        raise
    return bound


class EventLoop(Protocol):
    """What is asked of the event loop. What uvloop's methods return is not what asyncio's do."""

    def add_reader(self, fd: int, callback: Callable[[], None], /) -> object:
        """Call back whenever there is something to read."""

    def remove_reader(self, fd: int, /) -> object:
        """Call back no longer."""

    def call_later(self, delay: float, callback: Callable[[], None], /) -> asyncio.TimerHandle:
        """Call back once, after so many seconds."""


class UdpTransport:
    """Carries messages between one UDP socket and the exchange."""

    def __init__(
        self,
        bound: socket.socket,
        *,
        handler: TransportHandler,
        local_addresses: LocalAddresses,
        round_s: float = 0.0,
    ) -> None:
        """`round_s`: how long messages wait for others under load (0: never)."""
        self._socket = bound
        self._handler = handler
        self._local_addresses = local_addresses
        self._takes_ipv6 = bound.family == socket.AF_INET6
        self._host, self._port = bound.getsockname()[:2]
        self._is_wildcard = self._host in WILDCARDS
        self._flows: dict[tuple[object, ...], Flow] = {}
        self._loop: EventLoop | None = None
        room = bound.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // _DATAGRAM_BYTES
        self._rounds = Rounds(length_s=round_s, room=room, burst=_BURST)
        self._next_look: asyncio.TimerHandle | None = None  # None: the loop wakes us
        self.received_count = 0
        self.sent_count = 0
        self.unsent_count = 0

    @property
    def listening(self) -> tuple[str, int]:
        """The IP address and port that the socket is bound to."""
        return self._host, self._port

    def start(self, loop: EventLoop) -> None:
        """Begin to take datagrams."""
        self._loop = loop
        loop.add_reader(self._socket.fileno(), self._look)

    def pause(self) -> None:
        """Take no more datagrams; sending goes on."""
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def close(self) -> None:
        """Send nothing more, after `pause`."""
        self._socket.close()

    def send(self, data: bytes, to: Flow | Destination) -> None:
        """Send one datagram. A full buffer loses it, as the network may: SIP sends again."""
        address = to.remote if isinstance(to, Flow) else (to.host, to.port)
        if self._takes_ipv6:
            address = (mapped(address[0]), address[1])
        try:
            self._socket.sendto(data, address)
            self.sent_count += 1
        except BlockingIOError:
            self.unsent_count += 1
        except (OSError, ValueError, OverflowError):  # the last two: an address that can't be
            self.unsent_count += 1
            self._handler.unable_to_send(data, to)

    def _look(self) -> None:
        """Read what has come; then either wait to be woken or look again by the clock."""
        assert self._loop is not None
        began_at = time.monotonic()
        before = self.received_count
        try:
            self._read()
        finally:  # whatever went wrong with one datagram, nobody else would read the next
            look_at = self._rounds.next_look(self.received_count - before, began_at)
            if look_at is not None:
                if self._next_look is None:
                    self._loop.remove_reader(self._socket.fileno())
                self._next_look = self._loop.call_later(max(0.0, look_at - time.monotonic()), self._look)
            elif self._next_look is not None:
                self._next_look = None
                self._loop.add_reader(self._socket.fileno(), self._look)

    def _read(self) -> None:
        """Read what has come, then have it all answered."""
        received = self._handler.received
        flows = self._flows
        try:
            for _ in range(_BURST):
                data, peer = self._socket.recvfrom(_LARGEST_DATAGRAM)
                flow = flows.get(peer) or self._flow(peer)
                if flow is not None:
                    received(data, flow)
                self.received_count += 1
        except BlockingIOError:
            pass  # all read
        except OSError:
            self.unsent_count += 1  # the kernel reports that an earlier datagram did not arrive
        self._handler.turn_ended()

    def _flow(self, peer: tuple[object, ...]) -> Flow | None:
        """Return the flow of a peer as the kernel names it, or None for one that can't be answered."""
        host, port = unmapped(str(peer[0])), int(str(peer[1]))
        if not port:
            return None
        try:
            local = self._local_addresses.towards(host) if self._is_wildcard else self._host
        except OSError:
            return None
        if len(self._flows) >= _FLOW_CACHE_SIZE:
            self._flows.clear()
        flow = Flow(Transport.UDP, (host, port), (local, self._port))
        self._flows[peer] = flow
        return flow
