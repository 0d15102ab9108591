"""The ACK of a refusal that was given without a transaction: nobody waits for it.

Every call begins with one, as every call is challenged (RFC 3261 §17.1.1.3). What it says need not be read to
see that it belongs to no transaction and to no call that we know.
"""

import re
from typing import NamedTuple

from sip_proxy.core.transaction.layer import server_key

# A Via as most phones write it, at the top. A port with zeros before it would be another key.
_BEGINNING = re.compile(
    rb"ACK [^\r\n]*\r\n(?:Via|v): SIP/2\.0/[A-Z]+ ([0-9a-z.\-]+):([1-9][0-9]{0,4})(?:;rport)?"
    rb";branch=(z9hG4bK[!#-+\--:?-~]+)(?:;rport)?\r\n"
)
_CALL_ID = b"\r\nCall-ID: "
_FOLDS = (b" ", b"\t")


class UsualAck(NamedTuple):
    """What tells whose ACK it is: the key of the transaction of its INVITE, and the Call-ID."""

    invite_key: str
    call_id: str


def glance_at_ack(data: bytes) -> UsualAck | None:
    """Look into an ACK that is written as most phones do; None for any other message."""
    match = _BEGINNING.match(data)
    if match is None:
        return None
    found = data.find(_CALL_ID, 0, data.find(b"\r\n\r\n"))
    if found < 0:
        return None
    start = found + len(_CALL_ID)
    end = data.find(b"\r\n", start)
    if data[end + 2 : end + 3] in _FOLDS:
        return None
    call_id = data[start:end].decode("utf-8", "surrogateescape").strip(" \t")
    host, port, branch = match.groups()
    return UsualAck(server_key(branch.decode(), host.decode(), int(port), "INVITE"), call_id)
