"""Messages that the exchange itself makes: responses, and the ACK and CANCEL that belong to a sent INVITE."""

from collections.abc import Iterable
from typing import Final

from sip_proxy.core.message.grammar import printable, quote_string
from sip_proxy.core.message.message import Message, Request, Response, encode
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.status import reason_phrase

_ECHOED: Final = frozenset({"via", "from", "to", "call-id", "cseq"})
_ROUTES: Final = frozenset({"route"})
_ECHOED_IN_100: Final = _ECHOED | {"timestamp"}


def build_response(
    request: Request,
    status: int,
    *,
    reason: str = "",
    to_tag: str = "",
    headers: Iterable[str] = (),
) -> bytes:
    """Answer a request (RFC 3261 §8.2.6): the headers are echoed as received.

    `to_tag` is added when the To header has none; `headers` are whole lines. The caller vouches that neither
    holds a line break; `reason` is cleaned here.
    """
    echoed = _ECHOED_IN_100 if status == 100 else _ECHOED
    shape = request.shape
    lines = list(shape.only(echoed)(request.lines))
    if to_tag and not request.to_tag and shape.to:
        to_line = request.lines[shape.to]
        lines[lines.index(to_line)] = f"{to_line};tag={to_tag}"
    phrase = printable(reason) or reason_phrase(status)
    return encode([f"SIP/2.0 {status} {phrase}", *lines, *headers, "Content-Length: 0"], b"")


def build_ack(invite: bytes, response: Response) -> bytes:
    """Acknowledge a final response other than 2xx, as the INVITE client transaction does (§17.1.1.3)."""
    lines = _hop_lines(parse_message(invite), "ACK", response.first("to") or "")
    return encode(lines, b"")


def build_cancel(invite: bytes, reason: str) -> bytes:
    """Cancel an INVITE that we sent (§9.1); `reason` is the value of a `Reason` header (RFC 3326), or ""."""
    sent = parse_message(invite)
    lines = _hop_lines(sent, "CANCEL", sent.first("to") or "")
    if reason:
        lines.append(f"Reason: {reason}")
    return encode(lines, b"")


def _hop_lines(invite: Message, method: str, to: str) -> list[str]:
    """A request on the same hop as the INVITE: its URI, its topmost Via, its Route; Max-Forwards anew."""
    uri = invite.lines[0].split(" ")[1]
    number = (invite.first("cseq") or "").split()[0]
    lines = [f"{method} {uri} SIP/2.0", invite.lines[invite.shape.at["via"]], "Max-Forwards: 70"]
    lines += invite.shape.only(_ROUTES)(invite.lines)
    lines += [
        f"From: {invite.first('from')}",
        f"To: {to}",
        f"Call-ID: {invite.first('call-id')}",
        f"CSeq: {number} {method}",
        "Content-Length: 0",
    ]
    return lines


def reason_value(protocol: str, cause: int, text: str) -> str:
    """Write the value of a `Reason` header: `protocol` is `SIP` or `Q.850` (RFC 3326 §2)."""
    return f"{protocol};cause={cause};text={quote_string(text)}"


def explanation(domain: str, text: str, cause: int | None = None) -> list[str]:
    """Header lines that tell a person, and a gateway, why a request was refused.

    `Warning: 399` (RFC 3261 §20.43) and, with a Q.850 cause, `Reason` (RFC 3326).
    """
    lines = [f"Warning: 399 {domain} {quote_string(text)}"]
    if cause is not None:
        lines.append(f"Reason: {reason_value('Q.850', cause, text)}")
    return lines
