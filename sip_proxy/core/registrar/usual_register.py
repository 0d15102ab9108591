"""A REGISTER as nearly every phone writes it, read by one pattern.

Phones register all day long, and write what they write in the same words each time. The pattern takes only
what leaves no question open: each header at most once, in its usual spelling, no folding, no escapes,
nothing but printable ASCII, one contact, no Path and no extension that the registrar would have to mind.
Whatever it does not take is read by the parser of all messages (`core/message/parser.py`), which takes
everything.
"""

import re
from operator import itemgetter
from typing import Final, NamedTuple

_LONGEST: Final = 1400
_HOST: Final = r"[A-Za-z0-9.\-]+"
_TEXT: Final = r"[ -~]*+"
_TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"
_PORT: Final = r"(?:[1-5][0-9]{4}|6[0-4][0-9]{3}|[1-9][0-9]{0,3})"  # the few above are left to the parser
_NAME: Final = r'(?:"[ !#-\[\]-~]*+" ?|[A-Za-z0-9\-.!%*_+`\'~ ]*+)?'

_START: Final = (
    rf"REGISTER (sip:({_HOST})(?::{_PORT})?) SIP/2\.0\r\n"
    rf"Via: (SIP/2\.0/UDP ({_HOST}):({_PORT})(;rport)?;branch=z9hG4bK({_TOKEN})(;rport)?)\r\n"
)
# Headers that may come once, in any order: name, what the registrar reads of it.
_ONCE: Final = (
    ("From", rf"({_NAME}<[!#-;=?-~]+>;tag={_TOKEN})"),
    ("To", rf"({_NAME}<sip:([A-Za-z0-9*#+\-_.]+)@({_HOST})(?::{_PORT})?>)"),
    ("Call-ID", r"([!-~]+)"),
    ("CSeq", r"([0-9]{1,9}) REGISTER"),
    (
        "Contact",
        rf"<(sip:(?:[A-Za-z0-9*#+\-_.]+@)?({_HOST})(?::({_PORT}))?(?:;transport=[A-Za-z]+|;ob)?)>"
        r'(?:;expires=([0-9]{1,9}))?(?:;\+sip\.instance="<[A-Za-z0-9:\-]{1,99}>")?',
    ),
    ("Expires", r"([0-9]{1,9})"),
    ("User-Agent", rf"({_TEXT})"),
    ("Authorization", rf"({_TEXT})"),
    ("Max-Forwards", r"([0-9]{1,2})"),
    ("Content-Length", r"(0)"),
)
# Headers that mean nothing to a registrar; of Supported that is so unless it names RFC 5626.
_OF_NO_MATTER: Final = (
    rf"(?:(?:Allow|Allow-Events|Accept|Accept-Language|Organization|X-{_TOKEN}): {_TEXT}"
    rf"|Supported: (?![ -~]*(?i:outbound)){_TEXT})\r\n"
)


def _pattern() -> re.Pattern[str]:
    """Put the pattern together: a header that comes twice makes it fail."""
    group = re.compile(_START).groups + 1
    lines = []
    for name, value in _ONCE:
        lines.append(rf"{name}: (?({group})(?!)){value}\r\n")
        group += re.compile(value).groups
    return re.compile(rf"{_START}(?:{'|'.join(lines)}|{_OF_NO_MATTER})+\r\n\Z")


_PATTERN: Final = _pattern()


class UsualRegister(NamedTuple):
    """What such a REGISTER says, as it says it; None is what it doesn't say.

    `via`, `from_` and `to` are whole header values; `branch_rest` is what follows the magic cookie.
    """

    uri: str
    uri_host: str
    via: str
    via_host: str
    via_port: str
    rport_before: str | None
    branch_rest: str
    rport_after: str | None
    from_: str
    to: str
    number: str
    to_host: str
    call_id: str
    cseq: str
    contact: str
    contact_host: str
    contact_port: str | None
    contact_expires: str | None
    expires: str | None
    user_agent: str | None
    authorization: str | None
    max_forwards: str | None
    content_length: str | None


_needed: Final = itemgetter(*map(UsualRegister._fields.index, ("from_", "to", "call_id", "cseq", "contact")))


def read_usual_register(data: bytes) -> UsualRegister | None:
    """Read a REGISTER that came as one datagram, or return None when it must be looked at more closely."""
    if len(data) > _LONGEST or not data.isascii():
        return None
    match = _PATTERN.match(data.decode("ascii"))
    if match is None:
        return None
    said = match.groups()
    if None in _needed(said):
        return None  # a header is missing
    usual = UsualRegister._make(said)
    if usual.rport_before is not None and usual.rport_after is not None:
        return None
    return usual
