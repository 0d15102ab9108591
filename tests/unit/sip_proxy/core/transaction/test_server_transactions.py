"""The server machines: RFC 3261 §17.2.1 with RFC 6026 §7.1, and §17.2.2."""

import pytest

from sip_proxy.core.flow import Flow
from sip_proxy.core.transaction.server import ServerEvent, ServerState, ServerTransaction
from tests.support.sip_transactions import OTHER_TCP, TCP, UDP, Bench, request


def again(bench: Bench, transaction: ServerTransaction) -> list[str]:
    """The request comes once more; return what is answered."""
    bench.outputs.clear()
    transaction.fire(ServerEvent.REQUEST_AGAIN, bench.now)
    return bench.sent()


def respond(bench: Bench, transaction: ServerTransaction, status: int) -> list[str]:
    bench.outputs.clear()
    transaction.respond(status, f"SIP/2.0 {status}\r\n".encode(), bench.now)
    return bench.sent()


def test_a_retransmitted_invite_is_answered_with_the_last_provisional() -> None:
    bench = Bench()
    invite = bench.server("INVITE")
    assert again(bench, invite) == []
    assert respond(bench, invite, 100) == ["SIP/2.0 100"]
    assert again(bench, invite) == ["SIP/2.0 100"]
    respond(bench, invite, 180)
    assert again(bench, invite) == ["SIP/2.0 180"]


class Worker:
    """Works on an INVITE, and takes its time."""

    def cancel(self, now: float, reason: str = "") -> None:
        """Nobody gives up here."""

    def trying(self) -> bytes:
        return b"SIP/2.0 100\r\n"

    def unreachable(self, now: float) -> None:
        """Nobody is lost here."""

    def server_ended(self) -> None:
        """Nothing to forget."""


@pytest.mark.parametrize("to", [UDP, TCP])
def test_an_invite_gets_100_once_when_nothing_has_gone_back_for_200_ms(to: Flow) -> None:
    bench = Bench()
    invite = bench.server("INVITE", to)
    invite.taker = Worker()
    invite.expect_answer(bench.now)
    assert bench.advance(10) == [0.2]
    assert bench.sent() == ["SIP/2.0 100"]
    assert again(bench, invite) == ["SIP/2.0 100"]


@pytest.mark.parametrize("status", [180, 200, 486])
def test_whatever_goes_back_sooner_takes_the_place_of_the_100(status: int) -> None:
    bench = Bench()
    invite = bench.server("INVITE", TCP)
    invite.taker = Worker()
    invite.expect_answer(bench.now)
    bench.advance(0.1)
    assert respond(bench, invite, status) == [f"SIP/2.0 {status}"]
    assert bench.advance(10) == []


def test_an_invite_that_is_repeated_sooner_gets_100_at_once() -> None:
    bench = Bench()
    invite = bench.server("INVITE")
    invite.taker = Worker()
    invite.expect_answer(bench.now)
    assert again(bench, invite) == ["SIP/2.0 100"]
    assert bench.advance(10) == []


def test_timer_g_repeats_a_failure_up_to_every_t2_until_timer_h() -> None:
    bench = Bench()
    invite = bench.server("INVITE")
    assert respond(bench, invite, 486) == ["SIP/2.0 486"]
    assert bench.advance(31.9) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert again(bench, invite) == ["SIP/2.0 486"]
    bench.advance(0.1)
    assert len(bench.layer) == 0


def test_a_failure_on_a_reliable_transport_is_not_repeated_but_timer_h_runs() -> None:
    bench = Bench()
    respond(bench, bench.server("INVITE", TCP), 486)
    assert bench.advance(31.9) == []
    assert len(bench.layer) == 1
    bench.advance(0.1)
    assert len(bench.layer) == 0


@pytest.mark.parametrize(("to", "lingers_s"), [(UDP, 5.0), (TCP, 0.0)])
def test_the_ack_ends_the_repetition_and_timer_i_the_transaction(to: Flow, lingers_s: float) -> None:
    bench = Bench()
    invite = bench.server("INVITE", to)
    respond(bench, invite, 486)
    invite.fire(ServerEvent.ACK, bench.now)
    if lingers_s:
        assert invite.state == ServerState.CONFIRMED
        assert bench.advance(lingers_s - 0.1) == []
        assert again(bench, invite) == []
        invite.fire(ServerEvent.ACK, bench.now)
        assert len(bench.layer) == 1
        bench.advance(0.1)
    assert len(bench.layer) == 0


def test_after_a_2xx_copies_of_the_invite_are_absorbed_and_further_2xx_pass_until_timer_l() -> None:
    """RFC 6026 §7.1."""
    bench = Bench()
    invite = bench.server("INVITE")
    assert respond(bench, invite, 200) == ["SIP/2.0 200"]
    assert invite.state == ServerState.ACCEPTED
    assert again(bench, invite) == []
    assert bench.advance(31.9) == []
    assert respond(bench, invite, 200) == ["SIP/2.0 200"]
    bench.advance(0.1)
    assert len(bench.layer) == 0
    assert respond(bench, invite, 200) == []


@pytest.mark.parametrize(("first", "second"), [(486, 200), (486, 180), (486, 404), (200, 486), (200, 180)])
def test_a_final_response_is_final(first: int, second: int) -> None:
    bench = Bench()
    invite = bench.server("INVITE")
    respond(bench, invite, first)
    assert respond(bench, invite, second) == []


def test_a_new_request_is_absorbed_while_there_is_nothing_to_repeat() -> None:
    """§17.2.2."""
    bench = Bench()
    bye = bench.server("BYE")
    assert again(bench, bye) == []
    respond(bench, bye, 100)
    assert again(bench, bye) == ["SIP/2.0 100"]


@pytest.mark.parametrize(("to", "lingers_s"), [(UDP, 32.0), (TCP, 0.0)])
def test_a_final_response_is_repeated_for_copies_until_timer_j(to: Flow, lingers_s: float) -> None:
    bench = Bench()
    bye = bench.server("BYE", to)
    respond(bench, bye, 200)
    if lingers_s:
        assert bench.advance(lingers_s - 0.1) == []
        assert again(bench, bye) == ["SIP/2.0 200"]
        assert respond(bench, bye, 500) == []
        bench.advance(0.1)
    assert len(bench.layer) == 0


def test_a_lost_connection_ends_the_transaction() -> None:
    """§17.2.4."""
    bench = Bench()
    bench.server("INVITE", TCP).respond(500, b"500", bench.now)
    bench.layer.connection_lost(OTHER_TCP, bench.now)
    assert len(bench.layer) == 1
    bench.layer.connection_lost(TCP, bench.now)
    assert len(bench.layer) == 0
    assert bench.advance(100) == []


@pytest.mark.parametrize("method", ["INVITE", "BYE"])
def test_a_response_that_cannot_be_sent_ends_the_transaction_and_no_other(method: str) -> None:
    """§17.2.4."""
    bench = Bench()
    transaction = bench.server(method)
    transaction.respond(500, b"500", bench.now)
    for other, peer in ((b"503", UDP), (b"500", TCP)):
        bench.layer.send_failed(other, peer, bench.now)
    assert len(bench.layer) == 1
    bench.layer.send_failed(b"500", UDP, bench.now)
    assert len(bench.layer) == 0
    assert bench.advance(100) == []


def test_an_abandoned_transaction_answers_nothing_any_more() -> None:
    """RFC 4320 §4.2."""
    bench = Bench()
    options = bench.server("OPTIONS")
    options.abandon(bench.now)
    assert respond(bench, options, 408) == []
    assert len(bench.layer) == 0


def test_requests_are_matched_by_branch_sent_by_and_method() -> None:
    """§17.2.3: an ACK belongs to its INVITE, a CANCEL is a transaction of its own."""
    bench = Bench()
    invite = bench.server("INVITE")
    assert bench.layer.find_server(request("INVITE"), "INVITE") is invite
    assert bench.layer.find_server(request("ACK"), "INVITE") is invite
    assert bench.layer.find_server(request("CANCEL"), "CANCEL") is None
    assert bench.layer.find_server(request("CANCEL"), "INVITE") is invite
    assert bench.layer.find_server(request("INVITE", branch="z9hG4bKother"), "INVITE") is None
    assert bench.layer.find_server(request("INVITE", host="192.0.2.77"), "INVITE") is None
    elsewhere = request("INVITE", via="SIP/2.0/UDP 192.0.2.1:7;branch=z9hG4bKtest")
    assert bench.layer.find_server(elsewhere, "INVITE") is None
