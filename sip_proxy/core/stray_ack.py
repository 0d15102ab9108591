"""The ACK of a refusal that was given without a transaction: nobody waits for it.

Every call begins with one, as every call is challenged (RFC 3261 §17.1.1.3). What it says need not be read to
see that it belongs to no transaction and to no call that we know.
"""

import re
from typing import Final

from sip_proxy.core.transaction.layer import server_key

# As most phones write it: a Via at the top, and its sent-by with a port, which has no zeros before it (that
# would be another key).
_USUAL_BEGINNING: Final = re.compile(
    r"ACK [^\r\n]*+\r\n"
    r"(?:Via|v): SIP/2\.0/[A-Z]++ ([0-9a-z.\-]++:[1-9][0-9]{0,4}+)(?:;rport)?+"
    r";branch=(z9hG4bK[!#-+\--:?-~]++)(?:;rport)?+\r\n"
)
_CALL_ID: Final = "\r\nCall-ID:"
_LONGEST: Final = 2048


class UsualAck:
    """What tells whose ACK it is: the key of the transaction of its INVITE, and the Call-ID."""

    __slots__ = ("call_id", "invite_key")

    def __init__(self, invite_key: str, call_id: str) -> None:
        self.invite_key = invite_key
        self.call_id = call_id


def glance_at_ack(data: bytes) -> UsualAck | None:
    """Look into an ACK that is written as most phones do; None for any other message."""
    text = data[:_LONGEST].decode("latin-1")
    beginning = _USUAL_BEGINNING.match(text)
    start = text.find(_CALL_ID)
    end = text.find("\r\n", start + len(_CALL_ID))
    if beginning is None or start < 0 or end < 0 or "\r\n\r\n" in text[:start]:
        return None
    if text[end + 2 : end + 3] in " \t":
        return None  # it goes on in the next line
    call_id = text[start + len(_CALL_ID) : end].strip(" \t")
    if not call_id.isascii():
        return None  # no header of calls is read as Latin-1
    sent_by, branch = beginning.groups()
    return UsualAck(server_key(branch, sent_by, "INVITE"), call_id)
