"""Ghost calls: is there still a phone at each end?

A phone that loses power sends no BYE, and the sound goes past the exchange. So each side of an answered call
must give a sign of life now and then: any request or response in the dialog is one, and each side is asked
for one by INFO. When it doesn't answer several times in a row or doesn't know the call, or when the
phones agreed on a session timer (RFC 4028) and let it run out, the call is over, and it ended at the last
proof of life: that of the called side, because whoever pays could be silent on purpose.

Questions come every minute after the answer, whatever was heard meanwhile. So a caller who tells the other
phone of his hanging up and not the exchange (they may know each other's addresses) saves seconds, and no
minute where minutes are charged: each was proved a moment after it began.
"""

from typing import Final, Protocol

from sip_proxy.core.dialog.call import Call, CallTimer
from sip_proxy.core.dialog.own_requests import OwnRequests
from sip_proxy.core.dialog.party import Party
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.message.message import Response
from sip_proxy.core.outputs import LiveCallState
from sip_proxy.core.transaction.client import ClientTransaction, RequestFailure

_GONE: Final = "A phone is no longer there"
_HUNG_UP: Final = "A phone has hung up"
_DOES_NOT_KNOW_THE_CALL: Final = 481
# Either of these ends a dialog (RFC 3261 §12.2.1.2); any other answer comes from a phone that knows the call.
NO_SIGN_OF_LIFE: Final = frozenset({408, _DOES_NOT_KNOW_THE_CALL})
# How often the last proof of life goes into the journal: a restart must not forget hours of a call.
_SAVE_INTERVAL_S: Final = 300.0
# A call that is to be ended, for a session that ran out or a caller that is gone, ends this long after the
# called phone was asked for the last time: its last answer may be a minute old, and that minute was talked.
_LAST_QUESTION_S: Final = 4.0
_RESTORED_PER_S: Final = 100
_REPEATED_BY_S: Final = 5.0
# The phone that answered repeats its answer after 0.5, 1.5, 3.5 and 7.5 s (RFC 3261 §13.3.1.4).
_ANSWER_HEARD_S: Final = 8.0

_LIFE_CHECK: Final = CallTimer.LIFE_CHECK


class GhostHunter(Protocol):
    """Who ends and saves calls."""

    def end_ghost(self, call: Call, text: str, now: float) -> None:
        """End the call as of its last proof of life."""

    def save(self, call: Call, now: float) -> None:
        """Keep the call for a restart."""


class LifeCheck:
    """Asks the phones of answered calls for signs of life."""

    __slots__ = ("_calls", "_exchange", "_requests", "_restored")

    def __init__(self, exchange: Exchange, requests: OwnRequests, calls: GhostHunter) -> None:
        self._exchange = exchange
        self._requests = requests
        self._calls = calls
        self._restored = 0

    def begin(self, call: Call, now: float) -> None:
        """Start the timer of the next check."""
        interval_s = self._exchange.config.life_check_interval_s
        call.timer = self._exchange.timers.start(interval_s, call, _LIFE_CHECK, now)

    def begin_restored(self, call: Call, now: float) -> None:
        """Start the first check of a restored call: soon, as its BYE may have come while nobody was here.

        A phone that is still repeating its BYE (§17.1.2.2: every 4 s) gets the time to be heard, because then
        the instant of its hanging up is known. Thousands of calls must not be asked at the same instant, but
        the hundred of a second may be, as there is a queue for each duration of timers.
        """
        delay_s = _REPEATED_BY_S + self._restored // _RESTORED_PER_S
        self._restored += 1
        call.timer = self._exchange.timers.start(delay_s, call, _LIFE_CHECK, now)

    def check(self, call: Call, now: float) -> None:
        """See whether both sides were there when they were asked last, and ask them again."""
        assert call.called is not None
        if call.session_is_over(now):
            # Who is there has talked until now, and pays until now: not to refresh must save nobody a minute.
            self._ask(call, now)
            call.timer = self._exchange.timers.start(_LAST_QUESTION_S, call, CallTimer.SESSION_OVER, now)
            return
        config = self._exchange.config
        if call.called.missed >= config.life_check_failures:
            self._calls.end_ghost(call, _GONE, now)
            return
        if call.calling.missed >= config.life_check_failures:
            self._caller_is_gone(call, _GONE, now)
            return
        self._ask(call, now)
        if now - call.saved_on_clock >= _SAVE_INTERVAL_S:
            self._calls.save(call, now)
        self.begin(call, now)

    def denied(self, call: Call, receiver: Party, now: float) -> None:
        """One side says that it knows no such call."""
        if receiver is call.calling:
            self._caller_is_gone(call, _HUNG_UP, now)
        else:
            self._calls.end_ghost(call, _HUNG_UP, now)

    def _caller_is_gone(self, call: Call, text: str, now: float) -> None:
        """End a call whose caller keeps silent or denies it, after a last question to the called side.

        After a restart it may have gone while there was nobody to hear it; then its last sign counts as well.
        """
        if call.calling.seen_at < call.restored_on_clock:
            self._calls.end_ghost(call, text, now)
        elif call.state is LiveCallState.ANSWERED:
            assert call.called is not None
            call.calling.missed = self._exchange.config.life_check_failures
            if call.timer is not None:
                call.timer.cancel()
            call.timer = self._exchange.timers.start(_LAST_QUESTION_S, call, CallTimer.CALLER_GONE, now)
            if now - call.called.seen_at >= _LAST_QUESTION_S:
                self._ask_one(call, call.called, call.calling, now)

    def end_without_caller(self, call: Call, now: float) -> None:
        """End a call whose caller is gone, as of its last proof of life, unless it has come back."""
        if call.calling.missed >= self._exchange.config.life_check_failures:
            self._calls.end_ghost(call, _GONE, now)
        else:
            self.begin(call, now)

    def end_session(self, call: Call, now: float) -> None:
        """End a session that ran out, as of its last proof of life, unless it was refreshed meanwhile."""
        if call.session_is_over(now):
            self._calls.end_ghost(call, "The session timer ran out", now)
        else:
            self.begin(call, now)

    def _ask(self, call: Call, now: float) -> None:
        assert call.called is not None
        self._ask_one(call, call.calling, call.called, now)
        self._ask_one(call, call.called, call.calling, now)

    def _ask_one(self, call: Call, receiver: Party, sender: Party, now: float) -> None:
        receiver.missed += 1
        question = _Question(self, call, receiver)
        self._requests.send_question(call.call_id, sender, receiver, question, now)


class _Question:
    """A question on its way: an answer counts, none doesn't."""

    __slots__ = ("_call", "_check", "_receiver")

    def __init__(self, check: LifeCheck, call: Call, receiver: Party) -> None:
        self._check = check
        self._call = call
        self._receiver = receiver

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """A final response of a phone that knows the call is a sign of life."""
        if response.status == _DOES_NOT_KNOW_THE_CALL and self._must_know_the_call(now):
            self._check.denied(self._call, self._receiver, now)
        elif response.status >= 200 and response.status not in NO_SIGN_OF_LIFE:
            self._receiver.showed_life(now)

    def _must_know_the_call(self, now: float) -> bool:
        """A caller may not have heard the answer yet when the exchange was restarted before passing it on."""
        call = self._call
        is_caller = self._receiver is call.calling
        return not (is_caller and call.waits_for_ack()) or now - call.answered_on_clock >= _ANSWER_HEARD_S

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        """Silence is counted where the question was asked."""

    def transaction_ended(self) -> None:
        """Nothing to forget."""
