"""No datagram takes the exchange more than a moment, whatever it is stuffed with.

Every header that is looked at, and some others, filled with each of the pieces that patterns stumble over:
white space, quotes and brackets that nobody closes, separators, escapes.
"""

import time

import pytest

from sip_proxy.core.directory import Directory
from sip_proxy.core.engine import Engine, EngineConfig
from sip_proxy.core.flow import Flow, Transport

_EXCHANGE = ("192.0.2.1", 5060)
_STRANGER = Flow(Transport.UDP, ("192.0.2.2", 5060), _EXCHANGE)
_USUAL = {
    "Via": "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK1",
    "From": "<sip:0001@example.org>;tag=1",
    "To": "<sip:0002@example.org>",
    "Call-ID": "1",
    "CSeq": "1 INVITE",
    "Contact": "<sip:0001@192.0.2.2>",
    "Max-Forwards": "70",
}
_OTHERS = (
    *(
        "Authorization",
        "Proxy-Authorization",
        "Route",
        "Record-Route",
        "User-Agent",
        "Require",
        "Proxy-Require",
    ),
    *("Session-Expires", "Supported", "Expires", "Replaces", "Privacy", "Content-Length", "Max-Breadth", "X"),
)
_PIECES = (
    "<",
    '"',
    '"\\',
    '<"',
    " ",
    ";",
    ",",
    "a",
    ";a=",
    "\x0b",
    "%",
    ":",
    "@",
    "sip:",
    "[",
    " <",
    "; ",
    "\r\n ",
)
_LONGEST = 28_000
_LONGEST_ADDRESS = 1_900  # what is longer is not read at all
_MOST_S = 0.5
"""CPU time; it is some milliseconds."""


@pytest.mark.parametrize("method", ["INVITE", "REGISTER"])
@pytest.mark.parametrize("name", [*_USUAL, *_OTHERS])
def test_a_message_with_a_stuffed_header(name: str, method: str) -> None:
    for piece in _PIECES:
        for length in (_LONGEST, _LONGEST_ADDRESS):
            for start in ("", _USUAL.get(name, 'Digest realm="example.org",')):
                headers = {**_USUAL, "CSeq": f"1 {method}", name: f"{start}{piece * (length // len(piece))}x"}
                assert seconds_for(method, headers) < _MOST_S, (piece, length, start)


def an_engine() -> Engine:
    config = EngineConfig(
        domain="example.org",
        local_addresses=frozenset({_EXCHANGE}),
        listening={Transport.UDP: _EXCHANGE},
        nonce_secret=b"secret",
    )
    return Engine(config=config, directory=Directory(), random_bytes=lambda count: b"r" * count)


def seconds_for(method: str, headers: dict[str, str]) -> float:
    """How long a fresh exchange, that ignores nobody yet, thinks about such a message."""
    engine = an_engine()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    data = f"{method} sip:0002@example.org SIP/2.0\r\n{lines}\r\n".encode()
    started = time.thread_time()
    engine.receive(data, _STRANGER, 1000.0)
    engine.take_outputs()
    return time.thread_time() - started
