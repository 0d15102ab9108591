"""A request within a dialog on its way to the other side, and what its responses mean to the call."""

from typing import Final

from sip_proxy.core.dialog.call_table import CallTable, DialogMatch
from sip_proxy.core.dialog.life_check import NO_SIGN_OF_LIFE
from sip_proxy.core.dialog.party import contact_of
from sip_proxy.core.dialog.session_timer import SESSION_REFRESHES, knows_timers, settle_session_timer
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.status import reason_phrase
from sip_proxy.core.outputs import LiveCallState
from sip_proxy.core.routing.best_response import FinalResponse, for_caller
from sip_proxy.core.routing.forwarding import response_upstream
from sip_proxy.core.routing.response_context import Branch
from sip_proxy.core.transaction.client import ClientTransaction, RequestFailure
from sip_proxy.core.transaction.server import ServerTransaction
from sip_proxy.core.transaction.timers import Timer

# It has been sent five times by then, so it is not the network that loses it.
_HEARD_WITHIN_S: Final = 8.0


class Relay:
    """Stands between the two transactions of a request other than INVITE.

    Such a request goes to one place, can't be cancelled (RFC 3261 §9.1), and no provisional response to it is
    passed on (RFC 4320 §4.1). A re-INVITE has a `ResponseContext` as any INVITE, and this watches it.
    """

    __slots__ = ("_asked_s", "_calls", "_exchange", "_match", "_request", "_server", "_timer")

    def __init__(
        self,
        exchange: Exchange,
        calls: CallTable,
        match: DialogMatch,
        request: Request,
        server: ServerTransaction,
        asked_s: int,
    ) -> None:
        self._exchange = exchange
        self._calls = calls
        self._match = match
        self._request = request
        self._server = server
        self._asked_s = asked_s
        self._timer: Timer | None = None

    def expect_end(self, now: float) -> None:
        """This is a BYE. The call is over, so the other side must hear of it soon, one way or the other."""
        self._timer = self._exchange.timers.start(_HEARD_WITHIN_S, self, 0, now)

    def on_timer(self, event: int, now: float) -> None:
        """The BYE isn't answered: the other phone may be unable to read it, and talk on. Send one of ours."""
        self._timer = None
        match = self._match
        self._calls.requests.send_bye(match.call.call_id, match.sender, match.receiver, now, headers=[])

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Take a response of the other side; the final one goes to the sender."""
        status = response.status
        if status < 200:
            if status > 100:
                self._match.receiver.showed_life(now)
            return
        self._stop_timer()
        if status < 300:
            self._accepted(response, now)
            self._respond(status, response_upstream(response, []), now)
        else:
            self._refused(FinalResponse(status, response.reason, response), now)

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        """No response will come: as if there had been a 408 or 503 (§16.8, §16.9)."""
        self._stop_timer()
        self._refused(FinalResponse(failure.value, reason_phrase(failure.value), None), now)

    def transaction_ended(self) -> None:
        """Nothing to forget."""

    def provisional(self, branch: Branch, response: Response, now: float) -> None:
        """Says nothing about the call, but that the other side is there."""
        self._match.receiver.showed_life(now)

    def success(self, branch: Branch, response: Response, now: float) -> bool:
        """A re-INVITE was accepted."""
        self._accepted(response, now)
        return True

    def cancelled(self, now: float) -> None:
        """A re-INVITE was given up; the call goes on."""

    def goes_on_without_caller(self) -> bool:
        """A re-INVITE whose answer can't be heard changes nothing any more."""
        return False

    def failure(self, final: FinalResponse, now: float) -> FinalResponse:
        """A request was not accepted."""
        if final.response is not None and final.status not in NO_SIGN_OF_LIFE:
            self._match.receiver.showed_life(now)
        return final

    def _accepted(self, response: Response, now: float) -> None:
        """After a refresh the session goes on, and both sides may have moved (§12.2.1.2, §12.2.2)."""
        match = self._match
        match.receiver.showed_life(now)
        method = self._request.method
        if method == "REFER":
            self._calls.transfers.referred(match.receiver.number, now)
        elif method in SESSION_REFRESHES:
            interval_s = settle_session_timer(
                response, self._asked_s, is_known_to_asker=knows_timers(self._request)
            )
            if match.call.state is LiveCallState.ANSWERED:
                match.call.agree_on_session(interval_s, now)
                match.sender.contact = contact_of(self._request, match.sender.contact)
                match.receiver.contact = contact_of(response, match.receiver.contact)
                self._calls.save(match.call, now)

    def _refused(self, final: FinalResponse, now: float) -> None:
        final = self.failure(for_caller(final), now)
        if self._request.method == "BYE" and self._match.call.called is not None:
            final = self._end_all_the_same(final, now)
        if final.status == 408:
            self._server.abandon(now)  # RFC 4320 §4.2
        elif final.response is not None:
            self._respond(final.status, response_upstream(final.response, []), now)
        else:
            data = self._exchange.response(self._request, final.status, reason=final.reason)
            self._respond(final.status, data, now)

    def _end_all_the_same(self, final: FinalResponse, now: float) -> FinalResponse:
        """A BYE was not accepted: the record is closed, so the other side must not talk on.

        Whoever sent it considers the session over whatever the answer is (§15.1.1). One that was made to be
        refused must not give a free call; one that could not be delivered is done as far as the sender is
        concerned, and the other side hears of it when it comes back.
        """
        match = self._match
        call_id = match.call.call_id
        # Also when nothing came back: this very BYE may have been too long to be delivered.
        self._calls.requests.send_bye(call_id, match.sender, match.receiver, now, headers=[])
        if final.response is None:
            self._calls.owed_byes.owe(call_id, match.sender, match.receiver, now)
            return FinalResponse(200, "OK", None)
        return final

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _respond(self, status: int, data: bytes, now: float) -> None:
        waits = self._request.method == "BYE" and not self._match.call.emergency
        self._server.respond(status, data, now, after_journal=waits)
