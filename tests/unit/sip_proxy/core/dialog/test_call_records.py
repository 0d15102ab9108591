"""One record per attempt, with true instants, whatever is lost, repeated or crossed on the way."""

import gc

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.outputs import CallChanged, CallRecorded, CallSaved, LiveCallState, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import START, WALL_OFFSET, Exchange

WALL_START = START + WALL_OFFSET


def test_the_record_of_an_answered_call_has_all_its_instants() -> None:
    call = AnsweredCall()
    call.exchange.advance(60)
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    record = call.exchange.the_record
    assert (record.caller, record.callee, record.call_id) == ("0001", "0002", call.attempt.call_id)
    assert record.invited_at == pytest.approx(WALL_START)
    assert record.ringing_at == pytest.approx(WALL_START + 0.1)
    assert record.answered_at == pytest.approx(WALL_START + 4.1)
    assert record.acknowledged_at == pytest.approx(WALL_START + 4.15)
    assert record.ended_at == pytest.approx(WALL_START + 64.15)
    assert record.duration_us == 60_050_000
    assert (record.outcome, record.status, record.reason) == (Outcome.ANSWERED, 200, "OK")
    assert (record.ended_by, record.emergency) == (EndedBy.CALLER, False)


def test_the_called_side_may_hang_up() -> None:
    call = AnsweredCall()
    call.callee_sends("BYE")
    bye = call.caller.request("BYE")
    assert bye.uri == call.caller.contact
    call.caller.answer(bye, 200)
    assert call.callee.statuses("BYE") == [200]
    assert call.exchange.the_record.ended_by is EndedBy.CALLEE


def test_an_administrator_sees_the_call_from_the_invite_to_its_end() -> None:
    call = AnsweredCall()
    (live,) = call.exchange.engine.live_calls()
    assert live.state is LiveCallState.ANSWERED
    call.attempt.bye()
    assert call.exchange.engine.live_calls() == []
    assert call.exchange.call_states == [
        LiveCallState.INVITING, LiveCallState.RINGING, LiveCallState.ANSWERED, LiveCallState.ENDED,
    ]  # fmt: skip
    changes = [output.call for output in call.exchange.outputs if isinstance(output, CallChanged)]
    assert {change.id for change in changes} == {call.exchange.the_record.record_id}


def test_while_nobody_watches_nothing_is_told_of_how_a_call_goes_on() -> None:
    call = AnsweredCall()
    told = len(call.exchange.call_states)
    call.exchange.engine.is_watched = False
    call.attempt.bye()
    assert len(call.exchange.call_states) == told
    assert call.exchange.the_record.ended_by is EndedBy.CALLER


def test_the_answer_is_saved_before_the_caller_hears_of_it() -> None:
    call = AnsweredCall(acknowledged=False)
    outputs = call.exchange.outputs
    saved = next(index for index, output in enumerate(outputs) if isinstance(output, CallSaved))
    (answer,) = [
        index
        for index, output in enumerate(outputs)
        if isinstance(output, Send) and output.data.startswith(b"SIP/2.0 200") and b"INVITE" in output.data
    ]
    assert saved < answer
    send = outputs[answer]
    assert isinstance(send, Send)
    assert send.after_journal


def test_the_end_is_recorded_before_whoever_hung_up_hears_of_it() -> None:
    call = AnsweredCall()
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    outputs = call.exchange.outputs
    recorded = next(index for index, output in enumerate(outputs) if isinstance(output, CallRecorded))
    last = outputs[-1]
    assert recorded < len(outputs) - 1
    assert isinstance(last, Send)
    assert last.data.startswith(b"SIP/2.0 200")
    assert last.after_journal


def test_a_repeated_bye_makes_no_second_record() -> None:
    call = AnsweredCall()
    data = call.attempt.bye()
    call.exchange.advance(1)
    call.caller.send(data)
    call.callee.answer(call.callee.request("BYE"), 200)
    call.caller.send(data)
    assert len(call.exchange.records) == 1
    assert call.caller.statuses("BYE") == [200, 200]


def test_both_sides_may_hang_up_at_the_same_time() -> None:
    call = AnsweredCall()
    call.attempt.bye()
    call.callee_sends("BYE")
    call.callee.answer(call.callee.request("BYE"), 200)
    call.caller.answer(call.caller.request("BYE"), 200)
    assert call.caller.statuses("BYE") == [200]
    assert call.callee.statuses("BYE") == [200]
    assert call.exchange.the_record.ended_by is EndedBy.CALLER


@pytest.mark.parametrize("status", [481, 408, 500, 403])
def test_a_bye_that_is_refused_ends_the_record_and_the_other_side_is_hung_up_on(status: int) -> None:
    """A BYE made to be refused must not give a call that goes on for free."""
    call = AnsweredCall()
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), status)
    assert len(call.exchange.records) == 1
    first, second = call.callee.requests("BYE")
    assert second.uri == call.callee.contact
    assert second.cseq > first.cseq
    assert (second.from_tag, second.to_tag) == (first.from_tag, first.to_tag)


def test_a_bye_that_nobody_answers_still_ends_the_record_at_its_instant() -> None:
    call = AnsweredCall()
    call.exchange.advance(10)
    call.attempt.bye()
    call.exchange.advance(100)
    assert call.exchange.the_record.duration_us == 10_050_000


def test_a_bye_with_an_old_cseq_is_refused_and_ends_nothing() -> None:
    """§12.2.2: the called phone would refuse it, and the call would go on unrecorded."""
    call = AnsweredCall()
    call.caller.send(call.attempt.in_dialog("BYE", cseq=call.attempt.cseq))
    assert call.caller.statuses("BYE") == [500]
    assert call.callee.requests("BYE") == []
    assert call.exchange.records == []


def test_a_bye_before_the_ack_ends_the_call_and_the_late_ack_still_passes() -> None:
    call = AnsweredCall(acknowledged=False)
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    call.attempt.ack()
    assert call.callee.requests("ACK")
    record = call.exchange.the_record
    assert record.outcome is Outcome.ANSWERED
    assert record.acknowledged_at is None


def test_repeated_answers_and_acks_pass_and_change_nothing() -> None:
    call = AnsweredCall()
    call.exchange.advance(0.5)
    call.callee.send(call.ok)
    call.attempt.ack()
    assert call.attempt.statuses == [180, 200, 200]
    acks = call.callee.requests("ACK")
    assert len(acks) == 2
    call.attempt.bye()
    record = call.exchange.the_record
    assert record.answered_at == pytest.approx(WALL_START + 4.1)
    assert record.acknowledged_at == pytest.approx(WALL_START + 4.15)


def test_a_repeated_ack_is_forwarded_on_the_same_branch() -> None:
    """§16.11: it is forwarded without a transaction."""
    call = AnsweredCall()
    call.caller.send(call.caller.sent[-1])
    first, second = call.callee.requests("ACK")
    assert first.values("via")[0] == second.values("via")[0]


def test_a_call_without_any_ack_is_ended_after_64_t1() -> None:
    """§13.3.1.4: the caller may be gone, or withholds the ACK to talk for free."""
    call = AnsweredCall(acknowledged=False)
    call.exchange.advance(31.9)
    assert call.exchange.records == []
    call.exchange.advance(0.1)
    record = call.exchange.the_record
    assert (record.outcome, record.ended_by) == (Outcome.ANSWERED, EndedBy.EXCHANGE)
    assert record.duration_us == 32_000_000
    assert call.caller.requests("BYE")
    assert call.callee.requests("BYE")


def test_an_answer_without_ringing_has_no_ringing_instant() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    attempt.bye()
    assert exchange.the_record.ringing_at is None


def test_the_duration_is_monotonic_even_when_the_wall_clock_is_set_back() -> None:
    call = AnsweredCall()
    call.exchange.engine.wall_offset -= 3600
    call.exchange.advance(10)
    call.attempt.bye()
    record = call.exchange.the_record
    assert record.duration_us == 10_050_000
    assert record.answered_at is not None
    assert record.acknowledged_at is not None
    assert record.ended_at >= record.acknowledged_at >= record.answered_at


@pytest.mark.parametrize("set_back_before", ["ringing", "answered", "acknowledged", "ended"])
def test_the_instants_of_a_call_are_in_order_whenever_the_wall_clock_is_set_back(
    set_back_before: str,
) -> None:
    """Billing rejects a record that contradicts itself, and the call would never be billed."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")

    def goes_on(to: str) -> None:
        exchange.advance(10)
        if to == set_back_before:
            exchange.engine.wall_offset -= 3600

    attempt = caller.invite("0002")
    goes_on("ringing")
    callee.answer(callee.request("INVITE"), 180)
    goes_on("answered")
    callee.answer(callee.request("INVITE"), 200)
    goes_on("acknowledged")
    attempt.ack()
    goes_on("ended")
    attempt.bye()
    record = exchange.the_record
    assert record.duration_us == 20_000_000
    instants = [
        record.invited_at,
        record.ringing_at,
        record.answered_at,
        record.acknowledged_at,
        record.ended_at,
    ]
    known = [instant for instant in instants if instant is not None]
    assert len(known) == 5
    assert known == sorted(known)


def test_calls_to_emergency_numbers_are_marked() -> None:
    exchange = Exchange()
    caller, desk = exchange.phone("0001"), exchange.phone("9911")
    attempt = caller.invite("9911")
    desk.answer(desk.request("INVITE"), 200)
    attempt.ack()
    attempt.bye()
    assert exchange.the_record.emergency


def test_what_goes_into_a_record_can_be_stored_anywhere() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    caller.invite("%00%ff%0d%0a7", call_id="id\x01\x7f@x")
    record = exchange.the_record
    for text in (record.call_id, record.callee, record.reason):
        assert text.isprintable()
        text.encode()


def test_record_ids_are_128_bits_and_unique() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    for _ in range(50):
        caller.invite("7777")
    ids = {record.record_id for record in exchange.records}
    assert len(ids) == 50
    assert all(len(record_id) == 32 and int(record_id, 16) for record_id in ids)


def test_calls_that_are_over_leave_no_reference_cycles_behind() -> None:
    """What is over is freed at once: the garbage collector is not needed on the way of a call."""
    call = AnsweredCall()

    def one_of_each() -> None:
        """A call that is answered, one that is cancelled, one that is refused."""
        attempt = call.caller.invite("0002")
        invite = call.callee.request("INVITE")
        call.callee.answer(invite, 180)
        call.callee.answer(invite, 200)
        attempt.ack()
        attempt.bye()
        call.callee.answer(call.callee.request("BYE"), 200)
        attempt = call.caller.invite("0002")
        invite = call.callee.request("INVITE")
        call.callee.answer(invite, 180)
        attempt.cancel()
        call.callee.answer(call.callee.request("CANCEL"), 200)
        call.callee.answer(invite, 487)
        call.caller.invite("7777")
        call.exchange.advance(300)
        for phone in (call.caller, call.callee):
            phone.inbox.clear()
            phone.sent.clear()
        call.exchange.outputs.clear()

    one_of_each()
    gc.collect()
    gc.disable()
    try:
        one_of_each()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_nothing_is_kept_of_calls_that_are_over() -> None:
    call = AnsweredCall()
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    call.exchange.advance(100)
    call.exchange.outputs.clear()
    call.callee_sends("BYE", cseq=5)
    assert call.callee.statuses("BYE")[-1] == 481
    engine = call.exchange.engine
    assert len(engine._exchange.layer) == 0
    assert engine.live_calls() == []
