"""The response context: what came back from each branch, and what goes to the caller (RFC 3261 §16.7)."""

from collections.abc import Callable
from enum import IntEnum
from typing import Final, Protocol

from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.message.building import build_cancel, reason_value
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.status import reason_phrase
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.routing.best_response import FinalResponse, choose_best, for_caller, gathered_challenges
from sip_proxy.core.routing.forwarding import response_upstream
from sip_proxy.core.transaction.client import NOBODY, ClientTransaction, RequestFailure
from sip_proxy.core.transaction.server import ServerState, ServerTransaction
from sip_proxy.core.transaction.timers import Timer

_CALLER_LOST: Final = 'Q.850;cause=41;text="The connection of the caller is gone"'
# RFC 3326 §3.1: so that the other phones show no missed call.
_ANSWERED_ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'


class BranchTimer(IntEnum):
    """The timers of a branch."""

    C = 0  # §16.6 step 11: an INVITE must not ring for ever
    CANCELLED = 1  # §9.1: 64*T1 after CANCEL no final response is expected any more


_TIMER_C: Final = BranchTimer.C


class Observer(Protocol):
    """Who watches a request on its way and knows what its responses mean."""

    def provisional(self, branch: "Branch", response: Response, now: float) -> None:
        """A 1xx other than 100 came, and goes to the caller unless that one was answered already."""

    def success(self, branch: "Branch", response: Response, now: float) -> bool:
        """A 2xx came; return whether it goes to the caller. `branch.context.is_finished` tells the rest."""

    def cancelled(self, now: float) -> None:
        """The caller sent CANCEL."""

    def goes_on_without_caller(self) -> bool:
        """Tell whether phones are to ring although the caller can't be told of an answer."""

    def failure(self, final: FinalResponse, now: float) -> FinalResponse:
        """This final response other than 2xx is to go to the caller; return it, or what is to go instead."""


class Branch:
    """One copy of the request on its way to one target.

    `recorded_routes` is how many Record-Route values it had when it left: what an answer has beyond them was
    added on the way.
    """

    __slots__ = (
        "cancel_reason",
        "contact",
        "context",
        "final",
        "is_cancel_sent",
        "is_cancelled",
        "is_direct",
        "recorded_routes",
        "retry",
        "timer",
        "transaction",
    )

    def __init__(self, context: "ResponseContext", contact: str, is_direct: bool) -> None:
        self.context = context
        self.contact = contact
        self.is_direct = is_direct
        self.transaction: ClientTransaction | None = None
        self.final: FinalResponse | None = None
        self.is_cancelled = False
        self.cancel_reason = ""
        self.recorded_routes = 0
        self.is_cancel_sent = False
        self.retry: Callable[[float], None] | None = None  # sends it over another flow of the same phone
        self.timer: Timer | None = None

    def start(
        self,
        method: str,
        data: bytes,
        *,
        branch: str,
        to: Flow | Destination,
        recorded_routes: int,
        now: float,
    ) -> None:
        """Send the copy."""
        self.recorded_routes = recorded_routes
        layer = self.context.exchange.layer
        self.transaction = layer.start_client(method, data, branch=branch, to=to, owner=self, now=now)

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Take a response of this branch."""
        status = response.status
        if status < 200:
            if self.final is None:
                self._take_provisional(transaction, response, now)
            return
        self._stop_timer()
        if status < 300:
            self.final = FinalResponse(status, response.reason, None)
            self.context.take_success(self, response, now)
        else:
            self.final = FinalResponse(status, response.reason, response)
            self.context.take_failure(self, now)

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        """No response will come: as if there had been a 408 or 503 (§16.8, §16.9)."""
        self._fail(failure.value, now)

    def transaction_ended(self) -> None:
        """The transaction can tell no more."""
        self.transaction = None
        self.context.let_go()

    def on_timer(self, event: int, now: float) -> None:
        """Timer C: CANCEL a branch that rings (§16.8); after a CANCEL, stop waiting for it (§9.1)."""
        self.timer = None
        if event == BranchTimer.C:
            self.cancel(now)
        else:
            self._give_up(now)

    def cancel(self, now: float, reason: str = "") -> None:
        """Cancel this branch, at once if it answered provisionally, else when it does (§9.1)."""
        if self.final is not None or self.is_cancelled:
            return
        self.is_cancelled = True
        self.cancel_reason = reason
        if self.transaction is not None and self.transaction.response_seen:
            self._send_cancel(self.transaction, now)

    def has_failed_flow(self) -> bool:
        """Tell whether it is the flow that failed, not the phone or its owner that refused (RFC 5626 §6)."""
        if self.final is None or self.is_cancelled:
            return False
        return self.final.status == 430 or (self.final.response is None and self.final.status in {408, 503})

    def _take_provisional(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        if self.is_cancelled:
            if not self.is_cancel_sent:
                self._send_cancel(transaction, now)
        elif response.status > 100 or self.timer is None:
            # Until the first provisional timer B does for it, which is shorter.
            self._restart_timer_c(transaction.method, now)
        if response.status > 100:
            self.context.take_provisional(self, response, now)

    def _send_cancel(self, transaction: ClientTransaction, now: float) -> None:
        self.is_cancel_sent = True
        cancel = build_cancel(transaction.data, self.cancel_reason)
        exchange = self.context.exchange
        exchange.layer.start_client(
            "CANCEL", cancel, branch=transaction.branch, to=transaction.to, owner=NOBODY, now=now
        )
        self._stop_timer()
        timeout_s = exchange.layer.values.transaction_timeout_s
        self.timer = exchange.timers.start(timeout_s, self, BranchTimer.CANCELLED, now)

    def _give_up(self, now: float) -> None:
        if self.transaction is not None:
            self.transaction.end(now)
        self._fail(487 if self.is_cancelled else 408, now)

    def _fail(self, status: int, now: float) -> None:
        self._stop_timer()
        if self.final is None:
            if self.is_cancelled and status == 408:
                status = 487
            self.final = FinalResponse(status, reason_phrase(status), None)
            self.context.take_failure(self, now)

    def _restart_timer_c(self, method: str, now: float) -> None:
        if method == "INVITE":
            self._stop_timer()
            exchange = self.context.exchange
            self.timer = exchange.timers.start(exchange.layer.values.timer_c_s, self, _TIMER_C, now)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class ResponseContext:
    """A request with all its branches. Exactly one final response other than 2xx goes back, or 2xx do.

    The messages themselves are let go once the caller has a final response; its transactions live on for
    half a minute.
    """

    __slots__ = (
        "_request",
        "branches",
        "exchange",
        "is_finished",
        "is_invite",
        "observer",
        "server",
        "waits_for_journal",
    )

    def __init__(
        self,
        exchange: Exchange,
        request: Request,
        server: ServerTransaction,
        observer: Observer | None,
        *,
        waits_for_journal: bool = False,
    ) -> None:
        self.exchange = exchange
        self._request: Request | None = request
        self.is_invite = request.method == "INVITE"
        self.server = server
        self.observer = observer
        self.branches: list[Branch] = []
        self.is_finished = False  # a final response has gone to the caller
        self.waits_for_journal = waits_for_journal
        server.taker = self

    def add_branch(self, contact: str, *, is_direct: bool) -> Branch:
        """Add a branch that goes to this contact; the caller starts it, before any other event."""
        branch = Branch(self, contact, is_direct)
        self.branches.append(branch)
        return branch

    def take_provisional(self, branch: Branch, response: Response, now: float) -> None:
        """Pass a 1xx to the caller (§16.7 step 5); other than INVITE has none but 100 (RFC 4320 §4.1)."""
        if self.observer is not None:
            self.observer.provisional(branch, response, now)
        if self.is_invite and not self.is_finished:
            self.server.respond(response.status, response_upstream(response, []), now)

    def take_success(self, branch: Branch, response: Response, now: float) -> None:
        """Pass a 2xx to the caller at once, and cancel the rest (§16.7 steps 5 and 10)."""
        passes = self.observer is None or self.observer.success(branch, response, now)
        if passes and (self.is_invite or not self.is_finished):
            data = response_upstream(response, [])
            self.server.respond(response.status, data, now, after_journal=self.waits_for_journal)
            self._finished()
        self.cancel_pending(now, _ANSWERED_ELSEWHERE)

    def take_failure(self, branch: Branch, now: float) -> None:
        """A branch is over; 6xx ends the others, and when all are over the best response goes back."""
        assert branch.final is not None
        if branch.retry is not None and not self.is_finished and branch.has_failed_flow():
            self.branches.remove(branch)
            branch.retry(now)
            return
        if branch.final.status >= 600:
            self.cancel_pending(now, reason_value("SIP", branch.final.status, branch.final.reason))
        if self.is_finished:
            return
        finals = [found.final for found in self.branches if found.final is not None]
        if len(finals) == len(self.branches):
            self._finish_with_best(finals, now)

    def finish(self, rejection: Rejection, final: FinalResponse, now: float) -> None:
        """Answer the caller ourselves and cancel what is still going on, both saying why."""
        if not self.is_finished:
            self.is_finished = True
            if self.observer is not None:
                self.observer.failure(final, now)
            assert self._request is not None
            data = self.exchange.rejection(self._request, rejection)
            self.server.respond(rejection.status, data, now)
            self._finished()
        cause = rejection.cause
        self.cancel_pending(now, "" if cause is None else reason_value("Q.850", int(cause), rejection.text))

    def cancel(self, now: float, reason: str = "") -> None:
        """The caller sent CANCEL (§16.10); why goes on to the phones (RFC 3326 §2)."""
        if not self.is_finished:
            if self.observer is not None:
                self.observer.cancelled(now)
            self.cancel_pending(now, reason)

    def unreachable(self, now: float) -> None:
        """The caller's connection is gone (§17.2.4), and its phone has given up (§17.1.4): so do we."""
        if self.observer is None or not self.observer.goes_on_without_caller():
            self.cancel(now, _CALLER_LOST)

    def cancel_pending(self, now: float, reason: str = "") -> None:
        """Cancel every branch of an INVITE that has no final response; nothing else can be cancelled."""
        if self.is_invite:
            for branch in self.branches:
                branch.cancel(now, reason)

    def trying(self) -> bytes:
        """The phones need their time (§17.2.1)."""
        assert self._request is not None
        return self.exchange.trying(self._request)

    def server_ended(self) -> None:
        """Nothing can go to the caller any more."""
        self.let_go()

    def let_go(self) -> None:
        """When nothing can happen any more, untie the references in a circle: nothing is left behind."""
        if self.server.state == ServerState.TERMINATED and all(
            branch.transaction is None for branch in self.branches
        ):
            self.branches.clear()
            self.observer = None

    def _finish_with_best(self, finals: list[FinalResponse], now: float) -> None:
        self.is_finished = True
        request = self._request
        assert request is not None
        best = for_caller(choose_best(finals))
        if self.observer is not None:
            best = self.observer.failure(best, now)
        if best.status == 408 and not self.is_invite:
            self._finished()
            self.server.abandon(now)
            return
        if best.response is None:
            data = self.exchange.response(request, best.status, reason=best.reason)
        else:
            data = response_upstream(best.response, gathered_challenges(best, finals))
        # Refusing an INVITE needs no journal: nothing is owed for it, and it must work when that is full.
        waits = self.waits_for_journal and not self.is_invite
        self.server.respond(best.status, data, now, after_journal=waits)
        self._finished()

    def _finished(self) -> None:
        """The caller has its final response: let go of every message; only an INVITE is watched further."""
        self.is_finished = True
        self._request = None
        for branch in self.branches:
            if branch.final is not None and branch.final.response is not None:
                branch.final = FinalResponse(branch.final.status, branch.final.reason, None)
        if not self.is_invite:
            self.observer = None
