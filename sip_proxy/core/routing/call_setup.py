"""A call on its way to an answer: what the responses to its INVITE mean for the call."""

from enum import IntEnum
from functools import partial
from typing import Final

from sip_proxy.core.dialog.call import Call
from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.dialog.call_table import CallTable
from sip_proxy.core.dialog.party import Party, contact_of
from sip_proxy.core.dialog.session_timer import ask_for_session_timer, knows_timers, settle_session_timer
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.message.grammar import quote_string
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.outputs import LiveCallState
from sip_proxy.core.rejection import Cause, Rejection
from sip_proxy.core.routing.best_response import FinalResponse
from sip_proxy.core.routing.calling_rules import NOT_ACCOUNTED_FOR
from sip_proxy.core.routing.response_context import Branch, ResponseContext
from sip_proxy.core.transaction.timers import Timer

_BUSY: Final = frozenset({486, 600, 603})
_NO_ANSWER: Final = frozenset({408, 480})
_GIVEN_UP: Final = Rejection(487, "Request Terminated")
_RECORD_ROUTE: Final = frozenset({"record-route"})


class SetupTimer(IntEnum):
    """The timer of a call setup."""

    RING_TIME = 0


_RING_TIME: Final = SetupTimer.RING_TIME
_ENDED: Final = LiveCallState.ENDED


class CallSetup:
    """Observes the response context of a call's INVITE.

    It is made before the INVITE is copied for forwarding, because it completes it.
    """

    __slots__ = (
        "_asked_s", "_calls", "_context", "_cseq", "_exchange", "_is_cancelled", "_knows_timers", "_refused",
        "_timer", "call",
    )  # fmt: skip

    def __init__(self, exchange: Exchange, calls: CallTable, call: Call, invite: Request) -> None:
        self._exchange = exchange
        self._calls = calls
        self._cseq = invite.cseq
        self._asked_s = ask_for_session_timer(invite, exchange.config)
        self._knows_timers = knows_timers(invite)
        self._context: ResponseContext | None = None
        self._is_cancelled = False
        self._refused: set[str] | None = None
        self._timer: Timer | None = None
        self.call = call
        call.setup = self

    def start(self, context: ResponseContext, now: float) -> None:
        """The INVITE is on its way: let it ring for as long as the settings say."""
        self._context = context
        ring_time_s = float(self._exchange.directory.settings.ring_time_s)
        self._timer = self._exchange.timers.start(ring_time_s, self, _RING_TIME, now)

    def provisional(self, branch: Branch, response: Response, now: float) -> None:
        """A phone rings, or plays something before the answer; its early dialog may be used (§12.1)."""
        call = self.call
        if not call.is_being_set_up():
            return
        if response.to_tag:
            if call.early is None:
                call.early = {}
            if response.to_tag not in call.early and len(call.early) < 32:
                call.early[response.to_tag] = partial(self._called_party, branch, response)
        if 180 <= response.status < 190:
            self._calls.rang(call, now)

    def success(self, branch: Branch, response: Response, now: float) -> bool:
        """Somebody answered. The first one has the call; everybody else is hung up on.

        RFC 3261 §16.7 step 5 would pass every 2xx. One attempt is one call and one record here, so the
        exchange itself does what a caller does with a 2xx that it has no use for (§13.2.2.4): ACK and BYE.
        """
        call = self.call
        if call.called is not None and call.called.tag == response.to_tag:
            call.called.showed_life(now)
            self._settle_session_timer(response)
            return True  # a retransmission
        if call.called is not None or self._has_ended():
            self._refuse(branch, response, now)
            return False
        rejection = None if call.emergency else self._refusal_of_answer()
        if rejection is not None:
            self._refuse(branch, response, now)
            self._finish(rejection, now)
            return False
        self._stop_timer()
        call.agree_on_session(self._settle_session_timer(response), now)
        self._calls.answered(call, self._called_party(branch, response), now)
        return True

    def cancelled(self, now: float) -> None:
        """The caller gave up: what is answered from now on is no call any more."""
        self._is_cancelled = True
        self._stop_timer()

    def goes_on_without_caller(self) -> bool:
        """Who called for help may be called back."""
        return self.call.emergency

    def failure(self, final: FinalResponse, now: float) -> FinalResponse:
        """Nobody answered, and the caller hears so."""
        self._stop_timer()
        outcome = self._outcome(final)
        if outcome is Outcome.CANCELLED:
            ended_by = EndedBy.CALLER
        elif final.response is not None:
            ended_by = EndedBy.CALLEE
        else:
            ended_by = EndedBy.EXCHANGE
        self._calls.failed(
            self.call, now, outcome=outcome, status=final.status, reason=final.reason, ended_by=ended_by
        )
        return final

    def give_up(self, text: str, now: float) -> None:
        """End the attempt from the middle (an administrator did)."""
        self._finish(Rejection(480, text, Cause.TEMPORARY_FAILURE), now)

    def on_timer(self, event: int, now: float) -> None:
        """It rang long enough."""
        self._timer = None
        self._finish(Rejection(480, "No answer", Cause.NO_ANSWER), now)

    def _finish(self, rejection: Rejection, now: float) -> None:
        if self._context is not None:
            self._context.finish(rejection, FinalResponse(rejection.status, rejection.text, None), now)

    def _settle_session_timer(self, response: Response) -> int:
        return settle_session_timer(response, self._asked_s, is_known_to_asker=self._knows_timers)

    def _refusal_of_answer(self) -> Rejection | None:
        """Nobody is to pay for an answer that its caller had given up waiting for, or will not hear of."""
        if self._is_cancelled:
            return _GIVEN_UP
        # It can't be written down, so it would be held back.
        return None if self._exchange.journal_available else NOT_ACCOUNTED_FOR

    def _has_ended(self) -> bool:
        return self.call.state is _ENDED

    def _outcome(self, final: FinalResponse) -> Outcome:
        if self._is_cancelled and final.status == 487:
            return Outcome.CANCELLED
        if final.status in _BUSY:
            return Outcome.BUSY
        return Outcome.NO_ANSWER if final.status in _NO_ANSWER else Outcome.FAILED

    def _called_party(self, branch: Branch, response: Response) -> Party:
        """The called side of the dialog that a response makes (§12.1.2): the routes beyond us, reversed."""
        assert response.flow is not None
        routes: tuple[str, ...] = ()
        if "record-route" in response.shape.at:
            routes = _routes_beyond(response, branch.recorded_routes)
        address = response.first("to") or ""
        contact = contact_of(response, branch.contact)
        return Party(
            self.call.callee, address, response.to_tag, contact, routes, 0, response.flow, branch.is_direct
        )

    def _refuse(self, branch: Branch, response: Response, now: float) -> None:
        """Acknowledge a 2xx and hang up. The ACK is repeated with the 2xx, the BYE goes by itself."""
        leg = self._called_party(branch, response)
        call = self.call
        caller = Party(
            number=call.caller,
            address=call.calling.address,
            tag=call.calling.tag,
            contact="",
            route_set=(),
            cseq=self._cseq,
            flow=call.calling.flow,
            is_direct=call.calling.is_direct,
        )
        self._calls.requests.send_ack(call.call_id, caller, leg, self._cseq, now)
        if self._refused is None:
            self._refused = set()
        if response.to_tag not in self._refused:
            self._refused.add(response.to_tag)
            text = quote_string("The call was over or answered elsewhere")
            reason = [f"Reason: SIP;cause=200;text={text}"]
            self._calls.requests.send_bye(call.call_id, caller, leg, now, headers=reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _routes_beyond(response: Response, recorded: int) -> tuple[str, ...]:
    """Return the Record-Route values above the lowest ones, which were there before, nearest first."""
    lines = response.shape.only(_RECORD_ROUTE)(response.lines)
    if len(lines) == recorded and "," not in "".join(lines):
        return ()
    values = response.values("record-route")
    return tuple(reversed(values[: max(0, len(values) - recorded)]))
