"""Requests in the name of the other side: the tags of a dialog are known to both, so they prove nothing.

A caller must not be able to close the record of a call that goes on.
"""

import pytest

from sip_proxy.core.flow import Transport
from sip_proxy.core.outputs import CallRecorded
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Exchange, Phone, callee_request

_FURTHER_VIA = b"\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKbehind%d\r\nMax-Forwards"


def by_a_proxy(data: bytes, serial: int = 1) -> bytes:
    """A request as it comes from a proxy in front of the phone that sent it."""
    return data.replace(b"\r\nMax-Forwards", _FURTHER_VIA % serial)


class ForgingCaller:
    """0001 has called 0002, and has a second socket, from which it speaks as 0002."""

    def __init__(self, *, callee_transport: Transport = Transport.UDP) -> None:
        self.call = AnsweredCall(callee_transport=callee_transport)
        self.exchange: Exchange = self.call.exchange
        self.callee: Phone = self.call.callee
        self.second = self.exchange.phone("0001", register=False)

    def forged(self, method: str, *, cseq: int = 50) -> bytes:
        """A request of the called side that comes from the caller's second socket, with its Contact."""
        return callee_request(self.second, self.call.invite, method, cseq=cseq)

    def forge(self, method: str, *, cseq: int = 50) -> None:
        """Send one."""
        self.second.send(self.forged(method, cseq=cseq))


def test_a_bye_in_the_name_of_the_other_side_ends_the_call_for_that_side_too() -> None:
    forger = ForgingCaller()
    forger.forge("BYE")
    (record,) = forger.exchange.records
    bye = forger.callee.request("BYE")
    assert (bye.from_tag, bye.to_tag) == (forger.call.attempt.from_tag, "callee")
    assert record.ended_by.value == "callee"


def test_a_bye_from_the_phone_of_that_side_is_not_sent_back_to_it() -> None:
    call = AnsweredCall()
    call.callee_sends("BYE")
    assert call.callee.requests("BYE") == []
    assert len(call.caller.requests("BYE")) == 1


def test_a_bye_that_came_by_a_proxy_may_be_from_any_phone_behind_it() -> None:
    """Phones behind a proxy (RFC 3327) share its flow: both sides hear of the end, lest one talks on."""
    call = AnsweredCall()
    call.callee.send(by_a_proxy(callee_request(call.callee, call.invite, "BYE", cseq=50)))
    assert len(call.exchange.records) == 1
    bye = call.callee.request("BYE")
    assert (bye.from_tag, bye.to_tag) == (call.attempt.from_tag, "callee")
    assert len(call.caller.requests("BYE")) == 1


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_refresh_that_came_by_a_proxy_must_prove_whose_it_is(method: str) -> None:
    """It could move the contact of the other phone behind the same proxy, which would then hear no BYE."""
    call = AnsweredCall()
    callee = call.callee
    callee.send(by_a_proxy(callee_request(callee, call.invite, method, cseq=5)))
    challenge = callee.responses(method)[-1]
    assert challenge.status == 407
    assert call.caller.requests(method) == []
    line = callee.credentials(challenge, method, call.caller.contact).encode()
    proved = callee_request(callee, call.invite, method, cseq=6).replace(
        b"Content-Length", line + b"\r\nContent-Length"
    )
    callee.send(by_a_proxy(proved, 2))
    assert call.caller.request(method).cseq == 6


def test_what_moves_nothing_needs_no_proof_by_a_proxy() -> None:
    call = AnsweredCall()
    call.callee.send(by_a_proxy(callee_request(call.callee, call.invite, "INFO", cseq=5)))
    assert len(call.caller.requests("INFO")) == 1


def test_a_bye_over_another_flow_that_the_number_registered_is_its_own() -> None:
    call = AnsweredCall(callee_transport=Transport.TCP)
    other = call.exchange.phone("0002", transport=Transport.TCP)
    other.send(callee_request(other, call.invite, "BYE"))
    assert call.callee.requests("BYE") == []
    assert len(call.exchange.records) == 1


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO", "REFER", "OPTIONS", "NOTIFY"])
def test_other_requests_from_elsewhere_must_prove_whose_they_are(method: str) -> None:
    forger = ForgingCaller()
    forger.call.caller.inbox.clear()
    forger.forge(method)
    challenge = forger.second.responses(method)[-1]
    assert challenge.status == 407
    uri = forger.call.caller.contact
    line = forger.second.credentials(challenge, method, uri).encode()
    forger.second.send(
        forger.forged(method, cseq=51).replace(b"Content-Length", line + b"\r\nContent-Length")
    )
    assert forger.second.statuses(method) == [407, 403]
    assert forger.call.caller.requests(method) == []


def test_a_phone_whose_address_changed_proves_itself_and_is_reached_there() -> None:
    """What a phone behind NAT looks like when its flow was forgotten there in the middle of a call."""
    call = AnsweredCall()
    moved = call.exchange.phone("0002", register=False)
    moved.send(callee_request(moved, call.invite, "UPDATE", cseq=5))
    challenge = moved.responses("UPDATE")[-1]
    line = moved.credentials(challenge, "UPDATE", call.caller.contact).encode()
    update = callee_request(moved, call.invite, "UPDATE", cseq=6)
    moved.send(update.replace(b"Content-Length", line + b"\r\nContent-Length"))
    call.caller.answer(call.caller.request("UPDATE"), 200)
    assert moved.statuses("UPDATE") == [407, 200]
    call.attempt.bye()
    assert moved.requests("BYE")
    assert call.callee.requests("BYE") == []


def test_an_ack_from_elsewhere_is_no_sign_of_life() -> None:
    call = AnsweredCall()
    second = call.exchange.phone("0001", register=False)
    ack = call.attempt.in_dialog("ACK")
    for _ in range(60):
        call.exchange.advance(10)
        second.send(ack)
        for question in call.callee.requests("INFO"):
            call.callee.answer(question, 200)
        call.callee.inbox.clear()
    (record,) = call.exchange.records
    assert record.duration_us <= 244 * 1_000_000  # given up after three vain questions


@pytest.mark.parametrize("came_by_proxy", [False, True])
def test_what_is_sent_in_the_name_of_a_phone_that_is_gone_is_no_sign_of_its_life(came_by_proxy: bool) -> None:
    """The called phone could have a caller that lost its power pay for hours."""
    call = AnsweredCall()
    for minute in range(10):
        call.exchange.advance(60)
        for question in call.callee.requests("INFO"):
            call.callee.answer(question, 200)
        call.callee.inbox.clear()
        if came_by_proxy:
            data = by_a_proxy(call.attempt.in_dialog("INFO", cseq=10 + minute), minute)
            call.exchange.receive(data, call.caller.flow)
        else:
            call.callee.send(call.attempt.in_dialog("BYE", cseq=1))
    (record,) = call.exchange.records
    assert record.duration_us <= 244 * 1_000_000  # given up after three vain questions


def test_a_bye_too_long_for_the_other_phone_is_followed_by_a_short_one() -> None:
    """A caller over TCP may send more than a datagram holds, and its call is over all the same."""
    call = AnsweredCall(caller_transport=Transport.TCP)
    call.attempt.bye()
    (lost,) = call.callee.requests("BYE")
    call.callee.inbox.clear()
    call.exchange.unable_to_send(call.callee)
    (bye,) = call.callee.requests("BYE")
    assert bye.cseq > lost.cseq
    assert call.caller.statuses("BYE") == [200]
    assert len([each for each in call.exchange.outputs if isinstance(each, CallRecorded)]) == 1


def test_a_bye_that_may_not_arrive_in_one_piece_has_a_short_one_beside_it() -> None:
    """Its fragments may be dropped on the way, and the callee would talk on for half a minute for free."""
    call = AnsweredCall(caller_transport=Transport.TCP)
    padding = b"X-Padding: " + b"x" * 1300 + b"\r\nContent-Length"
    call.caller.send(call.attempt.in_dialog("BYE", cseq=9).replace(b"Content-Length", padding))
    long, short = call.callee.requests("BYE")
    assert (long.cseq, "x-padding" in long.keys) == (9, True)
    assert (short.cseq > 9, "x-padding" in short.keys) == (True, False)
    assert len(call.exchange.records) == 1


def test_a_bye_that_the_other_phone_cannot_read_is_soon_followed_by_one_of_ours() -> None:
    """PJSIP drops what has a From like this without a word, and would talk on for half a minute for free."""
    call = AnsweredCall()
    tag = f"tag={call.attempt.from_tag}".encode()
    call.caller.send(call.attempt.in_dialog("BYE", cseq=9).replace(tag, tag + b";x={", 1))
    assert len(call.exchange.records) == 1
    call.exchange.advance(7.9)
    assert {bye.cseq for bye in call.callee.requests("BYE")} == {9}
    call.exchange.advance(0.2)
    ours = call.callee.request("BYE")
    assert (ours.cseq > 9, "{" in (ours.first("from") or "")) == (True, False)


def test_a_bye_that_is_answered_is_followed_by_none() -> None:
    call = AnsweredCall()
    call.attempt.bye()
    call.exchange.advance(1)
    call.callee.answer(call.callee.request("BYE"), 200)
    byes = len(call.callee.requests("BYE"))
    call.exchange.advance(40)
    assert len(call.callee.requests("BYE")) == byes


def test_a_bye_for_a_phone_without_a_connection_is_owed_to_it() -> None:
    call = AnsweredCall(callee_transport=Transport.WS)
    exchange, phone = call.exchange, call.callee
    phone.contact = "sip:0002@x.invalid;transport=ws"
    call.callee_sends("UPDATE")
    call.caller.answer(call.caller.request("UPDATE"), 200)
    exchange.engine.flow_closed(phone.flow, exchange.now)
    exchange.deliver()
    call.attempt.bye()
    assert call.caller.statuses("BYE") == [480]
    phone.flow = phone.flow._replace(connection=phone.flow.connection + 1000)
    phone.register(call_id="again")
    assert phone.requests("BYE")


def test_a_phone_that_was_made_deaf_by_high_cseq_numbers_hears_of_the_end() -> None:
    """A caller can write to the other phone directly, and have it refuse what comes from us (§12.2.2)."""
    call = AnsweredCall()
    call.attempt.bye()
    for _ in range(2):
        call.callee.answer(call.callee.request("BYE"), 500)
    byes = call.callee.requests("BYE")
    assert [bye.cseq for bye in byes[1:]] == [call.attempt.cseq + 1001, 2**31 - 1]
    call.callee.answer(byes[-1], 500)
    assert len(call.callee.requests("BYE")) == 3
    assert len(call.exchange.records) == 1


def test_a_phone_that_another_process_knew_higher_numbers_of_hears_of_the_end() -> None:
    call = AnsweredCall()
    call.caller.send(call.attempt.in_dialog("INFO", cseq=500_000))
    call.callee.answer(call.callee.request("INFO"), 200)
    call.exchange.restart()
    call.exchange.engine.end_all_calls(call.exchange.now)
    call.exchange.deliver()
    call.callee.answer(call.callee.request("BYE"), 500)
    assert call.callee.request("BYE").cseq > 500_000


@pytest.mark.parametrize("cseq", [2**31 - 1, 2**31 - 5000])
def test_a_cseq_number_that_leaves_no_room_for_the_end_of_the_call_is_refused(cseq: int) -> None:
    """The exchange must be able to end every call: its own BYE needs a higher number (§12.2.1.1)."""
    call = AnsweredCall()
    call.caller.send(call.attempt.in_dialog("INFO", cseq=cseq))
    assert call.caller.statuses("INFO") == [400]
    assert call.callee.requests("INFO") == []
    acks = len(call.callee.requests("ACK"))
    call.caller.send(call.attempt.in_dialog("ACK", cseq=cseq))  # PJSIP takes the number of any ACK
    assert len(call.callee.requests("ACK")) == acks
    call.attempt.bye()
    assert len(call.callee.requests("BYE")) == 1
    caller = call.exchange.phone("0001")
    data = call.attempt.data.replace(b"CSeq: 2 ", b"CSeq: %d " % cseq).replace(b"z9hG4bK", b"z9hG4bKnew")
    caller.send(data)
    assert caller.statuses("INVITE") == [400]
