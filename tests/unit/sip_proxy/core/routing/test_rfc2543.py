"""Phones of RFC 2543, whose Via has no unique branch (RFC 3261 §17.2.3, §16.11)."""

import pytest

from tests.support.sip_phones import Attempt, Exchange, Phone


class OldPhone(Phone):
    """A phone that writes what all its requests of one kind share, or nothing, for a branch."""

    branch_parameter = ""

    def via(self, branch: str) -> str:
        return f"Via: SIP/2.0/{self.transport.value} {self.sent_by}{self.branch_parameter};rport"


@pytest.fixture(params=["", ";branch=1", ";branch=390skdjuw"])
def exchange(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Exchange:
    monkeypatch.setattr(OldPhone, "branch_parameter", request.param)
    return Exchange()


def old_phone(exchange: Exchange, number: str = "0001") -> OldPhone:
    phone = OldPhone(exchange, number)
    exchange.phones[phone.key] = phone
    assert phone.register().status == 200
    return phone


def call(exchange: Exchange) -> tuple[OldPhone, Phone, Attempt]:
    caller, callee = old_phone(exchange), exchange.phone("0002")
    return caller, callee, caller.invite("0002")


def test_it_calls_talks_and_hangs_up(exchange: Exchange) -> None:
    caller, callee, attempt = call(exchange)
    callee.answer(callee.request("INVITE"), 180)
    callee.answer(callee.request("INVITE"), 200)
    attempt.ack()
    assert attempt.statuses == [180, 200]
    assert len(callee.requests("ACK")) == 1
    exchange.advance(7)
    attempt.bye()
    callee.answer(callee.request("BYE"), 200)
    assert caller.statuses("BYE") == [200]
    assert exchange.the_record.duration_us == 7_000_000


def test_its_retransmissions_are_absorbed(exchange: Exchange) -> None:
    _, callee, attempt = call(exchange)
    attempt.send_again()
    attempt.send_again()
    assert len(callee.requests("INVITE")) == 1
    assert attempt.statuses == [100, 100]


def test_its_cancel_finds_its_invite(exchange: Exchange) -> None:
    caller, callee, attempt = call(exchange)
    callee.answer(callee.request("INVITE"), 180)
    attempt.cancel()
    assert caller.statuses("CANCEL") == [200]
    callee.answer(callee.request("CANCEL"), 200)
    callee.answer(callee.request("INVITE"), 487)
    assert attempt.statuses == [180, 487]


def test_its_ack_of_a_refusal_ends_the_repetition(exchange: Exchange) -> None:
    caller, callee, attempt = call(exchange)
    callee.answer(callee.request("INVITE"), 486)
    refused = attempt.last_response
    assert refused is not None
    caller.send(attempt.ack_of(refused))
    before = len(attempt.statuses)
    exchange.advance(30)
    assert len(attempt.statuses) == before


def test_two_calls_at_once_are_two_transactions(exchange: Exchange) -> None:
    caller, callee, one = call(exchange)
    other = caller.invite("0002")
    assert len(callee.requests("INVITE")) == 2
    callee.answer(callee.requests("INVITE")[1], 486)
    assert one.is_on_its_way
    assert other.statuses == [486]
