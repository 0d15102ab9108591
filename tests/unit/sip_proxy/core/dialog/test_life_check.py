"""Ghost calls end, and end at the last proof of life that the called side gave."""

from math import ceil

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.flow import Transport
from sip_proxy.core.outputs import CallSaved, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Exchange, Phone

ACKNOWLEDGED_US = 50_000  # from the answer to its ACK, which is a sign of life of both


def live_on(call: AnsweredCall, seconds: float, *phones: Phone, status: int = 200) -> None:
    """Time goes by, second by second, and these phones answer what they are asked."""
    for _ in range(round(seconds)):
        call.exchange.advance(1)
        for phone in phones:
            for request in phone.requests("INFO"):
                phone.inbox.remove(request)
                phone.answer(request, status)


def test_a_call_between_phones_that_answer_goes_on() -> None:
    call = AnsweredCall()
    live_on(call, 30 * 3600, call.caller, call.callee)
    assert len(call.exchange.engine.live_calls()) == 1
    call.attempt.bye()
    assert call.exchange.the_record.duration_us == 30 * 3600 * 1_000_000 + ACKNOWLEDGED_US


def test_a_short_call_is_not_disturbed() -> None:
    call = AnsweredCall()
    call.exchange.advance(59)
    call.attempt.bye()
    assert call.caller.requests("INFO") == call.callee.requests("INFO") == []


def test_the_question_goes_to_each_side_in_the_dialog_in_the_name_of_the_other() -> None:
    call = AnsweredCall()
    call.exchange.advance(60)
    to_callee, to_caller = call.callee.request("INFO"), call.caller.request("INFO")
    assert to_callee.uri == call.callee.contact
    assert (to_callee.from_tag, to_callee.to_tag) == (call.attempt.from_tag, "callee")
    assert to_caller.uri == call.caller.contact
    assert (to_caller.from_tag, to_caller.to_tag) == ("callee", call.attempt.from_tag)
    assert to_callee.call_id == to_caller.call_id == call.attempt.call_id


def test_the_question_uses_up_no_cseq_number_of_the_other_side() -> None:
    """RFC 3261 §12.2.2: else the next request of the phone itself would be out of order."""
    call = AnsweredCall()
    call.exchange.advance(60)
    assert call.callee.request("INFO").cseq == call.attempt.cseq
    assert call.caller.request("INFO").cseq == 0
    call.callee_sends("MESSAGE", cseq=7)
    live_on(call, 60, call.callee)
    assert call.caller.request("INFO").cseq == 7


@pytest.mark.parametrize(("lost", "ended_s"), [("callee", 3600), ("caller", 3840)])
def test_a_call_with_a_phone_that_lost_its_power_ends_with_the_last_proof_of_the_called_one(
    lost: str, ended_s: int
) -> None:
    """A caller who answers no question any more is given up after three; the called side answered those."""
    call = AnsweredCall()
    live_on(call, 3600, call.caller, call.callee)
    alive = call.callee if lost == "caller" else call.caller
    live_on(call, 300, alive)
    record = call.exchange.the_record
    assert record.duration_us == pytest.approx(ended_s * 1_000_000 + ACKNOWLEDGED_US, abs=2_000_000)
    assert record.answered_at is not None
    assert record.ended_at - record.answered_at == pytest.approx(record.duration_us / 1e6, abs=1e-5)
    assert (record.outcome, record.ended_by) == (Outcome.ANSWERED, EndedBy.EXCHANGE)
    assert call.caller.requests("BYE")
    assert call.callee.requests("BYE")
    assert alive.request("BYE").first("reason") == 'Q.850;cause=102;text="A phone is no longer there"'
    assert call.exchange.engine.live_calls() == []


def test_a_caller_who_answers_no_question_gets_nothing_for_it() -> None:
    """With a filter for INFO in his phone he could else talk for minutes at the price of the first one."""
    call = AnsweredCall()
    live_on(call, 600, call.callee)
    assert call.exchange.the_record.duration_us == pytest.approx(240 * 1_000_000, abs=2_000_000)


def test_a_caller_who_denies_the_call_pays_to_its_end() -> None:
    """He could else save what was talked since the last question, by answering the next one 481."""
    call = AnsweredCall()
    live_on(call, 110, call.caller, call.callee)
    for _ in range(20):
        live_on(call, 1, call.caller, status=481)
        live_on(call, 1, call.callee)
    assert call.callee.requests("BYE")
    assert call.exchange.the_record.duration_us == pytest.approx(121 * 1_000_000, abs=2_000_000)


def test_a_caller_that_is_heard_of_during_the_last_question_is_not_gone() -> None:
    call = AnsweredCall()
    live_on(call, 242, call.callee)
    assert call.exchange.records == []
    call.caller.send(call.attempt.in_dialog("INFO"))
    live_on(call, 600, call.caller, call.callee)
    assert len(call.exchange.engine.live_calls()) == 1


def test_when_both_sides_are_gone_it_ends_with_the_last_proof_of_the_called_one() -> None:
    call = AnsweredCall()
    live_on(call, 120, call.caller, call.callee)
    live_on(call, 60, call.caller)
    live_on(call, 300)
    assert call.exchange.the_record.duration_us == 120 * 1_000_000 + ACKNOWLEDGED_US


def test_any_request_in_the_dialog_is_a_sign_of_life() -> None:
    """Phones that answer no question, and say something else now and then."""
    call = AnsweredCall()
    for cseq in range(2, 20):
        call.exchange.advance(125)
        call.callee_sends("MESSAGE", cseq=cseq)
        call.caller.answer(call.caller.request("MESSAGE"), 200)
    assert call.exchange.records == []


@pytest.mark.parametrize("talked_s", [5, 59, 62, 119, 185])
@pytest.mark.parametrize("heard_before", [False, True])
def test_who_hangs_up_past_the_exchange_saves_no_minute(talked_s: int, heard_before: bool) -> None:
    """The BYE goes from phone to phone. Each minute begins with a question, whatever was heard before."""
    call = AnsweredCall()
    for second in range(1, talked_s + 1):
        live_on(call, 1, call.caller, call.callee)
        if heard_before and second % 60 == 50:
            call.callee_sends("MESSAGE", cseq=second)
            call.caller.answer(call.caller.request("MESSAGE"), 200)
    live_on(call, 65, call.caller, call.callee, status=481)
    record = call.exchange.the_record
    assert ceil(record.duration_us / 60e6) == ceil(talked_s / 60)
    assert record.duration_us <= talked_s * 1_000_000


@pytest.mark.parametrize("status", [200, 405, 500, 501, 486])
def test_whatever_a_phone_that_knows_the_call_answers_is_a_sign_of_life(status: int) -> None:
    """500: the phone finds our CSeq number too low. It has found the dialog first."""
    call = AnsweredCall()
    live_on(call, 1200, call.caller, call.callee, status=status)
    assert len(call.exchange.engine.live_calls()) == 1


@pytest.mark.parametrize("status", [408, 481])
def test_a_phone_that_forgot_the_call_is_gone(status: int) -> None:
    call = AnsweredCall()
    for _ in range(300):
        live_on(call, 1, call.caller)
        live_on(call, 1, call.callee, status=status)
        if call.exchange.records:
            break
    assert call.exchange.the_record.duration_us == ACKNOWLEDGED_US


def test_a_few_lost_questions_do_no_harm() -> None:
    call = AnsweredCall()
    for _ in range(5):
        live_on(call, 150)
        live_on(call, 100, call.caller, call.callee)
    assert len(call.exchange.engine.live_calls()) == 1


def test_a_phone_whose_connection_broke_is_missing_until_it_comes_back() -> None:
    call = AnsweredCall(callee_transport=Transport.TLS)
    call.exchange.engine.flow_closed(call.callee.flow, call.exchange.now)
    call.exchange.deliver()
    live_on(call, 300, call.caller)
    assert call.exchange.the_record.duration_us == ACKNOWLEDGED_US
    assert call.caller.requests("BYE")


@pytest.mark.parametrize("alive", ["caller", "callee"])
def test_a_call_that_was_restored_is_watched_too(alive: str) -> None:
    """Also a caller's silence counts there: its BYE may have come while no exchange was running."""
    call = AnsweredCall()
    call.exchange.restart()
    live_on(call, 600, call.caller if alive == "caller" else call.callee)
    assert call.exchange.the_record.duration_us == 0  # the journal knows of the answer only


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_that_was_hung_up_while_no_exchange_was_there_ends_soon_after_the_restart(who: str) -> None:
    call = AnsweredCall()
    live_on(call, 900, call.caller, call.callee)
    call.exchange.restart()
    gone, alive = (call.caller, call.callee) if who == "caller" else (call.callee, call.caller)
    call.exchange.advance(4)
    assert gone.requests("INFO") == []  # it may still be repeating its BYE
    call.exchange.advance(2)
    gone.answer(gone.request("INFO"), 481)
    record = call.exchange.the_record
    assert 600 <= record.duration_us / 1e6 <= 900  # the proofs of life that the journal had
    assert record.ended_by is EndedBy.EXCHANGE
    assert alive.request("BYE").first("reason") == 'Q.850;cause=102;text="A phone has hung up"'


def test_after_a_restart_a_caller_that_may_not_have_heard_the_answer_yet_is_not_hung_up() -> None:
    call = AnsweredCall(acknowledged=False)
    call.exchange.restart()
    call.exchange.advance(6)
    call.caller.answer(call.caller.request("INFO"), 481)
    call.callee.answer(call.callee.request("INFO"), 200)
    assert len(call.exchange.engine.live_calls()) == 1
    call.attempt.ack()
    live_on(call, 600, call.caller, call.callee)
    assert len(call.exchange.engine.live_calls()) == 1


def test_thousands_of_restored_calls_are_not_all_asked_in_one_instant() -> None:
    calls = AnsweredCall().exchange
    saved = next(output for output in calls.outputs if isinstance(output, CallSaved))
    exchange = Exchange()
    exchange.advance(60)
    for index in range(500):
        state = saved.state.replace(saved.record_id, f"{index:032x}")
        exchange.engine.restore_call(state, exchange.now, same_boot=True)
    exchange.advance(6)
    asked = {
        each.data for each in exchange.outputs if isinstance(each, Send) and each.data.startswith(b"INFO")
    }
    assert len(asked) == 400  # of 1,000


def test_thousands_of_restored_calls_make_few_queues_of_timers() -> None:
    """Each duration has a queue of its own, which costs something whenever any timer fires."""
    saved = next(output for output in AnsweredCall().exchange.outputs if isinstance(output, CallSaved))
    exchange = Exchange()
    for index in range(1000):
        state = saved.state.replace(saved.record_id, f"{index:032x}")
        exchange.engine.restore_call(state, exchange.now, same_boot=True)
    assert exchange.engine._exchange.timers.durations <= 10


def test_the_last_proof_of_life_is_saved_now_and_then_for_a_restart() -> None:
    call = AnsweredCall()
    live_on(call, 3600, call.caller, call.callee)
    saves = [output for output in call.exchange.outputs if isinstance(output, CallSaved)]
    assert len(saves) == 3600 // 300
    call.exchange.restart()
    live_on(call, 600)
    duration_s = call.exchange.the_record.duration_us / 1e6
    assert 3600 - 300 - 60 <= duration_s <= 3601


def test_the_interval_and_the_patience_can_be_set() -> None:
    exchange = Exchange(config_changes={"life_check_interval_s": 2.0, "life_check_failures": 2})
    AnsweredCall(exchange)
    exchange.advance(5.9)
    assert exchange.records == []
    exchange.advance(0.2)
    assert exchange.the_record.duration_us == ACKNOWLEDGED_US


def test_a_call_that_is_over_is_asked_nothing() -> None:
    call = AnsweredCall()
    call.attempt.bye()
    call.callee.answer(call.callee.request("BYE"), 200)
    call.exchange.advance(600)
    assert call.callee.requests("INFO") == []
    assert len(call.exchange.records) == 1
