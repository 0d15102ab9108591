"""What a transport tells, and what it can do: the two sides of the line between sockets and the exchange."""

from typing import Protocol

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.message.framing import FramingError


class TransportHandler(Protocol):
    """Takes what comes in. Calls may come in bursts; `turn_ended` ends each burst."""

    def received(self, data: bytes, flow: Flow) -> bool:
        """A datagram, one framed message of a stream, or a keep-alive has come.

        False: its source has sent more than it may, and nothing was done with it. A datagram is lost then; a
        stream is not to be read for a while, after which the same message may be offered again.
        """

    def framing_failed(self, error: FramingError, flow: Flow) -> None:
        """A stream can't be cut into messages any further; it is closed after the turn."""

    def flow_closed(self, flow: Flow) -> None:
        """A connection is gone."""

    def unable_to_send(self, data: bytes, to: Flow | Destination) -> None:
        """This message to this peer will not arrive. Another may: it can be its length that is in the way."""

    def turn_ended(self) -> None:
        """Nothing more is at hand just now: time to send what has come up."""


class MessageSender(Protocol):
    """Sends messages over one transport. Trouble is told to the handler, never raised."""

    def send(self, data: bytes, to: Flow | Destination) -> None:
        """Send one whole message."""
