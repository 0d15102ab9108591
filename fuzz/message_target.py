"""Any bytes as a message, an address, a URI, a Via value, a stream: read, or refused with a status."""

from collections.abc import Callable

from sip_proxy.core.authentication.digest import MalformedCredentials, parse_credentials
from sip_proxy.core.message.building import build_response
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.framing import FramingError, StreamFramer
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.stun import binding_response
from sip_proxy.core.message.uri import parse_uri
from sip_proxy.core.message.via import parse_via

_STATUSES = {400, 413, 416, 505, 513}


def test_one_input(data: bytes) -> None:
    """Raise whatever a reader raises that it should not."""
    _read_message(data)
    _read_stream(data)
    binding_response(data, "192.0.2.1", 5060)
    text = data.decode("utf-8", "surrogateescape")
    readers: tuple[Callable[[str], object], ...] = (parse_uri, parse_name_addr, parse_via, parse_credentials)
    for read in readers:
        try:
            read(text)
        except MalformedMessage as error:
            _expect(error.status)
        except MalformedCredentials:
            continue


def _expect(status: int) -> None:
    assert status in _STATUSES, status


def _read_message(data: bytes) -> None:
    try:
        message = parse_message(data)
        assert len(message.keys) == len(message.lines)
        if isinstance(message, Request):
            answer = parse_message(build_response(message, 400, to_tag="x"))
            assert answer.lines[0] == "SIP/2.0 400 Bad Request"
        message.check()
        again = parse_message(message.encode())
        assert (again.lines, again.keys, again.body) == (message.lines, message.keys, message.body)
        again.check()
        for key in set(message.keys[1:]):
            assert message.values(key) == again.values(key)
    except MalformedMessage as error:
        _expect(error.status)


def _read_stream(data: bytes) -> None:
    """A stream is cut alike, whether it comes at once or in small pieces."""
    assert _cut([data]) == _cut([data[start : start + 5] for start in range(0, len(data), 5)])


def _cut(pieces: list[bytes]) -> tuple[list[bytes], object]:
    framer = StreamFramer()
    messages = []
    try:
        for piece in pieces:
            framer.feed(piece)
            while (message := framer.next_message()) is not None:
                messages.append(message)
    except FramingError as error:
        _expect(error.status)
        return messages, error.kind
    return messages, None
