"""Calls ended from the middle, and calls that outlive the process (RFC 3261 §15.1.1)."""

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.flow import Transport
from sip_proxy.core.outputs import CallSaved, LiveCallState
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Exchange


def end(exchange: Exchange, call_id: str) -> bool:
    was_live = exchange.engine.end_call(call_id, exchange.now)
    exchange.deliver()
    return was_live


def test_ending_an_answered_call_sends_bye_to_both_sides_in_the_name_of_the_other() -> None:
    call = AnsweredCall()
    call.exchange.advance(10)
    (live,) = call.exchange.engine.live_calls()
    assert end(call.exchange, live.id)
    to_caller, to_callee = call.caller.request("BYE"), call.callee.request("BYE")
    assert to_caller.uri == call.caller.contact
    assert (to_caller.from_tag, to_caller.to_tag) == ("callee", call.attempt.from_tag)
    assert to_callee.uri == call.callee.contact
    assert (to_callee.from_tag, to_callee.to_tag) == (call.attempt.from_tag, "callee")
    assert to_callee.cseq > call.attempt.cseq
    assert to_caller.call_id == to_callee.call_id == call.attempt.call_id
    assert to_caller.first("reason") == 'Q.850;cause=31;text="The call was ended by the administrator"'
    record = call.exchange.the_record
    assert (record.outcome, record.ended_by, record.duration_us) == (
        Outcome.ANSWERED, EndedBy.EXCHANGE, 10_050_000,
    )  # fmt: skip


def test_our_bye_is_repeated_until_it_is_answered() -> None:
    call = AnsweredCall()
    (live,) = call.exchange.engine.live_calls()
    end(call.exchange, live.id)
    call.callee.answer(call.callee.request("BYE"), 200)
    call.exchange.advance(40)
    assert len(call.callee.requests("BYE")) == 1
    assert len(call.caller.requests("BYE")) == 11
    assert len(call.exchange.records) == 1


def test_ending_a_ringing_call_cancels_it_and_tells_the_caller() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180)
    (live,) = exchange.engine.live_calls()
    assert end(exchange, live.id)
    assert attempt.statuses == [180, 480]
    why = 'Q.850;cause=41;text="The call was ended by the administrator"'
    assert callee.request("CANCEL").line_values("reason") == [why]
    record = exchange.the_record
    assert record.ended_by is EndedBy.EXCHANGE
    assert record.reason == "The call was ended by the administrator"
    assert record.answered_at is None


def test_a_call_that_is_not_there_cannot_be_ended() -> None:
    call = AnsweredCall()
    (live,) = call.exchange.engine.live_calls()
    assert end(call.exchange, live.id)
    assert not end(call.exchange, live.id)
    assert not end(call.exchange, "nonsense")
    assert len(call.exchange.records) == 1


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("by_caller", [True, False])
def test_a_call_outlives_a_restart_and_is_recorded_with_its_true_duration(
    by_caller: bool, transport: Transport
) -> None:
    call = AnsweredCall(callee_transport=transport)
    before = call.exchange.engine.live_calls()
    call.exchange.advance(30)
    call.exchange.restart()
    (live,) = call.exchange.engine.live_calls()
    assert live.id == before[0].id
    assert live.state is LiveCallState.ANSWERED
    call.exchange.advance(30)
    if by_caller:
        call.attempt.bye()
        call.callee.answer(call.callee.request("BYE"), 200)
        assert call.caller.statuses("BYE") == [200]
    else:
        call.callee_sends("BYE")
        call.caller.answer(call.caller.request("BYE"), 200)
        assert call.callee.statuses("BYE") == [200]
    record = call.exchange.the_record
    assert record.record_id == live.id
    assert record.duration_us == 60_050_000
    assert record.answered_at == before[0].answered_at
    assert record.ended_by is (EndedBy.CALLER if by_caller else EndedBy.CALLEE)


def test_an_exchange_that_stops_in_good_order_keeps_what_it_knows_of_every_call() -> None:
    """After `kill -9` the journal may be five minutes behind."""
    call = AnsweredCall()
    call.exchange.advance(50)
    call.callee_sends("INFO", cseq=7)
    call.caller.answer(call.caller.request("INFO"), 200)
    call.exchange.engine.save_calls(call.exchange.now)
    call.exchange.deliver()
    call.exchange.restart()
    call.exchange.advance(600)
    record = call.exchange.the_record
    assert record.duration_us == 50_050_000
    assert record.acknowledged_at is not None
    assert call.caller.request("BYE").cseq > 7


def test_after_a_reboot_the_duration_is_taken_from_the_wall_clock() -> None:
    call = AnsweredCall()
    (saved,) = [output for output in call.exchange.outputs if isinstance(output, CallSaved)]
    exchange = call.exchange
    exchange.engine = exchange.make_engine(seed=3)
    exchange.engine.wall_offset += exchange.now + 100.0  # the monotonic clock began anew, 100 s later
    exchange.now = 0.0
    exchange.engine.restore_call(saved.state, exchange.now, same_boot=False)
    exchange.advance(20)
    call.attempt.bye()
    assert exchange.the_record.duration_us == pytest.approx(120_050_000, abs=10)


def test_after_a_reboot_with_a_clock_that_is_not_set_no_proved_time_is_lost() -> None:
    call = AnsweredCall()
    exchange = call.exchange
    for cseq in (10, 11):
        exchange.advance(50)
        call.caller.send(call.attempt.in_dialog("UPDATE", cseq=cseq))
        call.callee.answer(call.callee.request("UPDATE"), 200)
    saved = [output for output in exchange.outputs if isinstance(output, CallSaved)][-1]
    exchange.engine = exchange.make_engine(seed=3)
    exchange.engine.wall_offset, exchange.now = 0.0, 5.0  # 1970
    exchange.engine.restore_call(saved.state, exchange.now, same_boot=False)
    exchange.advance(4)
    call.caller.send(call.attempt.in_dialog("BYE", cseq=12))
    assert exchange.the_record.duration_us == pytest.approx(104_050_000, abs=10)


@pytest.mark.parametrize("ahead_s", [3600, 12 * 3600, 366 * 86_400])
def test_after_a_reboot_with_a_clock_that_is_ahead_only_proved_time_is_charged(ahead_s: int) -> None:
    """It may be set to another time zone, or to nothing that makes sense, until somebody sets it right."""
    call = AnsweredCall()
    exchange = call.exchange
    exchange.advance(50)
    call.caller.send(call.attempt.in_dialog("UPDATE", cseq=10))
    call.callee.answer(call.callee.request("UPDATE"), 200)
    saved = [output for output in exchange.outputs if isinstance(output, CallSaved)][-1]
    wall = exchange.now + exchange.engine.wall_offset + 100.0
    exchange.engine = exchange.make_engine(seed=3)
    exchange.now = 5.0
    exchange.engine.wall_offset = wall + ahead_s - exchange.now
    exchange.engine.restore_call(saved.state, exchange.now, same_boot=False)
    exchange.advance(2)
    exchange.engine.wall_offset -= ahead_s  # it is set
    exchange.advance(2)
    call.caller.send(call.attempt.in_dialog("BYE", cseq=12))
    record = exchange.the_record
    assert record.duration_us == pytest.approx(54_050_000, abs=10)
    assert record.answered_at is not None
    assert record.ended_at - record.answered_at == pytest.approx(154, abs=1)


def test_a_restored_call_can_be_ended_from_the_middle_with_cseq_numbers_above_all_used() -> None:
    call = AnsweredCall()
    for cseq in (10, 11, 12):
        call.callee_sends("INFO", cseq=cseq)
    call.exchange.restart()
    (live,) = call.exchange.engine.live_calls()
    assert end(call.exchange, live.id)
    assert call.caller.request("BYE").cseq > 12
    assert call.callee.request("BYE").cseq > call.attempt.cseq


def test_a_bye_right_after_a_restart_is_not_too_old() -> None:
    """Our margin for requests of our own must not make the phones' own CSeq numbers look old."""
    call = AnsweredCall()
    call.exchange.restart()
    call.attempt.bye()
    assert call.callee.requests("BYE")
    assert len(call.exchange.records) == 1


def test_a_call_that_was_over_does_not_come_back() -> None:
    call = AnsweredCall()
    call.attempt.bye()
    call.exchange.restart()
    assert call.exchange.engine.live_calls() == []


def test_an_answer_that_waits_for_the_disk_for_ever_costs_nothing() -> None:
    """The caller never hears it: it is held back until the journal knows of it."""
    call = AnsweredCall(acknowledged=False)
    call.exchange.advance(2)
    call.exchange.engine.journal_available = False  # the disk has not answered since then
    call.exchange.advance(31)
    record = call.exchange.the_record
    assert (record.outcome, record.status, record.ended_by) == (Outcome.FAILED, 503, EndedBy.EXCHANGE)
    assert (record.answered_at, record.acknowledged_at, record.duration_us) == (None, None, 0)
    assert call.caller.requests("BYE")
    assert call.callee.requests("BYE")


def test_who_hangs_up_on_a_caller_that_cannot_hear_him_makes_no_call_of_it() -> None:
    call = AnsweredCall(acknowledged=False)
    call.exchange.engine.journal_available = False
    call.exchange.advance(5)
    call.callee_sends("BYE", cseq=2)
    record = call.exchange.the_record
    assert (record.outcome, record.ended_by, record.duration_us) == (Outcome.FAILED, EndedBy.CALLEE, 0)


@pytest.mark.parametrize("restored", [False, True])
def test_a_call_that_stood_when_the_disk_failed_is_charged(restored: bool) -> None:
    call = AnsweredCall()
    if restored:  # the journal knows of the answer, not of the ACK
        call.exchange.restart()
    call.exchange.engine.journal_available = False
    call.exchange.advance(3)
    call.attempt.bye()
    record = call.exchange.the_record
    assert (record.outcome, record.duration_us) == (Outcome.ANSWERED, 3_050_000)


def test_restoring_twice_is_restoring_once() -> None:
    call = AnsweredCall()
    (saved,) = [output for output in call.exchange.outputs if isinstance(output, CallSaved)]
    call.exchange.restart()
    call.exchange.engine.restore_call(saved.state, call.exchange.now, same_boot=True)
    assert len(call.exchange.engine.live_calls()) == 1
    call.attempt.bye()
    assert len(call.exchange.records) == 1


def test_a_call_that_was_only_ringing_is_lost_with_the_process_and_never_billed() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180)
    exchange.restart()
    callee.answer(callee.request("INVITE"), 200)
    assert attempt.statuses == [180]
    assert exchange.engine.live_calls() == []


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_an_answer_that_was_kept_but_not_passed_on_reaches_the_caller_after_a_restart(
    transport: Transport,
) -> None:
    """The journal knows of the answer, the caller doesn't: the callee's repeated 200 must get through."""
    call = AnsweredCall(acknowledged=False, caller_transport=transport)
    call.caller.inbox = [each for each in call.caller.inbox if each not in call.attempt.responses[-1:]]
    call.exchange.restart()
    call.callee.send(call.ok)
    answer = call.attempt.responses[-1]
    assert answer.status == 200
    assert len(answer.values("via")) == 1
    call.attempt.ack()
    assert call.callee.requests("ACK")
    before = len(call.attempt.responses)
    call.callee.send(call.ok)
    assert len(call.attempt.responses) == before  # acknowledged: nobody waits for it any more
    call.attempt.bye()
    assert call.exchange.the_record.duration_us == 0


def test_stray_answers_of_other_calls_go_nowhere() -> None:
    call = AnsweredCall(acknowledged=False)
    call.exchange.restart()
    for wrong in (
        call.ok.replace(b"SIP/2.0 200 OK", b"SIP/2.0 180 Ringing"),
        call.ok.replace(b"SIP/2.0 200 OK", b"SIP/2.0 486 Busy"),
        call.ok.replace(b"tag=callee", b"tag=other"),
        call.ok.replace(b"192.0.2.1:5060;branch", b"192.0.2.9:5060;branch"),
        call.ok.replace(call.attempt.call_id.encode(), b"another@call"),
    ):
        call.exchange.outputs.clear()
        call.callee.send(wrong)
        assert call.exchange.outputs == []


def test_restored_calls_count_against_the_limits() -> None:
    call = AnsweredCall()
    call.exchange.restart()
    counts = call.exchange.engine._calls.counts
    assert (counts.total, counts.of("0001"), counts.of("0002")) == (1, 1, 1)
