"""Reading the few bits of SIP text that the library hands over as text."""

from __future__ import annotations

import re
from dataclasses import dataclass

# RFC 3261 §25.1: name-addr = [ display-name ] "<" addr-spec ">"
_NAME_ADDR = re.compile(r'\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<token>[^<"]*?))\s*<(?P<uri>[^>]*)>')
_USER = re.compile(r"sips?:(?P<user>[^@;?]*)@", re.IGNORECASE)
# RFC 3326: Reason: Q.850;cause=19;text="No answer".  RFC 3261 §20.43: Warning: 399 agent "text".
_REASON = re.compile(
    r'^Reason\s*:[^\r\n]*?;\s*text\s*=\s*"((?:[^"\\\r\n]|\\.)*)"', re.IGNORECASE | re.MULTILINE
)
_WARNING = re.compile(r'^Warning\s*:\s*\d{3}\s+\S+\s+"((?:[^"\\\r\n]|\\.)*)"', re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Party:
    """Who is at the other end, as the From or To header tells it."""

    number: str
    display_name: str
    uri: str


def parse_party(header: str) -> Party:
    """From a From or To header's value. What is missing is ""."""
    match = _NAME_ADDR.match(header)
    uri = match["uri"] if match else header.split(";")[0].strip()
    if match is None:
        display_name = ""
    elif match["quoted"] is not None:
        display_name = _unescaped(match["quoted"])
    else:
        display_name = match["token"].strip()
    user = _USER.match(uri)
    return Party(number=user["user"] if user else "", display_name=display_name, uri=uri)


def refusal_detail(response: str) -> str:
    """What a response says for a person to read, in Reason or else Warning; "" when it says nothing."""
    head = response.replace("\r\n", "\n").split("\n\n", 1)[0]
    match = _REASON.search(head) or _WARNING.search(head)
    return _unescaped(match[1]) if match else ""


def _unescaped(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted)
