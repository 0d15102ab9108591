"""The engine as its driver sees it: nothing that a peer sends makes it raise."""

import pytest

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.framing import FramingError, StreamFramer
from sip_proxy.core.message.message import Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import SecurityEventKind, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import DOMAIN, EXCHANGE, Exchange

STRANGER = Flow(Transport.UDP, ("203.0.113.66", 5060), EXCHANGE)
STREAM = Flow(Transport.TCP, ("203.0.113.66", 40_000), EXCHANGE, 9)

VALID = (
    b"INVITE sip:0002@tollbell.local SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 203.0.113.66:5060;branch=z9hG4bKx\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:0001@tollbell.local>;tag=1\r\n"
    b"To: <sip:0002@tollbell.local>\r\n"
    b"Call-ID: malformed@test\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:0001@203.0.113.66>\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)


def answers(exchange: Exchange, data: bytes, flow: Flow = STRANGER) -> list[int]:
    """Send it; return the status codes of what is answered to whoever sent it."""
    exchange.outputs.clear()
    exchange.receive(data, flow)
    statuses = []
    for output in exchange.outputs:
        if isinstance(output, Send):
            assert isinstance(output.to, Flow)
            assert output.to.remote[0] == flow.remote[0]
            message = parse_message(output.data)
            assert isinstance(message, Response)
            statuses.append(message.status)
    return statuses


def test_the_message_that_the_others_are_made_from_is_valid() -> None:
    exchange = Exchange()
    assert answers(exchange, VALID) == [407]
    assert exchange.security_events == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(VALID.replace(b"Content-Length: 0", b"Content-Length: -1"), [400], id="negative length"),
        pytest.param(VALID.replace(b"Content-Length: 0", b"Content-Length: 9"), [400], id="lying length"),
        pytest.param(VALID.replace(b"SIP/2.0\r\nVia", b"SIP/7.0\r\nVia"), [505], id="version"),
        pytest.param(VALID.replace(b"Max", b"X: " + b"x" * 60_000 + b"\r\nMax"), [513], id="huge header"),
        pytest.param(VALID.replace(b"Call-ID: malformed@test\r\n", b""), [400], id="no Call-ID"),
        pytest.param(VALID.replace(b"To: <sip:0002@tollbell.local>\r\n", b""), [400], id="no To"),
        pytest.param(VALID.replace(b"z9hG4bKx", b"1"), [407], id="branch of RFC 2543"),
        pytest.param(VALID.replace(b";branch=z9hG4bKx", b""), [407], id="no branch"),
        pytest.param(VALID.replace(b"\r\nContact", b"\nContact"), [400], id="bare LF"),
        pytest.param(VALID[:-30], [400], id="truncated"),
        pytest.param(VALID.replace(b"Via: SIP/2.0/UDP", b"Via: SIP/2.0"), [400], id="unusable Via"),
        pytest.param(VALID[:50], [400], id="truncated before the Via ends"),
        pytest.param(VALID.replace(b"z9hG4bKx", b"z9hG4bK"), [400], id="a branch that is only the cookie"),
        pytest.param(VALID.replace(b"INVITE", b"ACK"), [], id="an ACK of nothing"),
        pytest.param(VALID.replace(b"INVITE", b"ACK").replace(b"Call-ID", b"Caller"), [], id="a broken ACK"),
        pytest.param(b"\x00\xff\xfe" * 100, [], id="noise"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", [], id="HTTP"),
        pytest.param(b"SIP/2.0 200 OK\r\n\r\n", [], id="a broken response"),
        pytest.param(VALID.replace(b"INVITE sip:0002@tollbell.local SIP/2.0", b"SIP/2.0 200 OK"), [],
                     id="a stray response"),
    ],
)  # fmt: skip
def test_malformed_input_has_the_right_answer_or_none_and_disturbs_nobody(
    data: bytes, expected: list[int]
) -> None:
    call = AnsweredCall()
    assert answers(call.exchange, data) == expected
    assert len(call.exchange.security_events) <= 1
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    assert call.caller.statuses("BYE") == [200]


@pytest.mark.parametrize(
    "data",
    [
        VALID.replace(b"Content-Length: 0", b"Content-Length: -1"),
        VALID.replace(b"Via: SIP/2.0/UDP", b"Via: SIP/2.0"),
        b"\x00\xff\xfe" * 100,
        b"SIP/2.0 200 OK\r\n\r\n",
    ],
)
def test_each_malformed_message_is_reported_once(data: bytes) -> None:
    exchange = Exchange()
    exchange.receive(data, STRANGER)
    (event,) = exchange.security_events
    assert event.kind is SecurityEventKind.MALFORMED_MESSAGE
    assert event.flow == STRANGER
    assert event.detail.isprintable()


def test_an_answer_to_a_malformed_request_has_one_to_tag() -> None:
    exchange = Exchange()
    for to in (b"To: <sip:0002@tollbell.local>", b"To: <sip:0002@tollbell.local>;tag=theirs"):
        data = VALID.replace(b"To: <sip:0002@tollbell.local>", to).replace(b"Length: 0", b"Length: -1")
        exchange.outputs.clear()
        exchange.receive(data, STRANGER)
        (answer,) = [output for output in exchange.outputs if isinstance(output, Send)]
        assert answer.data.count(b";tag=") == 2


@pytest.mark.parametrize("data", [b"", b"\r\n", b"\r\n\r\n", b"\x00\x00\x00\x00"])
def test_keep_alives_are_no_messages(data: bytes) -> None:
    exchange = Exchange()
    exchange.receive(data, STRANGER)
    assert exchange.outputs == []


def test_a_copy_of_an_unauthenticated_request_is_challenged_again_with_the_same_tag() -> None:
    """RFC 3261 §8.2.7: there is no transaction, so the To tag must not depend on one."""
    exchange = Exchange()
    tags = set()
    for _ in range(2):
        exchange.outputs.clear()
        exchange.receive(VALID, STRANGER)
        (answer,) = exchange.outputs
        assert isinstance(answer, Send)
        message = parse_message(answer.data)
        message.check()
        tags.add(message.to_tag)
    assert len(tags) == 1
    assert len(exchange.engine._exchange.layer) == 0


def test_a_stream_that_breaks_is_answered_before_it_is_dropped() -> None:
    exchange = Exchange()
    framer = StreamFramer()
    framer.feed(VALID.replace(b"UDP", b"TCP").replace(b"Content-Length: 0", b"Content-Length: -1"))
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    exchange.engine.framing_failed(caught.value, STREAM, exchange.now)
    exchange.deliver()
    (event,) = exchange.security_events
    assert event.kind is SecurityEventKind.MALFORMED_MESSAGE
    (answer,) = [output for output in exchange.outputs if isinstance(output, Send)]
    assert answer.to == STREAM
    assert answer.data.startswith(b"SIP/2.0 400 ")


def test_a_stream_of_noise_is_dropped_without_an_answer() -> None:
    exchange = Exchange()
    framer = StreamFramer()
    framer.feed(b"\x16\x03\x01" * 20_000)
    with pytest.raises(FramingError) as caught:
        framer.next_message()
    exchange.engine.framing_failed(caught.value, STREAM, exchange.now)
    assert [type(output).__name__ for output in exchange.engine.take_outputs()] == ["SecurityEvent"]


def test_no_header_of_ours_can_be_broken_by_what_a_peer_sends() -> None:
    """CRLF injection: escaped line breaks stay escaped, wherever they come from."""
    exchange = Exchange()
    caller, callee = (
        exchange.phone("0001"),
        exchange.phone("0002", contacts=("<sip:0002%0d%0aX:y@phone.example>",)),
    )
    caller.invite("0002")
    assert "x" not in callee.request("INVITE").keys
    exchange.receive(
        VALID.replace(b"sip:0002@tollbell.local SIP", b"sip:%0d%0aEvil:1@tollbell.local SIP"), STRANGER
    )
    assert all(b"\r\nEvil" not in output.data for output in exchange.outputs if isinstance(output, Send))


def test_a_directory_that_is_replaced_is_in_force_at_once() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002")
    replaced = type(exchange.directory)(version=2, accounts={"0001": exchange.directory.accounts["0001"]})
    exchange.engine.directory = replaced
    assert exchange.engine.directory is replaced
    assert caller.invite("0002").statuses == [404]


def test_without_anything_going_on_there_is_no_deadline() -> None:
    exchange = Exchange()
    assert exchange.engine.next_deadline() is None
    exchange.engine.expire(exchange.now)
    exchange.receive(VALID, STRANGER)
    assert exchange.engine.next_deadline() is None


def test_the_deadline_is_the_next_timer_or_the_next_expiry() -> None:
    exchange = Exchange()
    exchange.phone("0001", headers=("Expires: 60",))
    exchange.advance(40)
    assert exchange.engine.next_deadline() == exchange.now + 20


def test_options_for_a_number_is_relayed_to_its_phone_not_answered_here() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002", method="OPTIONS")
    callee.answer(callee.request("OPTIONS"), 200)
    assert attempt.statuses == [200]
    assert attempt.uri == f"sip:0002@{DOMAIN}"
