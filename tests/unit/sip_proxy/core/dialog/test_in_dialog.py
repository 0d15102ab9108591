"""Requests within a dialog reach its other side, and nobody else (RFC 3261 §12.2, §16.4, §16.6)."""

import pytest

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.outputs import CallSaved, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import DOMAIN, Exchange, Phone, callee_request, destination


def test_requests_go_to_the_contact_of_the_other_side_without_our_route() -> None:
    call = AnsweredCall()
    call.caller.send(call.attempt.in_dialog("INFO"))
    info = call.callee.request("INFO")
    assert info.uri == call.callee.contact
    assert "route" not in info.keys
    call.callee.answer(info, 200)
    assert call.caller.statuses("INFO") == [200]
    call.callee_sends("INFO")
    assert call.caller.request("INFO").uri == call.caller.contact


@pytest.mark.parametrize("callee_transport", [Transport.UDP, Transport.TCP])
@pytest.mark.parametrize("caller_transport", [Transport.UDP, Transport.TCP])
def test_all_transports_may_meet(caller_transport: Transport, callee_transport: Transport) -> None:
    call = AnsweredCall(caller_transport=caller_transport, callee_transport=callee_transport)
    assert call.callee.request("ACK").uri == call.callee.contact
    call.callee_sends("BYE")
    bye = call.caller.request("BYE")
    assert "route" not in bye.keys
    call.caller.answer(bye, 200)
    assert call.callee.statuses("BYE") == [200]
    assert len(call.exchange.records) == 1


def test_a_phone_that_ignores_the_route_set_is_understood() -> None:
    """Simple phones send ACK and BYE to the number they called."""
    call = AnsweredCall(acknowledged=False)
    call.attempt.ack(use_routes=False)
    assert call.callee.request("ACK").uri == call.callee.contact
    call.attempt.bye(use_routes=False)
    assert call.callee.request("BYE").uri == call.callee.contact


def test_a_strict_router_before_us_is_understood() -> None:
    """§16.4: our Record-Route value as Request-URI, the remote target as the last Route."""
    call = AnsweredCall()
    data = call.caller.build(
        "INFO",
        "sip:192.0.2.1:5060;lr",
        to=f"<{call.attempt.uri}>;tag=callee",
        call_id=call.attempt.call_id,
        from_tag=call.attempt.from_tag,
        cseq=9,
        headers=(f"Route: <{call.callee.contact}>",),
    )
    call.caller.send(data)
    info = call.callee.request("INFO")
    assert info.uri == call.callee.contact
    assert "route" not in info.keys


def test_a_phone_may_begin_to_count_at_zero() -> None:
    """RFC 3261 §8.1.1.5: any number below 2**31 may be the first CSeq number of the called phone."""
    call = AnsweredCall()
    call.callee_sends("BYE", cseq=0)
    call.caller.answer(call.caller.request("BYE"), 200)
    assert call.callee.statuses("BYE") == [200]
    assert len(call.exchange.records) == 1


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_target_refresh_moves_the_target_of_later_requests(method: str) -> None:
    """§12.2.1.2, RFC 3311 §5.2: the Contact of the accepted re-INVITE or UPDATE counts, and is saved."""
    call = AnsweredCall()
    saves = sum(isinstance(output, CallSaved) for output in call.exchange.outputs)
    call.caller.contact = "sip:0001@203.0.113.50:5080"
    call.attempt.cseq += 1
    call.caller.send(call.attempt.in_dialog(method, cseq=call.attempt.cseq))
    refresh = call.callee.request(method)
    assert refresh.cseq == call.attempt.cseq
    call.exchange.advance(0.2)
    assert call.caller.statuses(method)[-1:] == ([100] if method == "INVITE" else [])
    call.callee.answer(refresh, 200, contact="sip:0002@203.0.113.60:5080")
    assert sum(isinstance(output, CallSaved) for output in call.exchange.outputs) == saves + 1
    (live,) = call.exchange.engine.live_calls()
    call.exchange.engine.end_call(live.id, call.exchange.now)
    call.exchange.deliver()
    sent = {destination(send.to): send.data.split(b"\r\n")[0] for send in call.exchange.undelivered}
    assert sent == {
        ("203.0.113.50", 5080): b"BYE sip:0001@203.0.113.50:5080 SIP/2.0",
        ("203.0.113.60", 5080): b"BYE sip:0002@203.0.113.60:5080 SIP/2.0",
    }


def test_a_refused_reinvite_changes_nothing_and_the_call_goes_on() -> None:
    call = AnsweredCall()
    call.attempt.cseq += 1
    call.caller.send(call.attempt.in_dialog("INVITE", cseq=call.attempt.cseq))
    call.callee.answer(call.callee.request("INVITE"), 488)
    assert call.caller.statuses("INVITE")[-1] == 488
    assert call.exchange.records == []
    assert len(call.exchange.engine.live_calls()) == 1


def test_a_reinvite_can_be_cancelled_without_ending_the_call() -> None:
    call = AnsweredCall()
    call.callee_sends("INVITE", cseq=5, branch="z9hG4bKreinvite")
    call.caller.answer(call.caller.request("INVITE"), 180)
    call.callee_sends("CANCEL", cseq=5, branch="z9hG4bKreinvite")
    assert call.callee.statuses("CANCEL") == [200]
    assert call.caller.requests("CANCEL")
    call.caller.answer(call.caller.request("INVITE"), 487)
    assert call.callee.statuses("INVITE")[-1] == 487
    assert call.exchange.records == []


def test_an_invite_in_a_dialog_that_is_not_answered_is_refused() -> None:
    """RFC 3261 §14.1, §14.2: accepted, it would be a call that nobody knows of."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180)
    caller.send(attempt.in_dialog("INVITE"))
    assert caller.statuses("INVITE")[-1] == 500
    assert caller.responses("INVITE")[-1].first("retry-after")
    assert len(callee.requests("INVITE")) == 1


def test_early_dialogs_carry_requests_too() -> None:
    """RFC 3262: PRACK goes where the provisional response came from."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 183, headers=("Require: 100rel", "RSeq: 1"))
    caller.send(attempt.in_dialog("PRACK"))
    prack = callee.request("PRACK")
    callee.answer(prack, 200)
    assert caller.statuses("PRACK") == [200]
    assert len(exchange.engine.live_calls()) == 1


def test_a_bye_of_the_called_side_that_overtakes_its_answer_waits_for_it() -> None:
    """§15: it may not send one before the answer. It is repeated (§17.1.2.2) until the answer is known."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    callee.answer(invite, 180)
    bye = callee_request(callee, invite, "BYE")
    callee.send(bye)
    assert caller.requests("BYE") == []
    assert callee.responses("BYE") == []
    callee.answer(invite, 200)
    attempt.ack()
    callee.send(bye)
    caller.answer(caller.request("BYE"), 200)
    assert callee.statuses("BYE") == [200]
    assert len(exchange.records) == 1


@pytest.mark.parametrize("what", ["call_id", "from_tag", "to_tag"])
def test_a_request_of_no_dialog_that_we_know_is_answered_481_and_goes_nowhere(what: str) -> None:
    call = AnsweredCall()
    fields = {"call_id": call.attempt.call_id, "from_tag": call.attempt.from_tag, "to_tag": "callee"}
    fields[what] = "wrong"
    data = call.caller.build(
        "BYE",
        call.callee.contact,
        to=f"<{call.attempt.uri}>;tag={fields['to_tag']}",
        call_id=fields["call_id"],
        from_tag=fields["from_tag"],
        cseq=50,
    )
    call.caller.send(data)
    assert call.caller.statuses("BYE") == [481]
    assert call.callee.requests("BYE") == []
    assert call.exchange.records == []


def test_a_request_within_a_dialog_cannot_be_aimed_at_somebody_else() -> None:
    """No open relay: neither the Request-URI nor a Route decides where it goes."""
    call = AnsweredCall()
    data = call.caller.build(
        "INFO",
        "sip:victim@203.0.113.99",
        to=f"<{call.attempt.uri}>;tag=callee",
        call_id=call.attempt.call_id,
        from_tag=call.attempt.from_tag,
        cseq=50,
        headers=("Route: <sip:203.0.113.98;lr>",),
    )
    call.caller.send(data)
    assert call.exchange.undelivered == []
    assert call.callee.requests("INFO")


def test_an_ack_of_no_dialog_is_dropped_in_silence() -> None:
    exchange = Exchange()
    phone = exchange.phone("0001")
    phone.inbox.clear()
    uri = f"sip:0002@{DOMAIN}"
    phone.send(phone.build("ACK", uri, to=f"<{uri}>;tag=x", call_id="x", from_tag="y", cseq=1))
    phone.send(phone.build("ACK", uri, to=f"<{uri}>", call_id="x", from_tag="y", cseq=1))
    assert phone.inbox == []
    assert exchange.undelivered == []


def test_a_phone_that_lost_its_connection_is_reached_on_its_new_one() -> None:
    call = AnsweredCall(callee_transport=Transport.TCP)
    exchange, old = call.exchange, call.callee
    exchange.engine.flow_closed(old.flow, exchange.now)
    exchange.deliver()
    again = exchange.phone("0002", transport=Transport.TCP, contacts=(f"<{old.contact}>",))
    call.attempt.bye()
    assert again.requests("BYE")
    assert old.requests("BYE") == []


def test_a_phone_that_came_back_with_another_contact_is_reached_on_its_only_connection() -> None:
    call = AnsweredCall(callee_transport=Transport.TCP)
    exchange, phone = call.exchange, call.callee
    reconnect(exchange, phone, port=40_001)
    phone.register(contacts=(f"<sip:0002@{phone.address[0]}:40001;transport=tcp>",))
    call.attempt.bye()
    bye = phone.request("BYE")
    assert bye.uri == phone.contact
    last = exchange.outputs[-1]
    assert isinstance(last, Send)
    assert last.to == phone.flow


def test_a_bye_that_cannot_be_delivered_is_accepted_and_owed_to_the_other_side() -> None:
    call = AnsweredCall(callee_transport=Transport.TCP)
    exchange, phone = call.exchange, call.callee
    reconnect(exchange, phone, port=40_002)
    call.attempt.bye()
    assert phone.requests("BYE")  # tried at its own address, in vain:
    phone.inbox.clear()
    exchange.unable_to_send(phone)
    assert call.caller.statuses("BYE") == [200]
    assert len(exchange.records) == 1
    exchange.advance(60)
    phone.register(call_id="again")
    bye = phone.request("BYE")
    assert (bye.uri, bye.to_tag, bye.from_tag) == (phone.contact, "callee", call.attempt.from_tag)
    phone.inbox.clear()
    phone.register(call_id="again", cseq=20)
    assert phone.requests("BYE") == []
    assert len(exchange.records) == 1


def test_a_bye_is_not_owed_for_ever_nor_to_a_phone_elsewhere() -> None:
    call = AnsweredCall(callee_transport=Transport.TCP)
    exchange, phone = call.exchange, call.callee
    reconnect(exchange, phone, port=40_003)
    call.attempt.bye()
    exchange.unable_to_send(phone)
    phone.inbox.clear()
    elsewhere = exchange.phone("0002")
    assert elsewhere.requests("BYE") == []
    exchange.advance(65)
    phone.register(call_id="again")
    assert phone.requests("BYE") == []


def reconnect(exchange: Exchange, phone: Phone, *, port: int) -> None:
    """A phone loses its connection and has another one, on which it hasn't sent anything yet."""
    exchange.engine.flow_closed(phone.flow, exchange.now)
    exchange.deliver()
    phone.flow = Flow(Transport.TCP, (phone.address[0], port), phone.flow.local, port)
    exchange.phones[(Transport.TCP, phone.address[0], port)] = phone


def test_proxies_beyond_us_are_passed_in_requests_of_our_own() -> None:
    """§12.1.1, §12.1.2: the route sets of both sides, as far as they lie beyond us."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002", headers=("Record-Route: <sip:up1;lr>, <sip:up2;lr>",))
    invite = callee.request("INVITE")
    assert invite.values("record-route") == ["<sip:192.0.2.1:5060;lr>", "<sip:up1;lr>", "<sip:up2;lr>"]
    callee.answer(invite, 200, headers=("Via: ignored",))
    attempt.ack()
    (live,) = exchange.engine.live_calls()
    exchange.engine.end_call(live.id, exchange.now)
    exchange.deliver()
    assert caller.request("BYE").values("route") == ["<sip:up1;lr>", "<sip:up2;lr>"]
    assert callee.request("BYE").values("route") == []


def test_the_callees_own_bye_follows_the_recorded_routes() -> None:
    call = AnsweredCall()
    data = callee_request(call.callee, call.invite, "BYE")
    assert b"Route: <sip:192.0.2.1:5060;lr>" in data
    call.callee.send(data)
    assert "route" not in call.caller.request("BYE").keys


def test_a_phone_whose_nat_changed_its_port_is_reached_at_the_one_it_registered_since() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002", private="10.0.0.7:5060")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    callee.flow = Flow(Transport.UDP, (callee.address[0], 40_004), callee.flow.local)
    exchange.phones[(Transport.UDP, callee.address[0], 40_004)] = callee
    callee.register(call_id="again")
    attempt.bye()
    last = exchange.outputs[-1]
    assert isinstance(last, Send)
    assert last.to == callee.flow


def test_a_phone_elsewhere_with_the_same_private_address_gets_nothing_of_the_call() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002", private="10.0.0.7:5060")
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    other = exchange.phone("0002", private="10.0.0.7:5060")
    attempt.bye()
    assert callee.requests("BYE")
    assert other.requests("BYE") == []
