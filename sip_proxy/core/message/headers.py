"""Header names: one key for every spelling (RFC 3261 §7.3.1, §7.3.3)."""

import re
from typing import Final

_COMPACT_FORMS: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_NAME: Final = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*\Z")

# A message may carry each of these once (RFC 3261 §7.3.1: their values are no lists).
SINGLE: Final = ("from", "to", "call-id", "cseq", "max-forwards", "content-length")
MANDATORY: Final = ("from", "to", "call-id", "cseq", "via")


def header_key(name: str) -> str | None:
    """Return the key of a header name: its long form in lower case; None when it is no token."""
    match = _NAME.match(name)
    if match is None:
        return None
    key = match[1].lower()
    return _COMPACT_FORMS.get(key, key)


def written_name(key: str) -> str:
    """Return a header name as people write it."""
    return {"call-id": "Call-ID", "cseq": "CSeq"}.get(key, key.title())
