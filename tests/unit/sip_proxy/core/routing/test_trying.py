"""When the caller gets 100 Trying (RFC 3261 §17.2.1): only when nothing else comes within 200 ms."""

from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Attempt, Exchange, Phone


def invite() -> tuple[Exchange, Phone, Attempt]:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    return exchange, callee, caller.invite("0002")


def test_a_phone_that_takes_its_time() -> None:
    """Its own 100 is for this hop alone, and no sign to the caller (§16.7 step 5)."""
    exchange, callee, attempt = invite()
    callee.answer(callee.request("INVITE"), 100)
    exchange.advance(0.19)
    assert attempt.statuses == []
    exchange.advance(0.01)
    assert attempt.statuses == [100]
    assert attempt.last_response is not None
    assert attempt.last_response.to_tag == ""
    exchange.advance(5)
    callee.answer(callee.request("INVITE"), 180)
    assert attempt.statuses == [100, 180]


def test_a_phone_that_rings_at_once() -> None:
    exchange, callee, attempt = invite()
    exchange.advance(0.19)
    callee.answer(callee.request("INVITE"), 180)
    exchange.advance(5)
    assert attempt.statuses == [180]


def test_a_phone_that_answers_or_refuses_at_once() -> None:
    for status in (200, 486):
        exchange, callee, attempt = invite()
        callee.answer(callee.request("INVITE"), status)
        exchange.advance(0.3)
        assert attempt.statuses == [status]


def test_a_caller_that_asks_again_is_told_at_once_and_once_each_time() -> None:
    exchange, _, attempt = invite()
    attempt.send_again()
    assert attempt.statuses == [100]
    exchange.advance(0.4)
    assert attempt.statuses == [100]
    attempt.send_again()
    assert attempt.statuses == [100, 100]
    assert len({each.encode() for each in attempt.responses}) == 1


def test_a_cancelled_call_that_nobody_reacts_to() -> None:
    exchange, callee, attempt = invite()
    attempt.cancel()
    exchange.advance(0.2)
    assert attempt.statuses == [100]
    callee.answer(callee.request("INVITE"), 180)
    callee.answer(callee.request("INVITE"), 487)
    assert attempt.statuses == [100, 180, 487]


def test_a_reinvite() -> None:
    call = AnsweredCall()
    call.attempt.cseq += 1
    before = len(call.caller.statuses("INVITE"))
    call.caller.send(call.attempt.in_dialog("INVITE", cseq=call.attempt.cseq))
    call.exchange.advance(0.2)
    call.callee.answer(call.callee.request("INVITE"), 200)
    assert call.caller.statuses("INVITE")[before:] == [100, 200]
