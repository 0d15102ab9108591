"""Loose and strict routers (RFC 3261 §16.4, §16.6 step 6, §12.2.1.1)."""

import pytest

from sip_proxy.core.message.message import Request
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.message.routes import for_next_hop
from tests.support.sip_phones import Exchange, Phone

LOOSE = "<sip:loose.example.com;lr>"
STRICT = '"Old" <sip:strict.example.com;x=1>'


@pytest.mark.parametrize(
    ("routes", "uri", "written"),
    [
        ([], "sip:a@h", []),
        ([LOOSE], "sip:a@h", [LOOSE]),
        ([LOOSE, STRICT], "sip:a@h", [LOOSE, STRICT]),
        ([STRICT], "sip:strict.example.com;x=1", ["<sip:a@h>"]),
        ([STRICT, LOOSE], "sip:strict.example.com;x=1", [LOOSE, "<sip:a@h>"]),
        (["<nonsense"], "sip:a@h", ["<nonsense"]),
        (["<http://example.com>"], "sip:a@h", ["<http://example.com>"]),
    ],
)
def test_a_strict_router_finds_itself_in_the_request_uri(
    routes: list[str], uri: str, written: list[str]
) -> None:
    assert for_next_hop("sip:a@h", routes) == (uri, written)


def call_through(router: str) -> tuple[Exchange, Phone, Phone]:
    """An answered call to a phone behind a router that recorded itself."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    recorded = f"\r\nRecord-Route: {router}\r\nRecord-Route: ".encode()
    passed_on = parse_message(invite.encode().replace(b"\r\nRecord-Route: ", recorded))
    passed_on.check()
    assert isinstance(passed_on, Request)
    callee.answer(passed_on, 200)
    attempt.ack()
    return exchange, caller, callee


def test_a_strict_router_behind_us_is_addressed_in_the_ack_and_in_our_own_bye() -> None:
    exchange, _, callee = call_through("<sip:strict.example.com>")
    ack = callee.request("ACK")
    assert ack.uri == "sip:strict.example.com"
    assert ack.values("route") == [f"<{callee.contact}>"]
    exchange.engine.end_call(exchange.engine.live_calls()[-1].id, exchange.now)
    exchange.deliver()
    bye = callee.request("BYE")
    assert bye.uri == "sip:strict.example.com"
    assert bye.values("route") == [f"<{callee.contact}>"]


def test_a_loose_router_behind_us_stays_in_the_route() -> None:
    exchange, _, callee = call_through(LOOSE)
    ack = callee.request("ACK")
    assert (ack.uri, ack.values("route")) == (callee.contact, [LOOSE])
    exchange.engine.end_call(exchange.engine.live_calls()[-1].id, exchange.now)
    exchange.deliver()
    bye = callee.request("BYE")
    assert (bye.uri, bye.values("route")) == (callee.contact, [LOOSE])


def test_a_strict_router_before_us_has_our_address_replaced_by_the_last_route() -> None:
    """§16.4: it wrote our Record-Route into the Request-URI, and the true one at the end of the Route."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 200)
    data = attempt.in_dialog("ACK", use_routes=False).replace(
        attempt.uri.encode(), b"sip:192.0.2.1:5060;lr", 1
    )
    data = data.replace(b"Content-Length", f"Route: <{callee.contact}>\r\nContent-Length".encode())
    caller.send(data)
    ack = callee.request("ACK")
    assert ack.uri == callee.contact
    assert "route" not in ack.keys
