"""However phones fall silent, a call is billed to the last sign of life of the called one."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sip_proxy.core.dialog.session_timer import ask_for_session_timer
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.parser import parse_message
from tests.support.examples import examples
from tests.support.sip_calls import AnsweredCall
from tests.support.sip_phones import Exchange, Phone


@dataclass(frozen=True)
class Stretch:
    """For some seconds, these phones answer what they are asked."""

    seconds: int
    caller_answers: bool
    callee_answers: bool


class AnsweringPhone:
    """Answers what it is asked in its call, at once or not at all."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self.answers = False
        self.seen_at = phone.exchange.now
        self._take = phone.take
        phone.take = self.take  # type: ignore[method-assign]

    def take(self, data: bytes) -> None:
        self._take(data)
        message = self.phone.inbox[-1]
        if self.answers and isinstance(message, Request) and message.method == "INFO":
            if not self.phone.exchange.records:  # a question from before the end may be answered after it
                self.seen_at = self.phone.exchange.now
            self.phone.answer(message, 200)


STRETCHES = st.lists(
    st.builds(Stretch, st.integers(1, 400), st.sampled_from([True, True, False]), st.booleans()), max_size=6
)


@settings(max_examples=examples(200))
@given(stretches=STRETCHES, restart_after=st.integers(0, 6))
def test_a_ghost_call_ends_with_the_last_sign_of_life_of_the_called_phone(
    stretches: list[Stretch], restart_after: int
) -> None:
    call = AnsweredCall()
    exchange = call.exchange
    phones = [AnsweringPhone(call.caller), AnsweringPhone(call.callee)]
    restarted_at = None
    silence = Stretch(1000, caller_answers=False, callee_answers=False)
    for index, stretch in enumerate([*stretches, silence]):
        if index == restart_after and not exchange.records:
            exchange.restart()
            restarted_at = exchange.now
        phones[0].answers, phones[1].answers = stretch.caller_answers, stretch.callee_answers
        exchange.advance(stretch.seconds)
    record = exchange.the_record
    caller, callee = phones
    expected_s = callee.seen_at - call.answered_at
    duration_s = record.duration_us / 1e6
    if restarted_at is not None:
        # What the journal knew: it is told at least every five minutes, and at the answer.
        if caller.seen_at < restarted_at:  # it may have hung up meanwhile
            expected_s = min(expected_s, caller.seen_at - call.answered_at)
        assert max(0.0, expected_s - 420) <= duration_s + 1e-3
        assert duration_s <= expected_s + 1e-3
    else:
        assert duration_s == pytest.approx(expected_s, abs=1e-3)
    assert exchange.engine.live_calls() == []


def seconds_of(request: Request, key: str) -> int:
    return int((request.first(key) or "0").partition(";")[0])


INTERVALS = st.none() | st.integers(0, 100_000)


@settings(deadline=None)
@given(asked=INTERVALS, minimum=INTERVALS, ours=st.integers(90, 7200), least=st.integers(90, 600))
def test_a_session_interval_obeys_rfc_4028(
    asked: int | None, minimum: int | None, ours: int, least: int
) -> None:
    """§8.1: never below Min-SE, never raised but to a minimum, never lowered below ours."""
    config = Exchange(config_changes={"session_interval_s": ours, "minimum_session_interval_s": least})
    lines = ["INVITE sip:0002@x SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKx"]
    lines += [] if asked is None else [f"Session-Expires: {asked};refresher=uac"]
    lines += [] if minimum is None else [f"Min-SE: {minimum}"]
    request = parse_message("\r\n".join([*lines, "", ""]).encode())
    assert isinstance(request, Request)
    result = ask_for_session_timer(request, config.engine.config)
    assert seconds_of(request, "session-expires") == result
    assert result >= seconds_of(request, "min-se") >= (minimum or 0)
    if asked is None:
        assert result == max(ours, minimum or 0)
    else:
        assert request.first("session-expires") == f"{result};refresher=uac"
        assert result >= min(asked, ours)
        assert result <= max(asked, seconds_of(request, "min-se"))
        assert result >= least or seconds_of(request, "min-se") >= least or asked >= least > ours
    assert request.keys.count("session-expires") == 1
    assert request.keys.count("min-se") <= 1
