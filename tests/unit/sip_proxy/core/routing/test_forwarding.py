"""What a proxy changes in what it forwards, and what it leaves alone (RFC 3261 §16.3, §16.6, §16.7)."""

import pytest

from sip_proxy.core.directory import ExchangeSettings
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.building import build_response
from sip_proxy.core.message.message import Request
from sip_proxy.core.outputs import LiveCallState, Send
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import (
    DOMAIN,
    EXCHANGE,
    OFFER,
    Exchange,
    Phone,
    account,
    callee_request,
    destination,
    make_directory,
)


def switchboard(transport: Transport = Transport.UDP) -> tuple[Exchange, Phone, Phone]:
    exchange = Exchange()
    return exchange, exchange.phone("0001"), exchange.phone("0002", transport=transport)


def authenticated_invite(caller: Phone, body: bytes = b"") -> bytes:
    """An INVITE that will pass authentication, not sent yet."""
    challenged = caller.invite("0002", password="wrong").last_response
    assert challenged is not None
    uri = f"sip:0002@{DOMAIN}"
    line = caller.credentials(challenged, "INVITE", uri)
    return caller.build(
        "INVITE", uri, to=f"<{uri}>", call_id="x", from_tag="1", cseq=9, headers=(line,), body=body
    )


def test_the_request_goes_to_the_contact_with_our_via_on_top_and_one_hop_less() -> None:
    _, caller, callee = switchboard()
    caller.invite("0002")
    invite = callee.request("INVITE")
    assert invite.uri == callee.contact
    assert invite.max_forwards == 69
    ours, theirs = invite.values("via")
    assert ours.startswith("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK")
    assert theirs.startswith(f"SIP/2.0/UDP {caller.address[0]}:5060;branch=")
    assert theirs.endswith(f";rport=5060;received={caller.address[0]}")
    assert invite.values("record-route") == ["<sip:192.0.2.1:5060;lr>"]


def test_unknown_headers_their_order_and_the_body_pass_byte_for_byte() -> None:
    _, caller, callee = switchboard()
    odd = ("X-Odd :  a ,b;; ", "Subject: gr\u00fc\u00dfe", "x-odd: again", "k: replaces, 100rel")
    caller.invite("0002", headers=odd)
    invite = callee.request("INVITE")
    start = invite.lines.index(odd[0])
    assert tuple(invite.lines[start : start + 4]) == odd
    assert invite.body == OFFER


def test_a_missing_max_forwards_becomes_70() -> None:
    """§16.6 step 3."""
    exchange, caller, callee = switchboard()
    data = authenticated_invite(caller)
    exchange.receive(data.replace(b"Max-Forwards: 70\r\n", b""), caller.flow)
    assert callee.request("INVITE").max_forwards == 70


def test_our_credentials_and_asserted_identities_do_not_pass() -> None:
    _, caller, callee = switchboard()
    forged = tuple(
        f"{name}: <sip:9911@h>" for name in ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")
    )
    foreign = 'Proxy-Authorization: Digest username="x", realm="elsewhere", nonce="n", uri="u", response="r"'
    caller.invite("0002", headers=(*forged, foreign))
    invite = callee.request("INVITE")
    assert invite.values("p-asserted-identity") == [f'"Phone 0001" <sip:0001@{DOMAIN}>']
    assert "p-preferred-identity" not in invite.keys
    assert "remote-party-id" not in invite.keys
    assert invite.line_values("proxy-authorization") == [foreign.partition(": ")[2]]


@pytest.mark.parametrize("header", ["Authorization", "Proxy-Authorization"])
@pytest.mark.parametrize(
    "realm",
    [
        f'realm="{DOMAIN}", ',
        f"realm={DOMAIN}, ",
        f'realm = "{DOMAIN}", ',
        'realm="tollbell\\.local", ',
        'realm="TollBell.local", ',
        "",
    ],
)
def test_no_phone_sees_an_answer_to_a_challenge_in_our_name(header: str, realm: str) -> None:
    """With a nonce that it got from us, and this answer, it could call itself at the caller's expense."""
    _, caller, callee = switchboard()
    leak = f'{header}: Digest username="0001", {realm}nonce="n", uri="sip:0002@x", response="r"'
    attempt = caller.invite("0002", headers=(leak,) if header == "Authorization" else ())
    assert header.lower() not in callee.request("INVITE").keys
    callee.answer(callee.request("INVITE"), 200)
    caller.send(attempt.in_dialog("INFO", headers=(leak,)))
    assert header.lower() not in callee.request("INFO").keys


def test_credentials_for_the_phone_itself_pass() -> None:
    _, caller, callee = switchboard()
    foreign = 'Authorization: Digest username="x", realm="door", nonce="n", uri="u", response="r"'
    caller.invite("0002", headers=(foreign,))
    assert callee.request("INVITE").line_values("authorization") == [foreign.partition(": ")[2]]


def test_a_display_name_of_the_directory_cannot_break_a_line() -> None:
    evil = account("0001", display_name='A"\r\nVia: evil\\')
    exchange = Exchange(make_directory(evil, account("0002")))
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    caller.invite("0002")
    invite = callee.request("INVITE")
    assert len(invite.values("via")) == 2
    assert len(invite.values("p-asserted-identity")) == 1


def test_an_identity_forged_by_the_callee_does_not_pass_either() -> None:
    _, caller, callee = switchboard()
    attempt = caller.invite("0002")
    forged = ("P-Asserted-Identity: <sip:9911@h>", "Remote-Party-ID: <sip:9911@h>")
    callee.answer(callee.request("INVITE"), 180, headers=forged)
    ringing = attempt.last_response
    assert ringing is not None
    assert ringing.status == 180
    assert "p-asserted-identity" not in ringing.keys
    assert "remote-party-id" not in ringing.keys


def test_an_identity_forged_in_an_answer_by_the_draft_header_alone_does_not_pass() -> None:
    _, caller, callee = switchboard()
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180, headers=("Remote-Party-ID: <sip:9911@h>",))
    ringing = attempt.last_response
    assert ringing is not None
    assert "remote-party-id" not in ringing.keys


@pytest.mark.parametrize("method", ["invite", "Invite", "refer", "bYE"])
def test_a_method_of_sip_in_other_letters_goes_nowhere(method: str) -> None:
    """§7.1 makes it another method; but PJSIP takes `invite` for INVITE, and would talk without a record."""
    exchange, caller, callee = switchboard()
    assert caller.invite("0002", method=method).statuses == [400]
    assert [request.method for request in callee.inbox if isinstance(request, Request)] == []
    assert exchange.records == []


def test_nor_does_it_in_a_call() -> None:
    call = AnsweredCall()
    call.caller.send(call.attempt.in_dialog("bye"))
    assert call.caller.statuses("bye") == [400]
    assert call.callee.requests("bye") == []


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("status", [180, 200, 486])
def test_a_response_with_no_via_but_ours_goes_no_further(status: int, folded: bool) -> None:
    """§16.7 step 3; the caller could not hear it, and must not pay for it."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    ours, theirs = invite.values("via")
    response = build_response(invite, status, to_tag="callee").replace(f"Via: {theirs}\r\n".encode(), b"")
    assert ours.encode() in response
    callee.send(response.replace(b"Via: ", b"v:\r\n ") if folded else response)
    assert attempt.statuses == []
    assert [call.state for call in exchange.engine.live_calls()] == [LiveCallState.INVITING]
    callee.answer(invite, 200)
    assert attempt.statuses == [200]


def test_the_response_goes_back_without_our_via() -> None:
    _, caller, callee = switchboard()
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 180)
    ringing = attempt.last_response
    assert ringing is not None
    (via,) = ringing.values("via")
    assert f"branch={attempt.branch}" in via


def test_vias_folded_into_one_line_come_apart_in_responses() -> None:
    """Some phones answer so."""
    exchange, caller, callee = switchboard()
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    lines = [
        "SIP/2.0 180 Ringing",
        f"v: {','.join(invite.values('via'))}",
        f"From: {invite.first('from')}",
        f"To: {invite.first('to')};tag=x",
        f"Call-ID: {invite.call_id}",
        f"CSeq: {invite.cseq} INVITE",
    ]
    exchange.receive(("\r\n".join(lines) + "\r\n\r\n").encode(), callee.flow)
    assert attempt.statuses == [180]
    assert attempt.responses[-1].values("via")[0].endswith(f"received={caller.address[0]}")


def test_a_phone_behind_nat_is_reached_where_its_register_came_from() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001", private="10.0.0.6:5060")
    callee = exchange.phone("0002", private="10.0.0.7:5060")
    attempt = caller.invite("0002")
    assert callee.request("INVITE").uri == "sip:0002@10.0.0.7:5060"
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    callee.send(callee_request(callee, callee.request("INVITE"), "BYE"))
    assert caller.request("BYE").uri == "sip:0001@10.0.0.6:5060"
    assert exchange.undelivered == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:6379",
        "127.8.8.8",
        "192.0.2.1:8060",
        "0.0.0.0:25",
        "224.0.1.75",
        "[::1]:6379",
        "[::ffff:127.0.0.1]",
    ],
)
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_contact_does_not_lead_to_the_machine_of_the_exchange(address: str, transport: str) -> None:
    """An account could talk to whatever else listens there, or have us call a whole network."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    callee = exchange.phone("0002", contacts=(f"<sip:0002@{address};transport={transport}>",))
    caller.invite("0002")
    assert callee.requests("INVITE")
    assert exchange.undelivered == []


def test_a_phone_on_the_machine_of_the_exchange_may_be_anywhere_there() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    callee = Phone(exchange, "0002")
    callee.address = (EXCHANGE[0], 5070)
    callee.sent_by = f"{EXCHANGE[0]}:5070"
    callee.flow = Flow(Transport.UDP, callee.address, EXCHANGE)
    exchange.phones[callee.key] = callee
    callee.register(contacts=("<sip:0002@127.0.0.1:5072>",))
    caller.invite("0002")
    (send,) = exchange.undelivered
    assert destination(send.to) == ("127.0.0.1", 5072)


def test_a_phone_without_nat_is_reached_where_its_contact_points() -> None:
    """§16.6 step 7: it may register from another port than it is called on."""
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002", contacts=("<sip:0002@203.0.113.5:15062>",))
    caller.invite("0002")
    (send,) = exchange.undelivered
    assert destination(send.to) == ("203.0.113.5", 15062)
    assert isinstance(send.to, Flow)
    assert send.to.local == EXCHANGE


def test_a_direct_contact_on_another_transport_is_a_destination() -> None:
    exchange = Exchange()
    caller = exchange.phone("0001")
    exchange.phone("0002", contacts=("<sip:0002@203.0.113.5;transport=tcp>",))
    caller.invite("0002")
    (send,) = exchange.undelivered
    assert send.to == Destination(Transport.TCP, "203.0.113.5", 5060)
    assert b"Via: SIP/2.0/TCP 192.0.2.1:5060;" in send.data


def test_different_transports_are_both_recorded_each_for_its_side() -> None:
    """RFC 5658 §3.3: the topmost is for the side that the request goes to."""
    _, caller, callee = switchboard(Transport.TCP)
    attempt = caller.invite("0002")
    invite = callee.request("INVITE")
    assert invite.values("via")[0].startswith("SIP/2.0/TCP 192.0.2.1:5060")
    assert invite.values("record-route") == [
        "<sip:192.0.2.1:5060;transport=tcp;lr>",
        "<sip:192.0.2.1:5060;lr>",
    ]
    callee.answer(invite, 200)
    attempt.ack()
    assert "route" not in callee.request("ACK").keys


def test_without_rport_responses_go_to_the_port_of_sent_by() -> None:
    """RFC 3261 §18.2.2."""
    exchange, caller, _ = switchboard()
    data = caller.build("OPTIONS", f"sip:{DOMAIN}", to=f"<sip:{DOMAIN}>", call_id="o", from_tag="1", cseq=1)
    data = data.replace(b";rport", b"").replace(b":5060;branch", b":5099;branch")
    exchange.receive(data, caller.flow)
    sent = exchange.outputs[-1]
    assert isinstance(sent, Send)
    assert isinstance(sent.to, Flow)
    assert sent.to.remote == (caller.address[0], 5099)


def test_a_body_for_a_stream_gets_the_content_length_that_it_lacked() -> None:
    exchange, caller, callee = switchboard(Transport.TCP)
    data = authenticated_invite(caller, body=b"abc")
    exchange.receive(data.replace(b"Content-Length: 3\r\n", b""), caller.flow)
    assert callee.request("INVITE").first("content-length") == "3"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Max-Forwards: 70", b"Max-Forwards: 0", 483),
        (b"Max-Forwards: 70", b"Proxy-Require: foo, bar", 420),
        (b"sip:0002@tollbell.local SIP", b"http://example.com SIP", 416),
        (b"sip:0002@tollbell.local SIP", b"sip:0002@@ SIP", 400),
    ],
)
def test_requests_that_may_not_be_forwarded_are_refused_before_any_challenge(
    old: bytes, new: bytes, status: int
) -> None:
    """§16.3."""
    exchange, caller, _ = switchboard()
    data = caller.build(
        "INVITE", f"sip:0002@{DOMAIN}", to=f"<sip:0002@{DOMAIN}>", call_id="x", from_tag="1", cseq=1
    )
    caller.inbox.clear()
    caller.send(data.replace(old, new))
    assert caller.statuses() == [status]
    if status == 420:
        assert caller.responses()[0].values("unsupported") == ["foo", "bar"]
    assert exchange.records == []


def test_a_request_that_comes_around_unchanged_is_a_loop() -> None:
    """§16.3 step 4."""
    exchange, caller, callee = switchboard()
    attempt = caller.invite("0002")
    forwarded = callee.request("INVITE")
    looped = forwarded.encode().replace(forwarded.lines[0].encode(), f"INVITE {attempt.uri} SIP/2.0".encode())
    via = f"Via: SIP/2.0/UDP {callee.address[0]}:5060;branch=z9hG4bKloop;rport\r\n".encode()
    head, _, rest = looped.partition(b"\r\n")
    exchange.receive(head + b"\r\n" + via + rest, callee.flow)
    assert callee.statuses("INVITE") == [482]
    assert len(exchange.engine.live_calls()) == 1


def test_a_request_that_comes_around_for_another_target_is_no_loop() -> None:
    exchange, caller, callee = switchboard()
    caller.invite("0002")
    forwarded = callee.request("INVITE")
    via = f"Via: SIP/2.0/UDP {callee.address[0]}:5060;branch=z9hG4bKspiral;rport\r\n".encode()
    head, _, rest = forwarded.encode().partition(b"\r\n")
    exchange.receive(b"INVITE sip:0003@tollbell.local SIP/2.0\r\n" + via + rest, callee.flow)
    assert callee.statuses("INVITE") == [407]
    assert head.startswith(b"INVITE")


def test_options_to_the_exchange_is_answered_with_what_it_knows() -> None:
    _, caller, _ = switchboard()
    for uri in (f"sip:{DOMAIN}", "sip:192.0.2.1:5060", "sip:192.0.2.1"):
        caller.send(caller.build("OPTIONS", uri, to=f"<{uri}>", call_id=uri, from_tag="1", cseq=1))
        response = caller.responses("OPTIONS")[-1]
        assert response.status == 200
        assert "INVITE" in response.values("allow")
        assert response.to_tag


@pytest.mark.parametrize("method", ["MESSAGE", "OPTIONS", "INFO", "SUBSCRIBE", "NOTIFY", "SHUFFLE"])
def test_other_requests_between_accounts_are_authenticated_and_relayed_without_a_call(method: str) -> None:
    exchange, caller, callee = switchboard()
    attempt = caller.invite("0002", method=method, body=b"hello")
    request = callee.request(method)
    assert request.body == b"hello"
    assert ("record-route" in request.keys) == (method == "SUBSCRIBE")
    callee.answer(request, 200)
    assert attempt.statuses == [200]
    assert exchange.records == []
    assert exchange.call_states == []


def test_a_relayed_request_that_nobody_answers_is_not_answered_408() -> None:
    """RFC 4320 §4.2."""
    exchange, caller, callee = switchboard()
    attempt = caller.invite("0002", method="MESSAGE")
    exchange.advance(40)
    assert len(callee.requests("MESSAGE")) > 5
    assert attempt.statuses == []


def test_settings_that_change_are_in_force_at_once() -> None:
    exchange, caller, _ = switchboard()
    exchange.directory.settings = ExchangeSettings(concurrent_call_limit=0)
    assert caller.invite("0002").statuses == [503]


def test_a_provisional_response_to_another_request_than_invite_stays_here() -> None:
    """RFC 4320 §4.1."""
    _, caller, callee = switchboard()
    attempt = caller.invite("0002", method="MESSAGE")
    callee.answer(callee.request("MESSAGE"), 100)
    callee.answer(callee.request("MESSAGE"), 183)
    assert attempt.statuses == []
    callee.answer(callee.request("MESSAGE"), 200)
    assert attempt.statuses == [200]


def test_a_caller_that_says_ob_is_reached_on_its_flow() -> None:
    """RFC 5626 §4.3; its address alone would do for a caller without NAT."""
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    caller.contact = "sip:0001@203.0.113.99:5060;ob"
    attempt = caller.invite("0002")
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    callee.send(callee_request(callee, callee.request("INVITE"), "BYE"))
    assert caller.request("BYE").uri == caller.contact
    assert exchange.undelivered == []
