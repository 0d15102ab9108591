"""From bytes to a `Request` or `Response`."""

import re
from typing import Final

from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.framing import MAXIMUM_HEADER_BYTES
from sip_proxy.core.message.message import Message, Request, Response, is_token
from sip_proxy.core.message.shape import Shape, known_shape, shape_of
from sip_proxy.core.remembering import remember

_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: (.*))?\Z", re.IGNORECASE | re.DOTALL)
_VERSION: Final = re.compile(r"SIP/[0-9]+\.[0-9]+\Z", re.IGNORECASE)
# Looked for only where white space begins: else from every blank of a long run to its end.
_FOLD: Final = re.compile(r"(?<![ \t])[ \t]*+\r\n[ \t]++")
_LONGEST_STATUS_LINE: Final = 2048
_END: Final = b"\r\n\r\n"  # of the headers
_USUAL_METHODS: Final = frozenset(
    {"INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "INFO", "PRACK", "UPDATE"}
)


def parse_message(data: bytes) -> Message:
    """Split a message into its lines.

    Raises MalformedMessage when it is not SIP at all. Anything less leaves a message with a `defect`, which
    `check` raises, so that even a broken request can be answered.
    """
    if data.endswith(_END):
        # Nearly always there is no body then. If there is one that ends like this, an empty line before it
        # makes it a shape that is not known.
        raw, ends, body = data[: -len(_END)], _END, b""
    else:
        raw, ends, body = data.partition(_END)
    try:
        head = raw.decode()
    except UnicodeDecodeError:
        head = raw.decode("utf-8", "surrogateescape")
    lines = head.split("\r\n")
    shape = known_shape(lines)
    if shape is None or not ends or len(raw) > MAXIMUM_HEADER_BYTES:
        return _parse_unusual(data)
    start = lines[0]
    if start.startswith("SIP/2.0 "):
        status, reason = _parse_status_line(start)
        return Response(status, reason, lines, shape, body)
    parts = start.split(" ")
    if len(parts) == 3 and parts[0] in _USUAL_METHODS and parts[2] == "SIP/2.0" and parts[1]:
        return Request(parts[0], parts[1], lines, shape, body)
    return _message(lines, shape, body, None)


def _parse_unusual(data: bytes) -> Message:
    """Split a message that may have CRLFs before its start (§7.5) and in its headers, or no end."""
    defect = None
    raw, ends, body = data.lstrip(b"\r\n").partition(_END)
    if not ends:
        defect = MalformedMessage("The header does not end")
    if len(raw) > MAXIMUM_HEADER_BYTES:
        defect = MalformedMessage("The header is too long", status=513)
        raw = raw[:MAXIMUM_HEADER_BYTES]
    head = raw.decode("utf-8", "surrogateescape")
    if "\r\n " in head or "\r\n\t" in head:
        head = _FOLD.sub(" ", head)
    lines = head.split("\r\n")
    shape = shape_of(lines)
    if not shape.is_readable:
        defect = MalformedMessage("Malformed header line")
    return _message(lines, shape, body, defect or _broken_line(lines))


def _broken_line(lines: list[str]) -> MalformedMessage | None:
    """A peer that takes a bare CR or LF for a line end would read other headers than we did."""
    text = "".join(lines)
    return MalformedMessage("Bare CR or LF in the header") if "\n" in text or "\r" in text else None


def _message(lines: list[str], shape: Shape, body: bytes, defect: MalformedMessage | None) -> Message:
    start = lines[0]
    if start[:4].upper() == "SIP/":  # which no method begins with
        status, reason = _parse_status_line(start)
        return Response(status, reason, lines, shape, body, defect)
    parts = start.split(" ")
    if len(parts) == 3 and parts[2] == "SIP/2.0" and parts[1] and is_token(parts[0]):
        return Request(parts[0], parts[1], lines, shape, body, defect)
    version = start.rstrip().rpartition(" ")[2]
    if not is_token(parts[0]) or not _VERSION.match(version):
        raise MalformedMessage("Not a SIP message")
    uri = parts[1] if len(parts) == 3 else ""
    if version.upper() == "SIP/2.0":
        if uri:
            return Request(parts[0], uri, lines, shape, body, defect)  # §7.1: the version is case-insensitive
        defect = MalformedMessage("Malformed request line")
    else:
        defect = MalformedMessage("Version Not Supported", status=505)
    return Request(parts[0], uri, lines, shape, body, defect)


_status_lines: Final[dict[str, tuple[int, str]]] = {}


def _parse_status_line(start: str) -> tuple[int, str]:
    known = _status_lines.get(start)
    if known is not None:
        return known
    match = _STATUS_LINE.match(start)
    if match is None or len(start) > _LONGEST_STATUS_LINE:
        raise MalformedMessage("Malformed status line")
    return remember(_status_lines, start, (int(match[1]), match[2] or ""), 256)
