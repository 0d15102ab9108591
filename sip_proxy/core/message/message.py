"""A SIP message as lines: split once, parsed only where somebody asks, forwarded byte for byte otherwise.

The text is decoded as UTF-8 with `surrogateescape`, so bytes that are no UTF-8 survive being forwarded.
"""

import re

from sip_proxy.core.flow import Flow
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import TOKEN, split_commas
from sip_proxy.core.message.headers import MANDATORY, SINGLE, written_name
from sip_proxy.core.message.name_addr import NameAddr, parse_name_addr
from sip_proxy.core.message.via import Via, parse_via, with_source

_CSEQ = re.compile(r"([0-9]{1,10})[ \t]+([A-Za-z0-9\-.!%*_+`'~]+)\Z")
HIGHEST_CSEQ = 2**31 - 1  # RFC 3261 §8.1.1.5
_HIGHEST_MAX_FORWARDS = 255  # §20.22


class Message:
    """What requests and responses have in common.

    `lines[0]` is the start line and `keys[0]` is ""; every other line is one header, unfolded, whose key
    (long form, lower case) is in `keys` at the same index. `defect` is what the parser found wrong.

    After `check` the fields that everybody needs are set: `call_id`, `cseq`, `cseq_method`, the tags and
    `via`, the topmost Via value.
    """

    __slots__ = (
        "body",
        "call_id",
        "cseq",
        "cseq_method",
        "defect",
        "from_tag",
        "keys",
        "lines",
        "to_tag",
        "via",
        "via_index",
        "via_rest",
    )

    def __init__(
        self, lines: list[str], keys: list[str], body: bytes, defect: MalformedMessage | None
    ) -> None:
        self.lines = lines
        self.keys = keys
        self.body = body
        self.defect = defect
        self.call_id = self.from_tag = self.to_tag = self.cseq_method = ""
        self.cseq = 0
        self.via: Via | None = None
        self.via_index = 0
        self.via_rest: list[str] = []  # the further values in the line of the topmost Via

    def first(self, key: str) -> str | None:
        """Return the value of the first header line with this key, or None."""
        if key not in self.keys:
            return None
        line = self.lines[self.keys.index(key)]
        return line[line.index(":") + 1 :].strip(" \t")

    def values(self, key: str) -> list[str]:
        """Return all values of a header that is a comma-separated list, over all its lines."""
        keys = self.keys
        if key not in keys:
            return []
        found = []
        for index in range(keys.index(key), len(keys)):
            if keys[index] == key:
                line = self.lines[index]
                found += split_commas(line[line.index(":") + 1 :])
        return found

    def line_values(self, key: str) -> list[str]:
        """Return the values of all lines with this key, not split at commas (for credentials)."""
        return [
            line[line.index(":") + 1 :].strip(" \t")
            for found, line in zip(self.keys, self.lines, strict=True)
            if found == key
        ]

    def from_address(self) -> NameAddr:
        """Return the From header in parts."""
        return parse_name_addr(self.first("from") or "")

    def to_address(self) -> NameAddr:
        """Return the To header in parts."""
        return parse_name_addr(self.first("to") or "")

    def encode(self) -> bytes:
        """Return the message as bytes."""
        return encode(self.lines, self.body)

    def read_via(self) -> Via:
        """Parse the topmost Via value and keep it; raises MalformedMessage when none is usable."""
        if "via" not in self.keys:
            raise MalformedMessage("Missing Via")
        index = self.keys.index("via")
        line = self.lines[index]
        values = split_commas(line[line.index(":") + 1 :])
        self.via = via = parse_via(values[0])
        self.via_index = index
        self.via_rest = values[1:]
        return via

    def check(self) -> None:
        """See that the message can be worked with (RFC 3261 §8.1.1, §16.3); raises MalformedMessage."""
        if self.defect is not None:
            raise self.defect
        keys = self.keys
        count = keys.count
        if not (count("from") == count("to") == count("call-id") == count("cseq") == 1 and "via" in keys):
            self._complain(MANDATORY, SINGLE)
        if count("content-length") > 1 or count("max-forwards") > 1:
            self._complain((), SINGLE)
        if self.via is None:
            self.read_via()
        self._check_body()
        self.call_id = self.first("call-id") or ""
        if not self.call_id or " " in self.call_id or "\t" in self.call_id:
            raise MalformedMessage("Malformed Call-ID")
        match = _CSEQ.match(self.first("cseq") or "")
        if match is None or (number := int(match[1])) > HIGHEST_CSEQ:
            raise MalformedMessage("Malformed CSeq")
        self.cseq = number
        self.cseq_method = match[2]
        self.from_tag = self.from_address().tag
        self.to_tag = self.to_address().tag

    def _complain(self, mandatory: tuple[str, ...], single: tuple[str, ...]) -> None:
        """Say which header is missing or there too often."""
        for key in mandatory:
            if key not in self.keys:
                raise MalformedMessage(f"Missing {written_name(key)}")
        for key in single:
            if self.keys.count(key) > 1:
                raise MalformedMessage(f"More than one {written_name(key)}")

    def _check_body(self) -> None:
        """RFC 3261 §18.3: of a datagram, what is past Content-Length is dropped; less than it is an error."""
        text = self.first("content-length")
        if text is None:
            return
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            raise MalformedMessage("Bad Content-Length")
        length = int(text)
        if length > len(self.body):
            raise MalformedMessage("Content-Length is larger than the message")
        if length < len(self.body):
            self.body = self.body[:length]


class Request(Message):
    """A request. `uri` is the Request-URI as written."""

    __slots__ = ("max_forwards", "method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        lines: list[str],
        keys: list[str],
        body: bytes,
        defect: MalformedMessage | None = None,
    ) -> None:
        super().__init__(lines, keys, body, defect)
        self.method = method
        self.uri = uri
        self.max_forwards: int | None = None

    def check(self) -> None:
        """See that the request can be worked with; raises MalformedMessage with the status to answer."""
        super().check()
        if self.cseq_method != self.method:
            raise MalformedMessage("Method and CSeq differ")
        if not self.from_tag:
            raise MalformedMessage("Missing tag in From")
        text = self.first("max-forwards")
        if text is not None:
            if not (text.isascii() and text.isdigit()) or len(text) > 3 or int(text) > _HIGHEST_MAX_FORWARDS:
                raise MalformedMessage("Bad Max-Forwards")
            self.max_forwards = int(text)

    def stamp_source(self, address: str, port: int) -> None:
        """Write the source address into the topmost Via (RFC 3261 §18.2.1, RFC 3581 §4); needs `read_via`."""
        assert self.via is not None
        line = self.lines[self.via_index]
        value = split_commas(line[line.index(":") + 1 :])[0] if self.via_rest else line[line.index(":") + 1 :]
        stamped = with_source(value.strip(), self.via, address, port)
        self.lines[self.via_index] = "Via: " + ", ".join([stamped, *self.via_rest])


class Response(Message):
    """A response. `flow` is how it came, once the engine has set it."""

    __slots__ = ("flow", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        lines: list[str],
        keys: list[str],
        body: bytes,
        defect: MalformedMessage | None = None,
    ) -> None:
        super().__init__(lines, keys, body, defect)
        self.status = status
        self.reason = reason
        self.flow: Flow | None = None


def encode(lines: list[str], body: bytes) -> bytes:
    """Write lines and a body as the bytes of a message."""
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + body


def is_token(text: str) -> bool:
    """Tell whether the text is a token, as methods and option tags are."""
    return TOKEN.match(text) is not None
