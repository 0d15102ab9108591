"""The client machines: RFC 3261 §17.1.1 with RFC 6026 §8.4, and §17.1.2."""

import pytest

from sip_proxy.core.flow import Flow
from sip_proxy.core.outputs import Send
from sip_proxy.core.transaction.client import ClientState, RequestFailure
from tests.support.sip_transactions import OTHER_TCP, TCP, UDP, Bench, response

INVITE = "INVITE sip:0002@198.51.100.1 SIP/2.0"
ACK = "ACK sip:0002@198.51.100.1 SIP/2.0"


def test_timer_a_doubles_and_timer_b_ends_an_unanswered_invite_as_408() -> None:
    """§17.1.1.2: at 0, then T1, 3*T1, 7*T1, … until 64*T1."""
    bench = Bench()
    bench.client("INVITE")
    assert bench.sent() == [INVITE]
    assert bench.advance(31.9) == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.told == []
    bench.advance(0.1)
    assert bench.told == [RequestFailure.TIMEOUT]
    assert len(bench.layer) == 0


def test_a_reliable_transport_repeats_nothing_but_timer_b_still_runs() -> None:
    bench = Bench()
    bench.client("INVITE", TCP)
    assert bench.advance(31.9) == []
    bench.advance(0.1)
    assert bench.told == [RequestFailure.TIMEOUT]


def test_a_provisional_stops_timers_a_and_b() -> None:
    bench = Bench()
    invite = bench.client("INVITE")
    invite.receive(response(180, "INVITE"), bench.now)
    assert invite.state == ClientState.PROCEEDING
    assert bench.advance(1000) == []
    assert bench.told == [180]
    invite.receive(response(183, "INVITE"), bench.now)
    assert bench.told == [180, 183]


@pytest.mark.parametrize("before", [[], [180]])
def test_a_failure_is_acknowledged_and_reported_once(before: list[int]) -> None:
    bench = Bench()
    invite = bench.client("INVITE")
    for status in before:
        invite.receive(response(status, "INVITE"), bench.now)
    bench.sent()
    for _ in range(3):
        invite.receive(response(486, "INVITE"), bench.now)
    assert bench.sent() == [ACK] * 3
    assert bench.told == [*before, 486]
    assert invite.state == ClientState.COMPLETED


def test_the_ack_is_on_the_branch_and_route_of_its_invite_with_the_to_of_the_response() -> None:
    """§17.1.1.3."""
    bench = Bench()
    invite = bench.client("INVITE")
    bench.sent()
    invite.receive(response(404, "INVITE", tag="xyz"), bench.now)
    (output,) = bench.outputs
    assert isinstance(output, Send)
    lines = output.data.decode().split("\r\n")
    vias = [line for line in lines if line.startswith("Via")]
    assert vias == ["Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKtest"]
    assert "Route: <sip:edge.example;lr>" in lines
    assert "To: <sip:0002@h>;tag=xyz" in lines
    assert "From: <sip:0001@h>;tag=1" in lines
    assert "CSeq: 7 ACK" in lines


@pytest.mark.parametrize(("to", "lingers_s"), [(UDP, 32.0), (TCP, 0.0)])
def test_timer_d_keeps_a_failed_invite_for_retransmissions_on_udp_only(to: Flow, lingers_s: float) -> None:
    bench = Bench()
    invite = bench.client("INVITE", to)
    invite.receive(response(486, "INVITE"), bench.now)
    if lingers_s:
        bench.advance(lingers_s - 0.1)
        assert len(bench.layer) == 1
        bench.advance(0.1)
    assert len(bench.layer) == 0


def test_every_2xx_is_reported_until_timer_m_and_none_is_acknowledged_here() -> None:
    """RFC 6026 §8.4."""
    bench = Bench()
    invite = bench.client("INVITE")
    bench.sent()
    invite.receive(response(200, "INVITE"), bench.now)
    assert invite.state == ClientState.ACCEPTED
    bench.advance(31.9)
    invite.receive(response(200, "INVITE"), bench.now)
    invite.receive(response(200, "INVITE", tag="other"), bench.now)
    assert bench.told == [200, 200, 200]
    assert bench.sent() == []
    bench.advance(0.1)
    assert len(bench.layer) == 0


def test_provisionals_and_failures_after_a_2xx_are_ignored() -> None:
    bench = Bench()
    invite = bench.client("INVITE")
    invite.receive(response(200, "INVITE"), bench.now)
    bench.sent()
    invite.receive(response(180, "INVITE"), bench.now)
    invite.receive(response(500, "INVITE"), bench.now)
    assert bench.told == [200]
    assert bench.sent() == []


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_lost_connection_fails_the_request_as_503(method: str) -> None:
    """§17.1.4."""
    bench = Bench()
    bench.client(method, TCP)
    bench.layer.connection_lost(OTHER_TCP, bench.now)
    assert bench.told == []
    bench.layer.connection_lost(TCP, bench.now)
    assert bench.told == [RequestFailure.TRANSPORT_ERROR]
    assert len(bench.layer) == 0
    assert bench.advance(100) == []


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_request_that_cannot_be_sent_fails_as_503_and_no_other_to_the_same_peer(method: str) -> None:
    """§17.1.4."""
    bench = Bench()
    data = bench.client(method).data
    for other, peer in ((data + b"x", UDP), (data, TCP)):
        bench.layer.send_failed(other, peer, bench.now)
    assert bench.told == []
    bench.layer.send_failed(data, UDP, bench.now)
    assert bench.told == [RequestFailure.TRANSPORT_ERROR]
    assert len(bench.layer) == 0
    assert bench.advance(100) == []


def test_a_lost_connection_is_found_out_about_without_looking_at_the_transactions_of_others() -> None:
    """Thousands of connections may break at once, and each must cost what is on it."""
    bench = Bench()
    for index in range(50):
        bench.client("OPTIONS", UDP if index % 2 else OTHER_TCP)
    mine = bench.client("OPTIONS", TCP)
    assert bench.layer._clients_on(TCP) == [mine]
    assert len(bench.layer._clients_on(OTHER_TCP)) == 25
    for peer in (TCP, OTHER_TCP):
        bench.layer.connection_lost(peer, bench.now)
    assert len(bench.told) == 26
    assert not bench.layer._on_connections


def test_timer_e_doubles_up_to_t2_and_timer_f_ends_an_unanswered_request() -> None:
    """§17.1.2.2."""
    bench = Bench()
    bench.client("BYE")
    assert bench.advance(31.9) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    bench.advance(0.1)
    assert bench.told == [RequestFailure.TIMEOUT]
    assert len(bench.layer) == 0


def test_after_a_provisional_timer_e_is_t2_and_timer_f_goes_on() -> None:
    bench = Bench()
    bye = bench.client("BYE")
    bye.receive(response(100, "BYE"), bench.now)
    assert bench.advance(31.9) == [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    bench.advance(0.1)
    assert bench.told == [100, RequestFailure.TIMEOUT]


@pytest.mark.parametrize("to", [UDP, TCP])
@pytest.mark.parametrize("status", [200, 404])
def test_a_final_response_is_reported_once_and_ends_the_transaction(to: Flow, status: int) -> None:
    """A copy of it belongs to no transaction; timer K (§17.1.2.2) would only let a transaction absorb it."""
    bench = Bench()
    bye = bench.client("BYE", to)
    bye.receive(response(status, "BYE"), bench.now)
    bye.receive(response(status, "BYE"), bench.now)
    assert bench.told == [status]
    assert bench.layer.find_client(response(status, "BYE")) is None
    assert bench.ended == 1
    assert len(bench.layer) == 0
    bench.sent()
    assert bench.advance(100) == []


def test_responses_are_matched_by_branch_and_method() -> None:
    """§17.1.3: a CANCEL has the branch of its INVITE and is told from it by the method in CSeq."""
    bench = Bench()
    invite = bench.client("INVITE")
    cancel = bench.client("CANCEL")
    assert bench.layer.find_client(response(200, "CANCEL")) is cancel
    assert bench.layer.find_client(response(200, "INVITE")) is invite
    assert bench.layer.find_client(response(200, "INVITE", branch="z9hG4bKother")) is None
    assert bench.layer.find_client(response(200, "BYE")) is None
