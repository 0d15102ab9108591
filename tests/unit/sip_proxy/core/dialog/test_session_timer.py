"""Session timers as a proxy asks for them and enforces them (RFC 4028 §8)."""

import pytest

from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.message.message import Message, Request
from sip_proxy.core.message.parser import parse_message
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Attempt, Exchange, Phone, callee_request

SUPPORTED = "Supported: 100rel, Timer"


def invited(*headers: str, **config: object) -> Request:
    """The INVITE as the callee gets it when the caller sends these headers."""
    exchange = Exchange(config_changes=config)
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    caller.invite("0002", headers=headers)
    return callee.request("INVITE")


def timer_of(message: Message) -> tuple[str | None, str | None]:
    return message.first("session-expires"), message.first("min-se")


class Refreshed:
    """A call between phones of which some do timers."""

    def __init__(
        self, *, caller: tuple[str, ...] = (), callee: tuple[str, ...] = (), alive: bool = True
    ) -> None:
        self.exchange = Exchange()
        self.alive = alive
        self.caller, self.callee = self.exchange.phone("0001"), self.exchange.phone("0002")
        self.attempt: Attempt = self.caller.invite("0002", headers=caller)
        self.invite = self.callee.request("INVITE")
        self.callee.answer(self.invite, 200, headers=callee)
        self.ok = self.attempt.responses[-1]
        self.attempt.ack()

    def live_on(self, seconds: int) -> None:
        """Time goes by; the phones answer questions, but don't refresh the session."""
        for _ in range(seconds):
            self.exchange.advance(1)
            for phone in (self.caller, self.callee):
                for request in phone.requests("INFO"):
                    phone.inbox.remove(request)
                    phone.answer(request, 200)

    def refresh(self, phone: Phone, method: str, cseq: int, *answer: str, **fields: object) -> None:
        """One side refreshes, the other agrees."""
        headers = (SUPPORTED, "Session-Expires: 1800;refresher=uac")
        other = self.callee if phone is self.caller else self.caller
        if phone is self.caller:
            phone.send(self.attempt.in_dialog(method, cseq=cseq, headers=headers))
        else:
            data = callee_request(phone, self.invite, method, cseq=cseq)
            phone.send(data.replace(b"Content-Length", "\r\n".join((*headers, "Content-Length")).encode()))
        other.answer(other.request(method), 200, headers=answer or ("Session-Expires: 1800;refresher=uac",))

    @property
    def is_live(self) -> bool:
        return bool(self.exchange.engine.live_calls())


def test_a_session_timer_is_asked_for_when_nobody_does() -> None:
    assert timer_of(invited()) == ("1800", None)
    assert "refresher" not in (invited().first("session-expires") or "")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("Session-Expires: 600",), ("600", None)),
        (("x: 600;refresher=uas",), ("600;refresher=uas", None)),
        (("Session-Expires: 7200;refresher=uac", "Min-SE: 90"), ("1800;refresher=uac", "90")),
        (("Session-Expires: 7200", "Min-SE: 3600"), ("3600", "3600")),
        (("Min-SE: 4000",), ("4000", "4000")),
        # Too short, and the phone wouldn't understand a 422.
        (("Session-Expires: 30",), ("90", "90")),
        (("Session-Expires: 30;refresher=uac", "Min-SE: 20"), ("90;refresher=uac", "90")),
        (("Session-Expires: 100", "Min-SE: 200"), ("200", "200")),
        (("Session-Expires: nonsense",), ("nonsense", None)),
        (("Session-Expires: 99999999999999",), ("99999999999999", None)),
    ],
)
def test_an_interval_is_lowered_to_ours_and_raised_to_the_minimum(
    headers: tuple[str, ...], expected: tuple[str, str | None]
) -> None:
    assert timer_of(invited(*headers)) == expected


def test_an_interval_that_is_too_short_is_refused_when_the_phone_knows_timers() -> None:
    exchange = Exchange()
    caller, callee = exchange.phone("0001"), exchange.phone("0002")
    attempt = caller.invite("0002", headers=(SUPPORTED, "Session-Expires: 60"))
    (response,) = attempt.responses
    assert (response.status, response.first("min-se")) == (422, "90")
    assert callee.requests("INVITE") == []
    assert exchange.the_record.outcome is Outcome.REJECTED


def test_an_emergency_call_is_not_refused_for_its_session_interval() -> None:
    exchange = Exchange()
    caller, desk = exchange.phone("0001"), exchange.phone("9911")
    caller.invite("9911", headers=(SUPPORTED, "Session-Expires: 60"))
    assert timer_of(desk.request("INVITE")) == ("90", "90")


def test_the_answer_of_a_phone_with_timers_passes_as_it_is() -> None:
    call = Refreshed(callee=("Session-Expires: 1200;refresher=uas",))
    assert call.ok.first("session-expires") == "1200;refresher=uas"
    assert "require" not in call.ok.keys


@pytest.mark.parametrize(
    ("answered", "require"), [((), ["timer"]), (("Require: 100rel",), ["100rel", "timer"])]
)
def test_a_caller_with_timers_refreshes_when_the_callee_has_none(
    answered: tuple[str, ...], require: list[str]
) -> None:
    call = Refreshed(caller=(SUPPORTED,), callee=answered)
    assert call.ok.first("session-expires") == "1800;refresher=uac"
    assert call.ok.values("require") == require


def test_a_repeated_answer_is_completed_alike() -> None:
    call = AnsweredCall(acknowledged=False)
    with_timer = Refreshed(caller=(SUPPORTED,))
    again = with_timer.callee.answer(with_timer.invite, 200)
    assert b"Session-Expires" not in again
    assert with_timer.attempt.responses[-1].first("session-expires") == "1800;refresher=uac"
    assert "session-expires" not in call.attempt.responses[-1].keys


def test_without_timers_on_both_sides_nothing_is_promised_and_the_call_goes_on() -> None:
    call = Refreshed()
    assert "session-expires" not in call.ok.keys
    call.live_on(2 * 1800)
    assert call.is_live


def test_a_session_that_is_not_refreshed_ends_at_the_last_proof_of_life() -> None:
    call = Refreshed(callee=("Session-Expires: 1800;refresher=uas",))
    call.live_on(1799)
    assert call.is_live
    call.live_on(61)
    assert not call.is_live
    record = call.exchange.the_record
    assert 1700e6 <= record.duration_us <= 1801e6
    for phone in (call.caller, call.callee):
        reason = phone.request("BYE").first("reason")
        assert reason == 'Q.850;cause=102;text="The session timer ran out"'


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("by_caller", [True, False])
def test_a_refreshed_session_goes_on(method: str, by_caller: bool) -> None:
    call = Refreshed(callee=("Session-Expires: 1800;refresher=uas",))
    for cseq in range(10, 14):
        call.live_on(1000)
        call.refresh(call.caller if by_caller else call.callee, method, cseq)
    assert call.is_live
    call.live_on(1900)
    assert not call.is_live
    assert len(call.exchange.records) == 1


def test_a_refresh_without_a_timer_in_its_answer_turns_the_timer_off() -> None:
    call = Refreshed(callee=("Session-Expires: 1800;refresher=uas",))
    call.caller.send(call.attempt.in_dialog("UPDATE", cseq=20))
    update = call.callee.request("UPDATE")
    assert update.first("session-expires") == "1800"
    call.callee.answer(update, 200)
    call.live_on(4000)
    assert call.is_live


def test_a_refused_refresh_is_none() -> None:
    call = Refreshed(callee=("Session-Expires: 1800;refresher=uas",))
    call.live_on(1000)
    call.caller.send(call.attempt.in_dialog("UPDATE", cseq=20, headers=(SUPPORTED,)))
    call.callee.answer(call.callee.request("UPDATE"), 491)
    call.live_on(861)
    assert not call.is_live


def test_a_refresh_with_too_short_an_interval_is_refused_and_the_call_goes_on() -> None:
    call = Refreshed()
    headers = (SUPPORTED, "Session-Expires: 20")
    call.caller.send(call.attempt.in_dialog("UPDATE", cseq=20, headers=headers))
    assert call.caller.statuses("UPDATE") == [422]
    assert call.callee.requests("UPDATE") == []
    assert call.is_live


def test_the_interval_outlives_a_restart() -> None:
    call = Refreshed(callee=("Session-Expires: 1800;refresher=uas",))
    call.live_on(1000)
    call.exchange.restart()
    call.live_on(1700)
    assert call.is_live
    call.live_on(250)
    assert not call.is_live


def test_what_is_asked_for_can_be_set() -> None:
    assert timer_of(invited(session_interval_s=300)) == ("300", None)
    headers = ("Session-Expires: 30",)
    assert timer_of(invited(*headers, minimum_session_interval_s=10)) == ("30", None)


def test_the_completed_answer_can_be_parsed_and_has_its_body() -> None:
    call = Refreshed(caller=(SUPPORTED,))
    send = call.exchange.sends_to(call.caller)[-1]
    message = parse_message(send.data)
    message.check()
    assert message.first("content-length") == str(len(message.body))


def test_an_answer_with_a_shorter_interval_than_there_is_does_not_end_the_call_at_once() -> None:
    """§4: 90 s is the least; with 1 s it would end unasked at the first look, billed to its beginning."""
    call = Refreshed(callee=("Session-Expires: 1;refresher=uas", "Require: timer"))
    call.live_on(89)
    assert call.exchange.records == []
    call.live_on(36)
    assert call.exchange.the_record.duration_us >= 59_000_000


def test_phones_that_are_there_pay_until_the_session_is_ended() -> None:
    """Else a caller who lets a short session run out would talk a minute of each call for free."""
    call = Refreshed(callee=("Session-Expires: 90;refresher=uac",))
    call.live_on(123)
    assert call.is_live
    call.live_on(1)
    record = call.exchange.the_record
    assert record.duration_us == 120_000_000
    assert record.ended_by is EndedBy.EXCHANGE


def test_a_session_that_is_refreshed_at_the_last_moment_goes_on() -> None:
    call = Refreshed(callee=("Session-Expires: 90;refresher=uac",))
    call.live_on(121)
    call.refresh(call.caller, "UPDATE", 10)
    call.live_on(59)
    assert call.is_live


def test_a_phone_that_is_gone_when_the_session_runs_out_is_billed_to_its_last_proof_of_life() -> None:
    call = Refreshed(callee=("Session-Expires: 90;refresher=uac",))
    call.live_on(62)
    call.exchange.advance(70)
    assert call.exchange.the_record.duration_us == 60_000_000
