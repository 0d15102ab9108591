"""Where a message came from and where one goes to.

A *flow* (RFC 5626 §2) is one transport association: a UDP address pair, or one TCP, TLS or WebSocket
connection. Phones behind NAT can be reached on the flow they opened and on no other, so the core remembers
flows, not just addresses.
"""

from enum import Enum
from typing import NamedTuple


class Transport(Enum):
    """A SIP transport; the value is the token of the Via header (RFC 3261 §20.42, RFC 7118 §5.2)."""

    UDP = "UDP"
    TCP = "TCP"
    TLS = "TLS"
    WS = "WS"
    WSS = "WSS"

    def __init__(self, token: str) -> None:
        self.token = token
        # Whether the transport itself retransmits; then timers A, E, G are off (RFC 3261 §17).
        self.is_reliable = token != "UDP"

    # Members are single objects. The hash of an enum is made from the name, in Python, for every look-up.
    __hash__ = object.__hash__


class Flow(NamedTuple):
    """One transport association with a peer. A tuple, because flows are the keys of many look-ups.

    `remote` and `local` are `(IP address, port)`; `local` is the concrete address the peer sees us at, never
    a wildcard. `connection` numbers the connection of a stream transport, unique for the life of the
    process, and is 0 for UDP.
    """

    transport: Transport
    remote: tuple[str, int]
    local: tuple[str, int]
    connection: int = 0


class Destination(NamedTuple):
    """A peer we have no flow with: the driver opens one (stream transports) or just sends (UDP).

    `host` is an IP address; the core never asks the DNS.
    """

    transport: Transport
    host: str
    port: int
