"""A SIP message as lines: split once, parsed only where somebody asks, forwarded byte for byte otherwise.

The text is decoded as UTF-8 with `surrogateescape`, so bytes that are no UTF-8 survive being forwarded.
"""

import re
from typing import Final

from sip_proxy.core.flow import Flow
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import TOKEN, split_commas
from sip_proxy.core.message.name_addr import NameAddr, parse_name_addr
from sip_proxy.core.message.shape import Shape
from sip_proxy.core.message.uri import LONGEST_ADDRESS
from sip_proxy.core.message.via import Via, parse_via, read_usual_via, with_source
from sip_proxy.core.remembering import remember

_CSEQ: Final = re.compile(r"([0-9]{1,10})[ \t]+([A-Za-z0-9\-.!%*_+`'~]+)\Z")
# What nearly every phone writes in From and To.
_USUAL_ADDRESS: Final = re.compile(
    r'[A-Za-z]++: ?+(?:"[^"\\]*+" ?+)?+<[!#-;=?-~]++>(?:;tag=([!#-+\--:@-~]++))?+\Z'
)
LONGEST_REMEMBERED: Final = 256
"""Lines up to this length may be kept in caches."""
HIGHEST_CSEQ: Final = 2**31 - 1  # RFC 3261 §8.1.1.5
_HIGHEST_MAX_FORWARDS: Final = 255  # §20.22


class Message:
    """What requests and responses have in common.

    `lines[0]` is the start line; every other line is one header, unfolded. Their keys are those of `shape`.
    `defect` is what the parser found wrong.

    After `check` the fields that everybody needs are set: `call_id`, `cseq`, `cseq_method`, the tags, and
    `via`, the topmost Via value, in a request. (Of most responses it is never read.)

    Each kind fills them in itself: in a function, Python remembers where one class keeps an attribute.
    """

    __slots__ = (
        "body",
        "call_id",
        "cseq",
        "cseq_method",
        "defect",
        "from_tag",
        "lines",
        "shape",
        "to_tag",
        "via",
        "via_rest",
    )

    lines: list[str]
    shape: Shape
    body: bytes
    defect: MalformedMessage | None
    call_id: str
    cseq: int
    cseq_method: str
    from_tag: str
    to_tag: str
    via: Via | None
    via_rest: list[str] | None  # the further values in the line of the topmost Via

    @property
    def keys(self) -> tuple[str, ...]:
        """The key of each line (long form, lower case), "" for the start line."""
        return self.shape.keys

    def first(self, key: str) -> str | None:
        """Return the value of the first header line with this key, or None."""
        index = self.shape.at.get(key)
        return None if index is None else self.lines[index].partition(":")[2].strip(" \t")

    def values(self, key: str) -> list[str]:
        """Return all values of a header that is a comma-separated list, over all its lines."""
        start = self.shape.at.get(key)
        if start is None:
            return []
        keys = self.shape.keys
        found = []
        for index in range(start, len(keys)):
            if keys[index] == key:
                line = self.lines[index]
                found += split_commas(line[line.index(":") + 1 :])
        return found

    def line_values(self, key: str) -> list[str]:
        """Return the values of all lines with this key, not split at commas (for credentials)."""
        if key not in self.shape.at:
            return []
        return [
            line[line.index(":") + 1 :].strip(" \t")
            for found, line in zip(self.shape.keys, self.lines, strict=True)
            if found == key
        ]

    def add(self, key: str, line: str) -> None:
        """Add a header line at the end."""
        self.lines.append(line)
        self.shape = self.shape.plus(key)

    def put(self, key: str, line: str) -> None:
        """Put a header line in place of the first one with the same key, or add it."""
        index = self.shape.at.get(key)
        if index is None:
            self.add(key, line)
        else:
            self.lines[index] = line

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
        index = self.shape.at.get("via")
        if index is None:
            raise MalformedMessage("Missing Via")
        value = _value_of(self.lines[index])
        if "," in value:
            value, *self.via_rest = split_commas(value)
        self.via = via = parse_via(value)
        return via

    def has_one_via(self) -> bool:
        """Tell whether it has come over one hop only: one Via line with one value, which was read."""
        return not self.via_rest and self.shape.has_one_via

    def _cut_body(self) -> None:
        """RFC 3261 §18.3: of a datagram, what is past Content-Length is dropped; less than it is an error."""
        length = read_content_length(self.lines[self.shape.content_length])
        if length > len(self.body):
            raise MalformedMessage("Content-Length is larger than the message")
        self.body = self.body[:length]


class Request(Message):
    """A request. `uri` is the Request-URI as written."""

    __slots__ = ("max_forwards", "method", "uri")

    def __init__(
        self,
        method: str,
        uri: str,
        lines: list[str],
        shape: Shape,
        body: bytes,
        defect: MalformedMessage | None = None,
    ) -> None:
        self.method = method
        self.uri = uri
        self.lines = lines
        self.shape = shape
        self.body = body
        self.defect = defect
        self.call_id = self.from_tag = self.to_tag = self.cseq_method = ""
        self.cseq = 0
        self.via = self.via_rest = None
        self.max_forwards: int | None = None

    def check(self) -> None:
        """See that the request can be worked with (RFC 3261 §8.1.1, §16.3).

        Raises MalformedMessage with the status to answer.
        """
        if self.defect is not None:
            raise self.defect
        lines, shape = self.lines, self.shape
        self.cseq, self.cseq_method, self.from_tag, self.to_tag, self.call_id = _read_fields(lines, shape)
        if shape.content_length and read_content_length(lines[shape.content_length]) != len(self.body):
            self._cut_body()
        if self.cseq_method != self.method:
            raise MalformedMessage("Method and CSeq differ")
        if not self.from_tag:
            raise MalformedMessage("Missing tag in From")
        if self.via is None:
            self.read_via()
        if shape.max_forwards:
            self.max_forwards = read_max_forwards(lines[shape.max_forwards])

    def read_source(self, address: str, port: int) -> bool:
        """Read the topmost Via, and write into it where the request really came from.

        RFC 3261 §18.2.1, RFC 3581 §4. Tells whether its branch is unique (`Via.has_magic_cookie`). Raises
        MalformedMessage when no Via is usable.
        """
        index = self.shape.via
        line = self.lines[index]
        usual = read_usual_via(line, address, port)
        if usual is not None:
            self.via, self.lines[index] = usual
            return True
        via = self.read_via()
        value = _value_of(line)
        if self.via_rest:
            stamped = with_source(split_commas(value)[0], via, address, port)
            self.lines[index] = "Via: " + ", ".join([stamped, *self.via_rest])
        else:
            self.lines[index] = f"Via: {with_source(value, via, address, port)}"
        return via.has_magic_cookie


class Response(Message):
    """A response. `flow` is how it came, once the engine has set it."""

    __slots__ = ("flow", "reason", "status")

    def __init__(
        self,
        status: int,
        reason: str,
        lines: list[str],
        shape: Shape,
        body: bytes,
        defect: MalformedMessage | None = None,
    ) -> None:
        self.status = status
        self.reason = reason
        self.lines = lines
        self.shape = shape
        self.body = body
        self.defect = defect
        self.call_id = self.from_tag = self.to_tag = self.cseq_method = ""
        self.cseq = 0
        self.via = self.via_rest = None
        self.flow: Flow | None = None

    def check(self) -> None:
        """See that the response can be worked with; raises MalformedMessage."""
        if self.defect is not None:
            raise self.defect
        lines, shape = self.lines, self.shape
        self.cseq, self.cseq_method, self.from_tag, self.to_tag, self.call_id = _read_fields(lines, shape)
        if shape.content_length and read_content_length(lines[shape.content_length]) != len(self.body):
            self._cut_body()


def _read_fields(lines: list[str], shape: Shape) -> tuple[int, str, str, str, str]:
    """Read the number and method of CSeq, the tags of From and To, and Call-ID; raises MalformedMessage."""
    if shape.fault:
        raise MalformedMessage(shape.fault)
    cseq, method = _read_cseq(lines[shape.cseq])
    from_tag = _read_tag(lines[shape.from_])
    to_tag = _read_tag(lines[shape.to])
    call_id = _value_of(lines[shape.call_id])
    if not call_id or " " in call_id or "\t" in call_id:
        raise MalformedMessage("Malformed Call-ID")
    return cseq, method, from_tag, to_tag, call_id


# The same lines come again and again, within a call and between calls: each is read once while remembered.
# What raises isn't remembered, so nobody can fill the memory with long ones.
_cseqs: Final[dict[str, tuple[int, str]]] = {}
_tags: Final[dict[str, str]] = {}
_content_lengths: Final[dict[str, int]] = {}
_max_forwards: Final[dict[str, int]] = {}


def _read_cseq(line: str) -> tuple[int, str]:
    known = _cseqs.get(line)
    if known is not None:
        return known
    if len(line) > LONGEST_ADDRESS:
        raise MalformedMessage("CSeq is too long")
    match = _CSEQ.match(_value_of(line))
    if match is None or (number := int(match[1])) > HIGHEST_CSEQ:
        raise MalformedMessage("Malformed CSeq")
    return remember(_cseqs, line, (number, match[2]), 256)


def _read_tag(line: str) -> str:
    """Read the tag of an address line; of long ones nothing is remembered."""
    known = _tags.get(line)
    if known is not None:
        return known
    if len(line) > LONGEST_ADDRESS:
        raise MalformedMessage("An address is too long")
    match = _USUAL_ADDRESS.match(line)
    tag = parse_name_addr(_value_of(line)).tag if match is None else match[1] or ""
    return tag if len(line) > LONGEST_REMEMBERED else remember(_tags, line, tag, 1024)


def read_content_length(line: str) -> int:
    """Read the length of the body in a Content-Length line, in bytes."""
    known = _content_lengths.get(line)
    if known is not None:
        return known
    text = _value_of(line)
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or len(line) > LONGEST_ADDRESS:
        raise MalformedMessage("Bad Content-Length")
    return remember(_content_lengths, line, int(text), 256)


def read_max_forwards(line: str) -> int:
    """Read how many hops a Max-Forwards line still allows."""
    known = _max_forwards.get(line)
    if known is not None:
        return known
    text = _value_of(line)
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or len(line) > LONGEST_ADDRESS:
        raise MalformedMessage("Bad Max-Forwards")
    if int(text) > _HIGHEST_MAX_FORWARDS:
        raise MalformedMessage("Bad Max-Forwards")
    return remember(_max_forwards, line, int(text), 64)


def _value_of(line: str) -> str:
    return line.partition(":")[2].strip(" \t")


def encode(lines: list[str], body: bytes) -> bytes:
    """Write lines and a body as the bytes of a message."""
    head = "\r\n".join(lines)
    try:
        return head.encode() + b"\r\n\r\n" + body
    except UnicodeEncodeError:  # bytes that were no UTF-8
        return head.encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def is_token(text: str) -> bool:
    """Tell whether the text is a token, as methods and option tags are."""
    return TOKEN.match(text) is not None
