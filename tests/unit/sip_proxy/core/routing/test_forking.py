"""All phones of a number ring at once; what they answer becomes one answer (RFC 3261 §16.6, §16.7)."""

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.directory import ExchangeSettings
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import LiveCallState
from tests.support.sip_phones import Attempt, Exchange, Phone, account, make_directory


class Fork:
    """A caller, and a number with two phones that have both got the INVITE."""

    def __init__(self, exchange: Exchange | None = None) -> None:
        self.exchange = exchange or Exchange()
        self.caller = self.exchange.phone("0001")
        self.left = self.exchange.phone("0002")
        self.right = self.exchange.phone("0002")
        self.attempt: Attempt = self.caller.invite("0002")

    def answer(self, phone: Phone, status: int, **changes: object) -> bytes:
        tag = "left" if phone is self.left else "right"
        return phone.answer(phone.request("INVITE"), status, tag=tag, **changes)  # type: ignore[arg-type]


def test_every_phone_of_the_number_rings_on_a_branch_of_its_own() -> None:
    fork = Fork()
    branches = {phone.request("INVITE").values("via")[0] for phone in (fork.left, fork.right)}
    assert len(branches) == 2
    fork.answer(fork.left, 180)
    fork.answer(fork.right, 180)
    assert fork.attempt.statuses == [180, 180]
    assert [each.to_tag for each in fork.attempt.responses] == ["left", "right"]


def test_a_phone_of_a_lower_q_rings_with_the_others() -> None:
    """§10.2.1.2: it is a wish; who calls a number here calls all its phones."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    phones = [exchange.phone("0002"), exchange.phone("0002")]
    phones[1].register(contacts=(f"<{phones[1].contact}>;q=0.1",))
    caller.invite("0002")
    assert [len(phone.requests("INVITE")) for phone in phones] == [1, 1]


def test_when_one_answers_the_others_are_cancelled() -> None:
    fork = Fork()
    fork.answer(fork.left, 180)
    fork.answer(fork.right, 180)
    fork.answer(fork.left, 200)
    assert fork.attempt.statuses[-1] == 200
    cancel = fork.right.request("CANCEL")
    assert cancel.values("via") == fork.right.request("INVITE").values("via")[:1]
    assert cancel.first("reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert fork.left.requests("CANCEL") == []
    fork.right.answer(cancel, 200)
    fork.answer(fork.right, 487)
    assert fork.right.request("ACK").to_tag == "right"
    assert fork.attempt.statuses == [180, 180, 200]
    assert fork.exchange.records == []


def test_a_branch_that_said_nothing_yet_is_cancelled_when_it_does() -> None:
    """§9.1."""
    fork = Fork()
    fork.answer(fork.left, 200)
    assert fork.right.requests("CANCEL") == []
    fork.answer(fork.right, 180)
    assert len(fork.right.requests("CANCEL")) == 1
    assert fork.attempt.statuses == [200]


def test_one_refusal_is_held_back_while_another_phone_rings() -> None:
    fork = Fork()
    fork.answer(fork.left, 486)
    assert fork.left.request("ACK")
    assert fork.attempt.is_on_its_way
    fork.answer(fork.right, 180)
    fork.answer(fork.right, 200)
    assert fork.attempt.statuses == [180, 200]


def test_when_all_refuse_the_best_refusal_goes_back_once() -> None:
    fork = Fork()
    fork.answer(fork.left, 404)
    fork.answer(fork.right, 486)
    assert fork.attempt.statuses == [404]
    assert fork.exchange.the_record.status == 404


def test_a_6xx_cancels_the_others_and_is_the_answer() -> None:
    fork = Fork()
    fork.answer(fork.right, 180)
    fork.left.answer(fork.left.request("INVITE"), 603, reason="Decline")
    assert fork.attempt.statuses == [180]
    cancel = fork.right.request("CANCEL")
    assert cancel.first("reason") == 'SIP;cause=603;text="Decline"'
    fork.right.answer(cancel, 200)
    fork.answer(fork.right, 487)
    assert fork.attempt.statuses == [180, 603]
    record = fork.exchange.the_record
    assert (record.outcome, record.ended_by) == (Outcome.BUSY, EndedBy.CALLEE)


def test_challenges_of_all_branches_are_merged() -> None:
    """§16.7 step 7."""
    fork = Fork()
    fork.answer(fork.left, 407, headers=('Proxy-Authenticate: Digest realm="left"',))
    fork.answer(fork.right, 401, headers=('WWW-Authenticate: Digest realm="right"',))
    refusal = fork.attempt.last_response
    assert refusal is not None
    assert refusal.line_values("proxy-authenticate") == ['Digest realm="left"']
    assert refusal.line_values("www-authenticate") == ['Digest realm="right"']


def test_an_overloaded_callee_is_a_500_to_the_caller() -> None:
    """§16.7 step 6: a 503 would say that the exchange is overloaded."""
    fork = Fork()
    fork.answer(fork.left, 503)
    fork.answer(fork.right, 503)
    assert fork.attempt.statuses == [500]


def test_a_phone_that_is_silent_counts_as_408_and_the_other_ones_word_is_better() -> None:
    """§16.8."""
    fork = Fork()
    fork.answer(fork.left, 486)
    fork.exchange.advance(32)
    assert fork.attempt.statuses == [100, 486]


def test_nobody_at_home_is_a_408_after_64_t1() -> None:
    fork = Fork()
    fork.exchange.advance(31.9)
    assert fork.attempt.statuses == [100]
    fork.exchange.advance(0.1)
    assert fork.attempt.statuses == [100, 408]
    record = fork.exchange.the_record
    assert (record.outcome, record.ended_by) == (Outcome.NO_ANSWER, EndedBy.EXCHANGE)


def test_a_second_answer_is_acknowledged_and_hung_up_by_the_exchange() -> None:
    fork = Fork()
    fork.answer(fork.left, 180)
    fork.answer(fork.right, 180)
    fork.answer(fork.left, 200)
    late = fork.answer(fork.right, 200)
    assert fork.attempt.statuses == [180, 180, 200]
    ack, bye = fork.right.request("ACK"), fork.right.request("BYE")
    assert (ack.cseq, ack.to_tag, ack.uri) == (fork.attempt.cseq, "right", fork.right.contact)
    assert (bye.cseq, bye.to_tag) == (fork.attempt.cseq + 1000, "right")
    fork.right.send(late)
    assert len(fork.right.requests("ACK")) == 2
    assert len(fork.right.requests("BYE")) == 1
    fork.right.answer(bye, 200)
    assert [call.state for call in fork.exchange.engine.live_calls()] == [LiveCallState.ANSWERED]
    assert fork.exchange.records == []


def test_it_rings_for_as_long_as_the_settings_say_and_then_not_any_more() -> None:
    fork = Fork()
    fork.answer(fork.left, 180)
    fork.answer(fork.right, 180)
    fork.exchange.advance(59.9)
    assert fork.attempt.statuses[-1] == 180
    fork.exchange.advance(0.1)
    refusal = fork.attempt.last_response
    assert refusal is not None
    assert (refusal.status, refusal.reason) == (480, "No answer")
    assert refusal.first("reason") == 'Q.850;cause=19;text="No answer"'
    for phone in (fork.left, fork.right):
        assert phone.request("CANCEL").first("reason") == 'Q.850;cause=19;text="No answer"'
    record = fork.exchange.the_record
    assert (record.outcome, record.status, record.ended_by) == (Outcome.NO_ANSWER, 480, EndedBy.EXCHANGE)


def test_an_answer_that_comes_after_the_ring_time_is_hung_up() -> None:
    fork = Fork(Exchange(make_directory(settings=ExchangeSettings(ring_time_s=10))))
    fork.answer(fork.left, 180)
    fork.answer(fork.right, 486)
    fork.exchange.advance(10)
    fork.answer(fork.left, 200)
    assert fork.attempt.statuses[-1] == 480
    assert fork.left.requests("BYE")
    assert len(fork.exchange.records) == 1


def test_a_target_that_cannot_be_sent_to_counts_as_503_and_the_other_rings_on() -> None:
    """§16.9."""
    fork = Fork()
    fork.exchange.unable_to_send(fork.left)
    assert fork.attempt.is_on_its_way
    fork.answer(fork.right, 200)
    assert fork.attempt.statuses == [200]


def test_a_message_that_is_too_long_for_a_phone_costs_no_other_call() -> None:
    """§17.1.4: the transaction fails whose message it was. From a caller on TCP it may be of any length."""
    exchange = Exchange()
    callers = [exchange.phone("0001"), exchange.phone("0003", transport=Transport.TCP)]
    callee = exchange.phone("0002")
    usual, too_long = [caller.invite("0002") for caller in callers]
    exchange.unable_to_send(callee)
    assert (usual.statuses, too_long.statuses) == ([], [500])
    callee.answer(callee.requests("INVITE")[0], 200)
    assert usual.statuses == [200]


def test_when_no_target_can_be_sent_to_the_caller_hears_it_and_goes_on_using_the_exchange() -> None:
    """§16.7 step 6: a 503 would say that the exchange itself is out of order."""
    fork = Fork()
    for phone in (fork.left, fork.right):
        fork.exchange.unable_to_send(phone)
    assert fork.attempt.statuses == [500]
    assert fork.attempt.responses[-1].reason == "The phone can't be reached"
    assert fork.exchange.the_record.outcome is Outcome.FAILED


def test_a_binding_whose_connection_is_gone_is_tried_at_its_own_address() -> None:
    """After a restart of the exchange, connections are gone but bindings are known."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    callee = exchange.phone("0002", transport=Transport.TCP)
    exchange.restart()
    caller.invite("0002")
    send = exchange.sends_to(callee)[-1]
    assert not isinstance(send.to, Flow)
    assert (send.to.transport, send.to.host, send.to.port) == (Transport.TCP, *callee.address)
    assert callee.requests("INVITE")


def test_a_phone_that_is_only_known_by_a_name_on_a_dead_connection_is_not_registered() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002", transport=Transport.TCP, contacts=("<sip:0002@phone.example;transport=tcp>",))
    exchange.restart()
    assert caller.invite("0002").statuses == [480]


def test_timer_c_cancels_an_invite_that_rings_for_ever() -> None:
    """§16.6 step 11, §16.8: where the ring time is set longer than that."""
    exchange = Exchange(make_directory(settings=ExchangeSettings(ring_time_s=10_000)))
    fork = Fork(exchange)
    fork.answer(fork.left, 180)
    fork.answer(fork.right, 486)
    exchange.advance(180)
    assert fork.left.requests("CANCEL") == []
    fork.answer(fork.left, 183)
    exchange.advance(180)
    assert fork.left.requests("CANCEL") == []
    exchange.advance(2)
    assert fork.left.requests("CANCEL")
    fork.answer(fork.left, 487)
    assert fork.attempt.statuses[-1] == 486


@pytest.mark.parametrize("status", [302, 404, 486, 488, 500, 603])
def test_the_callees_own_word_reaches_the_caller(status: int) -> None:
    exchange = Exchange(make_directory(account("0001"), account("0002")))
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), status, reason="My own words")
    response = attempt.last_response
    assert response is not None
    assert (response.status, response.reason) == (status, "My own words")
    assert exchange.the_record.reason == "My own words"
    caller.send(attempt.ack_of(response))
    exchange.advance(1)
    assert attempt.statuses == [status]
