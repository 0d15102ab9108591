"""Header names: one key for every spelling (RFC 3261 §7.3.1, §7.3.3)."""

import re

_COMPACT_FORMS = {
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
_NAME = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*\Z")
_MOST_REMEMBERED = 512
_LONGEST_REMEMBERED = 40
_USUAL_NAMES = """
    Via v From f To t Call-ID i CSeq Contact m Max-Forwards Route Record-Route Content-Length l Content-Type c
    User-Agent Server Allow Supported k Require Expires Authorization Proxy-Authorization WWW-Authenticate
    Proxy-Authenticate Session-Expires x Min-SE Allow-Events u Event o P-Asserted-Identity
    P-Preferred-Identity Privacy Reason Accept Date Subject s Refer-To r Referred-By b RSeq RAck
"""
known_keys: dict[str, str] = {}

# A message may carry each of these once (RFC 3261 §7.3.1: their values are no lists).
SINGLE = ("from", "to", "call-id", "cseq", "max-forwards", "content-length")
MANDATORY = ("from", "to", "call-id", "cseq", "via")


def header_key(name: str) -> str | None:
    """Return the key of a header name: its long form in lower case; None when it is no token.

    Spellings seen are remembered in `known_keys`, colon included, up to a limit: the parser looks there.
    """
    match = _NAME.match(name)
    if match is None:
        return None
    key = match[1].lower()
    key = _COMPACT_FORMS.get(key, key)
    if len(known_keys) < _MOST_REMEMBERED and len(name) <= _LONGEST_REMEMBERED:
        known_keys[f"{name}:"] = key
    return key


def written_name(key: str) -> str:
    """Return a header name as people write it."""
    return {"call-id": "Call-ID", "cseq": "CSeq"}.get(key, key.title())


for _usual in _USUAL_NAMES.split():
    header_key(_usual)
