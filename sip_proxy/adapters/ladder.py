"""The messages of one call as a ladder: who sent what to whom and when, one line for each message.

The exchange stands in the middle of what it knows: its peers are columns, in the order in which they first
appear, the exchange next to the first of them (mostly the caller).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sip_proxy.adapters.trace import TracedMessage
from sip_proxy.core.flow import Flow

EXCHANGE = "exchange"


@dataclass(frozen=True, slots=True)
class LadderMessage:
    """One message. `at` is on the wall clock; `peer` names the other side, such as `192.0.2.1:5062 UDP`."""

    at: float
    peer: str
    is_incoming: bool
    start_line: str
    cseq_method: str

    @property
    def label(self) -> str:
        """What is written on the arrow: `INVITE`, `200 OK (BYE)`."""
        if not self.start_line.startswith("SIP/"):
            return self.start_line.partition(" ")[0]
        return f"{self.start_line.partition(' ')[2]} ({self.cseq_method})"


@dataclass(frozen=True, slots=True)
class Ladder:
    """All messages of a call, oldest first. `names` are what peers are called, such as their numbers."""

    call_id: str
    messages: Sequence[LadderMessage]
    names: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        """The columns from left to right, the exchange among them."""
        peers = list(dict.fromkeys(message.peer for message in self.messages))
        return [*peers[:1], EXCHANGE, *peers[1:]]

    def heading(self, column: str) -> tuple[str, str]:
        """Return two lines for the head of a column."""
        return (self.names.get(column, ""), column) if column != EXCHANGE else (EXCHANGE, "")

    def offset(self, message: LadderMessage) -> float:
        """Return how many seconds after the first message this one came."""
        return message.at - self.messages[0].at


def ladder_message(message: TracedMessage, wall_offset: float) -> LadderMessage:
    """Make a message of a ladder from one of the trace."""
    peer = message.peer
    host, port = peer.remote if isinstance(peer, Flow) else (peer.host, peer.port)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return LadderMessage(
        at=message.at + wall_offset,
        peer=f"{address} {peer.transport.value}",
        is_incoming=message.is_incoming,
        start_line=message.start_line,
        cseq_method=message.cseq_method,
    )
