"""To be challenged at a glance comes to the same as to be challenged on the way of all requests.

Two exchanges hear the same. In what the second one hears the name of a header is spelled in a way that is not
taken at a glance; so it always goes the long way, and must come to the same.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import Output, SecurityEvent, Send
from sip_proxy.core.strangers import Strangers
from tests.support.examples import examples
from tests.support.sip_phones import DOMAIN, EXCHANGE, Exchange

CHALLENGED = ("INVITE", "MESSAGE", "SUBSCRIBE", "PUBLISH", "REGISTER")
METHODS = (*CHALLENGED, "BYE", "CANCEL", "OPTIONS", "REFER", "NEW")
USUAL = (
    f"METHOD sip:0002@{DOMAIN} SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 203.0.113.7:5060;rport;branch=z9hG4bK-1\r\n"
    "Max-Forwards: 70\r\n"
    f'From: "Alice" <sip:0001@{DOMAIN}>;tag=a1\r\n'
    f"To: <sip:0002@{DOMAIN}>\r\n"
    "Call-ID: one@203.0.113.7\r\n"
    "CSeq: 7 METHOD\r\n"
    "Contact: <sip:0001@203.0.113.7:5060>\r\n"
    "User-Agent: Desk phone 1.0\r\n"
    "Content-Length: 4\r\n\r\nbody"
)
DESTINATION = f"sip:0002@{DOMAIN} SIP"
FROM = f'From: "Alice" <sip:0001@{DOMAIN}>;tag=a1'
TO = f"To: <sip:0002@{DOMAIN}>"
# What is written otherwise, and how; most of it must not be challenged without a closer look.
ODDITIES = (
    (DESTINATION, f"sip:{DOMAIN} SIP"),
    (DESTINATION, f"sip:{EXCHANGE[0]}:5060;transport=udp SIP"),
    (DESTINATION, "sip:0002@elsewhere.example SIP"),
    (DESTINATION, "tel:+15550002 SIP"),
    (DESTINATION, "http://elsewhere.example/ SIP"),
    (DESTINATION, f"sip:00%2@{DOMAIN} SIP"),
    (DESTINATION, f"sip:0002@{DOMAIN}?Priority=urgent SIP"),
    (DESTINATION, "sip:0002@elsewhere.example:99999 SIP"),
    ("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"),
    ("SIP/2.0\r\nVia", "sip/2.0\r\nVia"),
    ("Via: ", "v: "),
    ("Via: ", "VIA: "),
    ("Via: ", "Via: SIP/2.0/UDP 203.0.113.8;branch=z9hG4bK-0\r\nVia: "),
    ("Via: ", "Via: SIP/2.0/UDP 203.0.113.8;branch=z9hG4bK-0, "),
    ("SIP/2.0/UDP", "SIP/2.0/TCP"),
    ("SIP/2.0/UDP", "SIP / 2.0 / UDP"),
    ("UDP 203.0.113.7:5060", "UDP 10.0.0.1:5060"),
    ("UDP 203.0.113.7:5060", "UDP phone.example:7000"),
    ("UDP 203.0.113.7:5060", "UDP Phone.Example:5060"),
    ("UDP 203.0.113.7:5060", "UDP [2001:db8::1]:5060"),
    ("7:5060;rport", "7;rport"),
    ("7:5060;rport", "7:05060;rport"),
    ("7:5060;rport", "7:0;rport"),
    ("7:5060;rport", "7:99999;rport"),
    ("7:5060;rport", "7:7000"),
    (";rport", ""),
    (";rport", ";rport=5060"),
    (";rport;branch=z9hG4bK-1", ";branch=z9hG4bK-1;rport"),
    (";branch=z9hG4bK-1", ";branch=z9hG4bK-1;rport"),
    (";branch=z9hG4bK-1", ";branch=z9hG4bK-1;received=203.0.113.66"),
    (";branch=z9hG4bK-1", ";branch=z9hG4bK"),
    (";branch=z9hG4bK-1", ";branch=old"),
    (";branch=z9hG4bK-1", ";branch=Z9hG4bK-1"),
    (";branch=z9hG4bK-1", ""),
    ("Max-Forwards: 70", "Max-Forwards: 0"),
    ("Max-Forwards: 70", "Max-Forwards: 256"),
    ("Max-Forwards: 70", "Max-Forwards: many"),
    ("Max-Forwards: 70\r\n", ""),
    ("Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70"),
    (FROM, f"From: <sip:0001@{DOMAIN}>"),
    (FROM, f"From: sip:0001@{DOMAIN};tag=a1"),
    (FROM, f"f: Alice Smith <sip:0001@{DOMAIN}>;tag=a1"),
    (FROM, f'From: "\u00c6lice" <sip:0001@{DOMAIN}>;tag=a1'),
    (FROM, f'From: "A <sip:0009@{DOMAIN}> B" <sip:0001@{DOMAIN}>;tag=a1'),
    (FROM, f'From: "A\\" B" <sip:0001@{DOMAIN}>;tag=a1'),
    (FROM, f"From: <sip:0001@{DOMAIN}>;tag=a1;tag=a2"),
    (FROM, f"From: <sip:0001@{DOMAIN};user=phone>;tag=a1"),
    (FROM, f"From: <sip:0001:secret@{DOMAIN}>;tag=a1"),
    (FROM, f"From: <sip:00%301@{DOMAIN}>;tag=a1"),
    (FROM, f"From: <sip:0009@{DOMAIN}>;tag=a1"),
    (FROM, "From: <sip:0001@elsewhere.example:5070>;tag=a1"),
    (FROM, "From: <tel:+15550001>;tag=a1"),
    (FROM, f"{FROM}\r\nf: <sip:0001@{DOMAIN}>;tag=a1"),
    (FROM, f'From: "{2100 * "A"}" <sip:0001@{DOMAIN}>;tag=a1'),
    (f"{FROM}\r\n", ""),
    ("tag=a1", "tag=\x01"),
    ('"Alice"', '"Al\tice"'),
    (TO, f"{TO};tag=b1"),
    (TO, f"To: <sip:0009@{DOMAIN}>"),
    (TO, "To: <sip:0002@elsewhere.example>"),
    (TO, "To: <mailto:0002@elsewhere.example>"),
    (TO, f"To: Bob <sip:0002@{DOMAIN}:5060>"),
    (TO, f"To: Bob, too <sip:0002@{DOMAIN}>"),
    ("Call-ID: one", "Call-ID: one two"),
    ("Call-ID: one@203.0.113.7", "Call-ID: "),
    ("Call-ID: one@203.0.113.7", "Call-ID:  one "),
    ("Call-ID: one@203.0.113.7", "Call-ID: \u00e9"),
    ("Call-ID: one@203.0.113.7", "Call-ID:\r\n one"),
    ("CSeq: 7", "CSeq: 0"),
    ("CSeq: 7", "CSeq: 07"),
    ("CSeq: 7", "CSeq:  7"),
    ("CSeq: 7", "CSeq: 2147483647"),
    ("CSeq: 7", "CSeq: 2147483000"),
    ("CSeq: 7", "CSeq: 4294967296"),
    ("CSeq: 7 METHOD", "CSeq: 7 BYE"),
    ("CSeq: 7 METHOD", "CSeq: 7 METHOD\r\nCSeq: 8 METHOD"),
    ("Desk phone 1.0", "friendly-scanner"),
    ("Desk phone 1.0", "Linphone/5.2.0"),
    ("Desk phone 1.0", "baresip v1"),
    ("User-Agent: Desk phone 1.0\r\n", ""),
    ("User-Agent", "Require: 100rel\r\nUser-Agent"),
    ("User-Agent", "Proxy-Require: sec-agree\r\nUser-Agent"),
    ("User-Agent", f"Route: <sip:{DOMAIN};lr>\r\nUser-Agent"),
    ("User-Agent", "Route: <sip:elsewhere.example;lr>\r\nUser-Agent"),
    ("User-Agent", 'Authorization: Digest username="0001"\r\nUser-Agent'),
    ("User-Agent", 'Proxy-Authorization: Digest realm="elsewhere", username="0001"\r\nUser-Agent'),
    ("User-Agent", f'Proxy-Authorization: Digest realm="{DOMAIN}"\r\nUser-Agent'),
    ("User-Agent", "Supported: outbound, path\r\nX-Unknown: yes\r\nUser-Agent"),
    ("User-Agent", "no header at all\r\nUser-Agent"),
    ("User-Agent", "Subject: a\rb\r\nUser-Agent"),
    ("User-Agent", "Subject: a\r\n b\r\nUser-Agent"),
    ("Content-Length: 4", "Content-Length: 5"),
    ("Content-Length: 4", "Content-Length: 3"),
    ("Content-Length: 4", "Content-Length: four"),
    ("Content-Length: 4\r\n", ""),
    ("\r\n\r\nbody", "\r\n\r\n"),
    ("\r\n\r\nbody", ""),
)


@dataclass
class Listener:
    """An exchange that hears requests, in one spelling."""

    spelling: str
    exchange: Exchange = field(default_factory=Exchange)

    def hear(self, text: str, flow: Flow) -> list[object]:
        """Let the exchange hear a request; return what comes of it."""
        self.exchange.now += 0.5
        data = text.replace("Call-ID:", self.spelling).encode("utf-8", "surrogateescape")
        self.exchange.engine.receive(data, flow, self.exchange.now)
        return [_seen(output) for output in self.exchange.engine.take_outputs()]


def _seen(output: Output) -> object:
    if not isinstance(output, Send):
        return output
    message = parse_message(output.data)
    pairs = zip(message.keys[1:], message.lines[1:], strict=True)
    headers = sorted((key, line.partition(":")[2].strip()) for key, line in pairs)
    return output.to, output.after_journal, message.lines[0], headers, message.body


def write(method: str, *oddities: tuple[str, str]) -> str:
    text = USUAL
    if method == "REGISTER":
        text = text.replace(DESTINATION, f"sip:{DOMAIN} SIP", 1)
    for usual, odd in oddities:
        text = text.replace(usual, odd, 1)
    return text.replace("METHOD", method)


def both() -> tuple[Listener, Listener]:
    return Listener("Call-ID:"), Listener("call-id:")


def flow_from(host: str, port: int, transport: Transport = Transport.UDP) -> Flow:
    return Flow(transport, (host, port), EXCHANGE, 7 if transport.is_reliable else 0)


PHONE = flow_from("203.0.113.7", 5060)
FLOWS = (
    PHONE,
    flow_from("203.0.113.7", 40000),
    flow_from("203.0.113.9", 5060),
    flow_from("203.0.113.7", 40000, Transport.TCP),
)


@contextmanager
def _glances() -> Iterator[list[bool]]:
    """See which requests were challenged at a glance."""
    taken: list[bool] = []
    original = Strangers.challenge

    def challenge(self: Strangers, request: Request, flow: Flow, now: float) -> bool:
        taken.append(original(self, request, flow, now))
        return taken[-1]

    Strangers.challenge = challenge  # type: ignore[method-assign]
    try:
        yield taken
    finally:
        Strangers.challenge = original  # type: ignore[method-assign]


def hear_both(
    listeners: tuple[Listener, Listener], text: str, flow: Flow = PHONE
) -> tuple[list[object], bool]:
    """Let both hear a request, and see that they do the same; tell what, and whether a glance was enough."""
    usual, unusual = listeners
    with _glances() as taken:
        heard = usual.hear(text, flow)
    was_enough = any(taken)
    with _glances() as taken:
        assert unusual.hear(text, flow) == heard
    assert not any(taken)
    assert len(usual.exchange.engine._exchange.layer) == len(unusual.exchange.engine._exchange.layer)
    return heard, was_enough


@pytest.mark.interpreted
@pytest.mark.parametrize("method", METHODS)
def test_each_oddity_by_itself(method: str) -> None:
    listeners = both()
    for flow in FLOWS:
        _, was_enough = hear_both(listeners, write(method), flow)
        assert was_enough == (method in CHALLENGED)
    for oddity in ODDITIES:
        assert oddity[0] in USUAL
        hear_both(listeners, write(method, oddity))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(METHODS), st.lists(st.sampled_from(ODDITIES), max_size=3), st.sampled_from(FLOWS)
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=examples(60), deadline=None)
def test_oddities_together(requests: list[tuple[str, list[tuple[str, str]], Flow]]) -> None:
    listeners = both()
    for method, oddities, flow in requests:
        _, was_enough = hear_both(listeners, write(method, *oddities), flow)
        event("at a glance" if was_enough else "closer look")


@pytest.mark.interpreted
@pytest.mark.parametrize("method", CHALLENGED)
def test_who_asks_for_many_numbers_is_silenced_as_on_the_long_way(method: str) -> None:
    listeners = both()
    heard: list[object] = []
    for number in range(7000, 7120):
        what, was_enough = hear_both(
            listeners, write(method).replace(":0001@", f":{number}@").replace(":0002@", f":{number}@")
        )
        assert was_enough
        heard.append(what)
    assert heard[0]
    assert heard[-1] == []
    assert any(isinstance(output, SecurityEvent) for what in heard for output in what)  # type: ignore[attr-defined]


def test_a_copy_of_a_request_that_is_being_served_is_not_challenged() -> None:
    """Its branch says so, whatever else it has or lacks."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180)
    lines = attempt.data.decode().split("\r\n")
    copy = "\r\n".join(line for line in lines if not line.startswith("Proxy-Authorization")).encode()
    assert copy != attempt.data
    caller.send(copy)
    assert attempt.statuses == [180, 180]
