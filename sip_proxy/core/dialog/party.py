"""The two sides of a dialog, and requests that the exchange itself sends within one."""

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import split_commas
from sip_proxy.core.message.message import Message, encode
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.routes import for_next_hop
from sip_proxy.core.message.uri import LONGEST_ADDRESS


class Party:
    """One side of a dialog, as the other side would see it (RFC 3261 §12.1): enough to send it a request.

    `address` is its From or To header value with the tag; `contact` the remote target; `route_set` what lies
    between us and it; `cseq` the highest CSeq number that it has used, 0 for none; `flow` where it was
    last seen; `is_direct` whether its contact can be believed (`Binding`). `seen_at` is its last sign of life
    on the monotonic clock, `missed` how often it was asked for one in vain since then.
    """

    __slots__ = (
        "address", "contact", "cseq", "flow", "is_direct", "missed", "number", "route_set", "seen_at", "tag",
    )  # fmt: skip

    def __init__(
        self,
        number: str,
        address: str,
        tag: str,
        contact: str,
        route_set: tuple[str, ...],
        cseq: int,
        flow: Flow | Destination,
        is_direct: bool,
        seen_at: float = 0.0,
    ) -> None:
        self.number = number
        self.address = address
        self.tag = tag
        self.contact = contact
        self.route_set = route_set
        self.cseq = cseq
        self.flow = flow
        self.is_direct = is_direct
        self.seen_at = seen_at
        self.missed = 0

    def showed_life(self, now: float) -> None:
        """It gave a sign of life."""
        self.seen_at = now
        self.missed = 0


def contact_of(message: Message, fallback: str) -> str:
    """Return the URI in the Contact header; a peer that forgot it is reached as before."""
    index = message.shape.at.get("contact")
    if index is None:
        return fallback
    line = message.lines[index]
    return (_contact_in(line) if len(line) <= LONGEST_ADDRESS else "") or fallback


def _contact_in(line: str) -> str:
    """Return the first URI in a Contact header line, "" when there is none that can be read."""
    # As nearly every phone writes it; each writes another one, so there is nothing to be remembered.
    if line.startswith("Contact: <") and line.endswith(">"):
        uri = line[10:-1]
        if uri.isprintable() and " " not in uri and "<" not in uri and ">" not in uri:
            return uri
    try:
        return parse_name_addr(split_commas(line.partition(":")[2])[0]).uri
    except MalformedMessage:
        return ""


def build_dialog_request(
    method: str, *, call_id: str, sender: Party, receiver: Party, cseq: int, via: str, headers: list[str]
) -> bytes:
    """Build a request from one side of a dialog to the other (§12.2.1.1), as sent by the exchange."""
    uri, routes = for_next_hop(receiver.contact, receiver.route_set)
    lines = [
        f"{method} {uri} SIP/2.0",
        via,
        "Max-Forwards: 70",
        f"From: {sender.address}",
        f"To: {receiver.address}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
    ]
    lines += [f"Route: {route}" for route in routes]
    lines += headers
    lines.append("Content-Length: 0")
    return encode(lines, b"")
