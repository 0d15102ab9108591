"""STUN keep-alives on the SIP port (RFC 5626 §3.5.2, RFC 5389)."""

import ipaddress

import pytest

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.stun import binding_response
from sip_proxy.core.outputs import SecurityEventKind, Send
from tests.support.sip_phones import EXCHANGE, Exchange

COOKIE = bytes.fromhex("2112a442")
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex("00010000") + COOKIE + TRANSACTION


def test_the_address_is_hidden_as_in_the_test_vectors_of_rfc_5769() -> None:
    """RFC 5769 §2.2: 192.0.2.1 port 32853."""
    answer = binding_response(REQUEST, "192.0.2.1", 32853)
    assert answer == bytes.fromhex("0101000c") + COOKIE + TRANSACTION + bytes.fromhex(
        "002000080001a147e112a643"
    )


def test_the_ipv6_address_is_hidden_as_in_the_test_vectors_of_rfc_5769() -> None:
    """RFC 5769 §2.3: 2001:db8:1234:5678:11:2233:4455:6677 port 32853."""
    answer = binding_response(REQUEST, "2001:db8:1234:5678:11:2233:4455:6677", 32853)
    hidden = bytes.fromhex("00200014" "0002a147" "0113a9faa5d3f179bc25f4b5bed2b9d9")  # fmt: skip
    assert answer == bytes.fromhex("01010018") + COOKIE + TRANSACTION + hidden
    mask = COOKIE + TRANSACTION
    shown = bytes(a ^ b for a, b in zip(answer[-16:], mask, strict=True))
    assert ipaddress.ip_address(shown) == ipaddress.ip_address("2001:db8:1234:5678:11:2233:4455:6677")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        REQUEST[:-1],
        REQUEST + b"\x00",
        b"\x01\x01" + REQUEST[2:],  # a response
        b"\x00\x11" + REQUEST[2:],  # an indication
        REQUEST[:4] + b"\x00\x00\x00\x00" + REQUEST[8:],
    ],
)
def test_what_is_no_binding_request_has_no_answer(data: bytes) -> None:
    assert binding_response(data, "192.0.2.1", 5060) is None


def test_the_exchange_answers_a_keep_alive_and_reports_nothing() -> None:
    exchange = Exchange()
    flow = Flow(Transport.UDP, ("203.0.113.66", 40000), EXCHANGE)
    exchange.receive(REQUEST, flow)
    sends = [send for send in exchange.outputs if isinstance(send, Send)]
    assert len(sends) == len(exchange.outputs) == 1
    assert (sends[0].to, sends[0].data) == (flow, binding_response(REQUEST, *flow.remote))


def test_on_a_connection_it_is_noise() -> None:
    exchange = Exchange()
    exchange.receive(REQUEST, Flow(Transport.TCP, ("203.0.113.66", 40000), EXCHANGE, 7))
    assert [event.kind for event in exchange.security_events] == [SecurityEventKind.MALFORMED_MESSAGE]
    assert exchange.undelivered == []
