"""A caller whose connection is gone before the answer can't be told of it, and must not pay for it."""

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.flow import Transport
from sip_proxy.core.outputs import LiveCallState
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Attempt, Exchange, Phone

CONNECTIONS = [Transport.TCP, Transport.TLS, Transport.WS]


def ringing(transport: Transport, callee: str = "0002") -> tuple[Exchange, Phone, Phone, Attempt]:
    exchange = Exchange()
    caller, called = exchange.phone("0001", transport=transport), exchange.phone(callee)
    attempt = caller.invite(callee)
    called.answer(called.request("INVITE"), 180)
    exchange.advance(2)
    return exchange, caller, called, attempt


def lose_connection(phone: Phone) -> None:
    exchange = phone.exchange
    del exchange.phones[phone.key]
    exchange.engine.flow_closed(phone.flow, exchange.now)
    exchange.deliver()


@pytest.mark.parametrize("transport", CONNECTIONS)
def test_the_phones_stop_ringing_when_the_connection_of_the_caller_is_gone(transport: Transport) -> None:
    exchange, caller, callee, _ = ringing(transport)
    lose_connection(caller)
    (reason,) = callee.request("CANCEL").line_values("reason")
    assert "connection" in reason
    callee.answer(callee.request("CANCEL"), 200)
    callee.answer(callee.request("INVITE"), 487)
    record = exchange.the_record
    assert (record.outcome, record.ended_by, record.answered_at) == (
        Outcome.CANCELLED,
        EndedBy.CALLER,
        None,
    )
    assert exchange.engine.live_calls() == []


def test_an_answer_that_crosses_the_loss_is_no_call() -> None:
    exchange, caller, callee, _ = ringing(Transport.TLS)
    lose_connection(caller)
    callee.answer(callee.request("INVITE"), 200)
    assert len(callee.requests("BYE")) == 1
    assert exchange.the_record.outcome is Outcome.CANCELLED
    assert exchange.the_record.duration_us == 0


def test_a_call_for_help_rings_on() -> None:
    """Whoever helps may call back; and nothing is charged."""
    exchange, caller, callee, _ = ringing(Transport.WS, "9911")
    lose_connection(caller)
    assert callee.requests("CANCEL") == []
    callee.answer(callee.request("INVITE"), 200)
    assert [call.state for call in exchange.engine.live_calls()] == [LiveCallState.ANSWERED]


def test_a_call_that_stands_goes_on_without_the_connection() -> None:
    call = AnsweredCall(caller_transport=Transport.TCP)
    lose_connection(call.caller)
    assert call.callee.requests("CANCEL") == call.callee.requests("BYE") == []
    assert [each.state for each in call.exchange.engine.live_calls()] == [LiveCallState.ANSWERED]


def test_a_datagram_that_could_not_be_sent_is_no_lost_connection() -> None:
    exchange, caller, callee, attempt = ringing(Transport.UDP)
    exchange.unable_to_send(caller)
    assert callee.requests("CANCEL") == []
    callee.answer(callee.request("INVITE"), 200)
    assert attempt.statuses[-1] == 200


def test_a_re_invite_is_given_up_and_its_call_goes_on() -> None:
    call = AnsweredCall(caller_transport=Transport.TCP)
    call.caller.send(call.attempt.in_dialog("INVITE"))
    call.callee.answer(call.callee.request("INVITE"), 100)
    lose_connection(call.caller)
    assert len(call.callee.requests("CANCEL")) == 1
    assert [each.state for each in call.exchange.engine.live_calls()] == [LiveCallState.ANSWERED]
