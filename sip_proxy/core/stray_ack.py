"""The ACK of a refusal that was given without a transaction: nobody waits for it.

Every call begins with one, as every call is challenged (RFC 3261 §17.1.1.3). What it says need not be read to
see that it belongs to no transaction and to no call that we know. What isn't written as most phones do is
left to the parser.
"""

import re
from typing import Final

from sip_proxy.core.transaction.layer import server_key

# A Via at the top, and its sent-by with a port, which has no zeros before it (that would be another key).
_USUAL_BEGINNING: Final = re.compile(
    r"ACK [^\r\n]*+\r\n"
    r"(?:Via|v): SIP/2\.0/[A-Z]++ ([0-9a-z.\-]++:[1-9][0-9]{0,4}+)(?:;rport)?+"
    r";branch=(z9hG4bK[!#-+\--:?-~]++)(?:;rport)?+\r\n"
)
_CALL_ID: Final = "\r\nCall-ID:"
_LONGEST: Final = 2048


def beginning_of(data: bytes) -> str:
    """Return as much of a message as is looked at here, a character for each byte."""
    return data[:_LONGEST].decode("latin-1")


def call_id_in(text: str) -> str:
    """Return the Call-ID that stands in the headers of a message, "" when it can't be seen at a glance."""
    start = text.find(_CALL_ID)
    end = text.find("\r\n", start + len(_CALL_ID))
    if start < 0 or end < 0 or "\r\n\r\n" in text[: start + 2]:
        return ""
    if text[end + 2 : end + 3] in " \t":
        return ""  # it may go on in the next line
    call_id = text[start + len(_CALL_ID) : end].strip(" \t")
    return call_id if call_id.isascii() else ""  # the parser reads UTF-8


def invite_key_in(text: str) -> str:
    """Return the key of the transaction of the INVITE that an ACK speaks about, "" when it can't be seen."""
    match = _USUAL_BEGINNING.match(text)
    return "" if match is None else server_key(match[2], match[1], "INVITE")
