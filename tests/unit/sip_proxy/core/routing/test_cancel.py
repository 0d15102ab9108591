"""CANCEL (RFC 3261 §9, §16.10), and the race between it and an answer."""

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.outputs import LiveCallState
from tests.support.sip_phones import Attempt, Exchange, Phone


def ringing() -> tuple[Exchange, Phone, Phone, Attempt]:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180)
    return exchange, caller, callee, attempt


def test_cancel_is_answered_here_and_sent_on_by_us() -> None:
    exchange, caller, callee, attempt = ringing()
    attempt.cancel()
    assert caller.statuses("CANCEL") == [200]
    cancel, invite = callee.request("CANCEL"), callee.request("INVITE")
    assert cancel.uri == invite.uri
    assert cancel.values("via") == invite.values("via")[:1]
    assert (cancel.cseq, cancel.call_id, cancel.from_tag) == (invite.cseq, invite.call_id, invite.from_tag)
    callee.answer(cancel, 200)
    callee.answer(invite, 487)
    assert attempt.statuses == [180, 487]
    record = exchange.the_record
    assert (record.outcome, record.ended_by, record.status) == (Outcome.CANCELLED, EndedBy.CALLER, 487)
    assert record.answered_at is None


def test_a_retransmitted_cancel_is_absorbed() -> None:
    _, caller, callee, attempt = ringing()
    attempt.cancel()
    caller.send(caller.sent[-1])
    assert caller.statuses("CANCEL") == [200, 200]
    assert len(callee.requests("CANCEL")) == 1


def test_a_cancel_before_any_provisional_waits_for_one() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    attempt.cancel()
    assert caller.statuses("CANCEL") == [200]
    assert callee.requests("CANCEL") == []
    callee.answer(callee.request("INVITE"), 100)
    assert len(callee.requests("CANCEL")) == 1


def test_a_cancelled_call_that_nobody_ever_answered_ends_as_cancelled() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002")
    attempt = caller.invite("0002")
    attempt.cancel()
    exchange.advance(32)
    assert attempt.statuses == [100, 487]
    assert exchange.the_record.outcome is Outcome.CANCELLED


def test_a_phone_that_never_ends_its_cancelled_invite_is_given_up_after_64_t1() -> None:
    """§9.1."""
    exchange, _, _, attempt = ringing()
    attempt.cancel()
    exchange.advance(31.9)
    assert attempt.statuses == [180]
    exchange.advance(0.1)
    assert attempt.statuses == [180, 487]
    assert exchange.the_record.outcome is Outcome.CANCELLED


@pytest.mark.parametrize("late_s", [0, 31])
def test_an_answer_after_the_cancel_is_hung_up_on_and_costs_nothing(late_s: int) -> None:
    """The caller gave up first, and its phone may be gone. §16.7 would pass the 2xx: `CallSetup.success`."""
    exchange, _, callee, attempt = ringing()
    invite = callee.request("INVITE")
    attempt.cancel()
    exchange.advance(late_s)
    callee.answer(invite, 200)
    callee.answer(callee.request("BYE"), 200)
    callee.answer(invite, 200)
    assert attempt.statuses == [180, 487]
    assert (len(callee.requests("ACK")), len(callee.requests("BYE"))) == (2, 1)
    record = exchange.the_record
    assert (record.outcome, record.ended_by, record.duration_us) == (Outcome.CANCELLED, EndedBy.CALLER, 0)
    assert exchange.engine.live_calls() == []


def test_an_emergency_call_that_is_answered_after_its_cancel_is_passed_on() -> None:
    """Nobody pays for it, and who helps may want to know what happened."""
    exchange = Exchange()
    caller, desk = exchange.phone("0001"), exchange.phone("9911")
    attempt = caller.invite("9911")
    desk.answer(desk.request("INVITE"), 180)
    attempt.cancel()
    desk.answer(desk.request("INVITE"), 200)
    assert attempt.statuses == [180, 200]


def test_an_answer_long_after_the_cancel_is_nobodys_call() -> None:
    """§9.1: the transaction is gone; the phone hangs up by itself when no ACK comes (§13.3.1.4)."""
    exchange, _, callee, attempt = ringing()
    attempt.cancel()
    exchange.advance(32)
    callee.answer(callee.request("INVITE"), 200)
    assert attempt.statuses == [180, 487]
    assert callee.requests("ACK") == []
    assert exchange.engine.live_calls() == []
    assert len(exchange.records) == 1


def test_a_cancel_after_the_answer_changes_nothing() -> None:
    exchange, caller, callee, attempt = ringing()
    callee.answer(callee.request("INVITE"), 200)
    attempt.cancel()
    assert caller.statuses("CANCEL") == [200]
    assert callee.requests("CANCEL") == []
    assert [call.state for call in exchange.engine.live_calls()] == [LiveCallState.ANSWERED]


def test_a_cancel_for_nothing_is_answered_481() -> None:
    exchange, caller, _, attempt = ringing()
    attempt.branch = "z9hG4bKother"
    attempt.cancel()
    assert caller.statuses("CANCEL") == [481]
    assert exchange.records == []


def test_somebody_else_cannot_cancel_with_another_sent_by() -> None:
    _, _, callee, attempt = ringing()
    attempt.phone = callee
    attempt.cancel()
    assert callee.statuses("CANCEL") == [481]
    assert callee.requests("CANCEL") == []


def test_a_provisional_after_the_cancel_repeats_nothing() -> None:
    _, _, callee, attempt = ringing()
    attempt.cancel()
    callee.answer(callee.request("INVITE"), 180)
    assert len(callee.requests("CANCEL")) == 1


def test_why_the_caller_gave_up_goes_on_to_every_phone() -> None:
    """RFC 3326 §2."""
    exchange = Exchange()
    caller, *phones = exchange.phone("0001"), exchange.phone("0002"), exchange.phone("0002")
    attempt = caller.invite("0002")
    for phone in phones:
        phone.answer(phone.request("INVITE"), 180)
    reason = 'SIP;cause=200;text="Call completed elsewhere"'
    data = caller.build(
        "CANCEL", attempt.uri, to=attempt.to, call_id=attempt.call_id, from_tag=attempt.from_tag,
        cseq=attempt.cseq, branch=attempt.branch, headers=(f"Reason: {reason}",),
    )  # fmt: skip
    caller.send(data)
    assert [phone.request("CANCEL").line_values("reason") for phone in phones] == [[reason], [reason]]
