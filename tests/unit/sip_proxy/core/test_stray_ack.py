"""An ACK that nobody waits for is dropped before it is read; any other must not be lost."""

import pytest

from sip_proxy.core.stray_ack import beginning_of, call_id_in, invite_key_in
from tests.support.sip_phones import Exchange

VIA = "Via: SIP/2.0/UDP 192.0.2.9:5060;rport;branch=z9hG4bKa"


def ack(*headers: str, body: str = "") -> bytes:
    return ("\r\n".join(["ACK sip:b@h SIP/2.0", *headers]) + "\r\n\r\n" + body).encode()


def glance_at(data: bytes) -> tuple[str, str] | None:
    """Return the key of the transaction of the INVITE and the Call-ID, None when not both are seen."""
    text = beginning_of(data)
    seen = invite_key_in(text), call_id_in(text)
    return seen if all(seen) else None


def test_the_call_and_the_transaction_are_seen_at_a_glance() -> None:
    seen = glance_at(ack(VIA, "From: <sip:a@h>;tag=1", "Call-ID:  x@h ", "CSeq: 1 ACK"))
    assert seen == ("z9hG4bKa 192.0.2.9:5060 INVITE", "x@h")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(ack("From: <sip:a@h>;tag=1", VIA, "Call-ID: x"), id="Via is not the first header"),
        pytest.param(ack(VIA.replace(":5060", ""), "Call-ID: x"), id="no port"),
        pytest.param(ack(VIA.replace(":5060", ":05060"), "Call-ID: x"), id="another way to write the port"),
        pytest.param(ack(VIA.replace(":5060", ":1" + 5000 * "0"), "Call-ID: x"), id="no port at all"),
        pytest.param(ack(VIA + ", SIP/2.0/UDP h:1;branch=z9hG4bKb", "Call-ID: x"), id="two Via values"),
        pytest.param(ack(VIA.replace("z9hG4bK", ""), "Call-ID: x"), id="branch of RFC 2543"),
        pytest.param(ack(VIA, "i: x"), id="compact Call-ID"),
        pytest.param(ack(VIA, "Call-ID: \r\n x", "CSeq: 1 ACK"), id="Call-ID on the next line"),
        pytest.param(ack(VIA, "i: x", body="\r\nCall-ID: y\r\n"), id="Call-ID in the body"),
        pytest.param(ack(VIA, "i: x", body="Call-ID: y\r\nb"), id="Call-ID at the beginning of the body"),
        pytest.param(ack(VIA, "Call-ID: é"), id="Call-ID beyond ASCII"),
        pytest.param(ack(VIA, "Call-ID: x")[:-4], id="Call-ID without an end"),
        pytest.param(ack(VIA, "Call-ID: x").replace(b"ACK", b"BYE"), id="another method"),
    ],
)
def test_what_is_written_otherwise_is_left_to_the_parser(data: bytes) -> None:
    assert glance_at(data) is None


def test_an_ack_that_belongs_nowhere_changes_nothing() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002", password="wrong")
    assert attempt.last_response is not None
    acknowledgement = attempt.ack_of(attempt.last_response)
    assert glance_at(acknowledgement) is not None
    before = len(exchange.outputs)
    exchange.receive(acknowledgement, caller.flow)
    assert len(exchange.outputs) == before
    assert callee.requests("ACK") == []


def test_the_ack_of_a_refusal_ends_its_transaction() -> None:
    """The call is over by then, and its Call-ID unknown."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 486)
    assert attempt.last_response is not None
    acknowledgement = attempt.ack_of(attempt.last_response)
    assert glance_at(acknowledgement) is not None
    exchange.receive(acknowledgement, caller.flow)
    exchange.advance(5.0)
    assert attempt.statuses == [486]  # not sent again


def test_the_ack_of_an_answer_arrives_also_when_it_is_written_as_most_phones_do() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 200)
    assert glance_at(attempt.in_dialog("ACK")) is not None
    attempt.ack()
    assert len(callee.requests("ACK")) == 1
