"""Requests within a dialog: they go to its other side, and nowhere else (RFC 3261 §16.4 to §16.6, §12.2)."""

from typing import Final

from sip_proxy.core.dialog.call_record import EndedBy
from sip_proxy.core.dialog.call_table import CallTable, DialogMatch
from sip_proxy.core.dialog.session_timer import (
    SESSION_REFRESHES,
    ask_for_session_timer,
    check_session_interval,
)
from sip_proxy.core.exchange import Exchange, reply_flow
from sip_proxy.core.flow import Flow
from sip_proxy.core.gatekeeper import Gatekeeper
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.routes import for_next_hop
from sip_proxy.core.message.uri import parse_uri
from sip_proxy.core.outputs import LiveCallState, SecurityEventKind, Send
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.routing.calling_rules import REFER_OUTSIDE_OF_CALL
from sip_proxy.core.routing.forwarding import Copy, response_upstream
from sip_proxy.core.routing.relay import Relay
from sip_proxy.core.routing.response_context import ResponseContext
from sip_proxy.core.routing.route_set import remaining_routes
from sip_proxy.core.routing.validation import HIGHEST_OF_PHONES

_NOT_YET: Final = Rejection(500, "The call is not answered yet", headers=("Retry-After: 5",))  # §14.2
# §18.1.1: what is longer doesn't fit into one datagram everywhere.
_SURE_TO_ARRIVE: Final = 1300
_BY_CALLEE: Final = EndedBy.CALLEE
_ANSWERED: Final = LiveCallState.ANSWERED


class InDialogRouter:
    """Relays requests between the two sides of a call.

    Where they go is what we know of the dialog, not what they claim: so the exchange is no open relay. The
    tags prove nothing about who sends a request, as each side knows those of both: it counts as its
    sender's when it comes on that one's flow, or when digest proves it.
    """

    __slots__ = ("_calls", "_exchange", "_gatekeeper", "_hops")

    def __init__(self, exchange: Exchange, calls: CallTable, hops: Hops, gatekeeper: Gatekeeper) -> None:
        self._exchange = exchange
        self._calls = calls
        self._hops = hops
        self._gatekeeper = gatekeeper

    def handle_ack(self, request: Request, flow: Flow, now: float) -> None:
        """Relay the ACK of a 2xx; it has no transaction (§16.11). Nobody answers one that belongs nowhere.

        Some phones (PJSIP) take the CSeq number of any ACK for its sender's last, and refuse what has no
        higher one: an ACK with the highest there is would make them deaf to every BYE.
        """
        match = self._calls.find_dialog(request)
        if match is None or request.max_forwards == 0 or request.cseq > HIGHEST_OF_PHONES:
            return
        if request.has_one_via() and self._hops.is_flow_of(match.sender, flow, now):
            match.sender.showed_life(now)
        self._calls.acknowledged(match.call, now)
        to = self._hops.reach_party(match.receiver, now)
        if to is None:
            return
        assert request.via is not None
        branch = self._exchange.identifiers.repeatable_branch(
            request.via.branch, request.call_id, request.cseq
        )
        self._exchange.emit(Send(to, self._copy(request, match, flow, self._hops.via(to, branch))))

    def handle_stray_answer(self, response: Response, now: float) -> None:
        """Relay the 2xx of an INVITE that no transaction waits for, if its caller hasn't acknowledged it.

        That is how an answer reaches the caller when the exchange was restarted between writing it down and
        passing it on; the phone that answered repeats it (§13.3.1.4). Any other stray response is dropped.
        """
        if response.cseq_method != "INVITE" or not 200 <= response.status < 300:
            return
        match = self._calls.find_dialog(response)
        if match is None or match.sent_by is not EndedBy.CALLER or not match.call.waits_for_ack():
            return
        assert response.via is not None
        to = self._hops.reach_party(match.sender, now)
        if to is not None and self._hops.is_our_via(response.via.host, response.via.port):
            match.receiver.showed_life(now)
            self._exchange.emit(Send(to, response_upstream(response, [])))

    def knows_call_id(self, call_id: str) -> bool:
        """Tell whether there is a call with this Call-ID, over for a moment at most."""
        return self._calls.knows_call_id(call_id)

    def find(self, request: Request) -> DialogMatch | None:
        """Return the dialog that a request belongs to, None when we know of none."""
        return self._calls.find_dialog(request)

    def handle(self, request: Request, match: DialogMatch, flow: Flow, now: float) -> None:
        """Relay a request other than ACK within a dialog, statefully."""
        sender = match.sender
        is_its_own = self._hops.is_flow_of(sender, flow, now)
        # Phones behind a proxy (RFC 3327) have one flow in common, which can't tell them apart.
        is_certain = is_its_own and request.has_one_via()
        # A BYE that nobody accepts would leave a call going on, so it needs no proof, and proves no life. A
        # refresh can move the contact of its sender, who would then hear of no BYE.
        if is_certain:
            sender.showed_life(now)
        elif request.method in SESSION_REFRESHES or not (is_its_own or request.method == "BYE"):
            if not self._is_proved(request, match, flow, now):
                return
            sender.showed_life(now)
        asked_s = 0
        if request.method == "BYE":
            if match.sent_by is _BY_CALLEE and match.call.is_being_set_up():
                # Forbidden before the answer (§15), so it overtook the answer: the phone repeats it. Passed
                # on it would be accepted, and the answer would then begin a call that nobody ends.
                return
            if request.cseq <= sender.cseq and sender.cseq > 0:
                # §12.2.2. It must not end the record while the other side refuses it.
                self._exchange.refuse(request, flow, Rejection(500, "CSeq out of order"))
                return
        elif request.method in SESSION_REFRESHES:
            if request.method == "INVITE" and match.call.is_being_set_up():
                # §14.1 forbids it, and what is accepted by it would be a call that has no record.
                self._exchange.refuse(request, flow, _NOT_YET)
                return
            too_short = check_session_interval(request, self._exchange.config)
            if too_short is not None:
                self._exchange.refuse(request, flow, too_short)
                return
            asked_s = ask_for_session_timer(request, self._exchange.config)
        elif request.method == "REFER" and match.call.state is not _ANSWERED:
            # Some phones obey it while they ring, and call at their own expense before anybody is there.
            self._exchange.refuse(request, flow, REFER_OUTSIDE_OF_CALL)
            return
        server = self._exchange.layer.start_server(request, reply_flow(request, flow))
        to = self._hops.reach_party(match.receiver, now)
        if request.method == "BYE":
            self._hang_up(match, now, is_certain=is_certain, is_reachable=to is not None)
        elif sender.flow != flow and to is not None:
            sender.flow = flow
        if to is None:
            rejection = Rejection(480, "The other side can't be reached")
            server.respond(480, self._exchange.rejection(request, rejection), now)
            return
        sender.cseq = max(sender.cseq, request.cseq)
        # Without a mark: such a request goes to one place, and Max-Forwards ends a loop (§16.3 step 4).
        branch = self._exchange.identifiers.branch("")
        data = self._copy(request, match, flow, self._hops.via(to, branch))
        relay = Relay(self._exchange, self._calls, match, request, server, asked_s)
        if request.method == "INVITE":
            receiver = match.receiver
            context = ResponseContext(self._exchange, request, server, relay)
            server.expect_answer(now)
            context.add_branch(receiver.contact, is_direct=receiver.is_direct).start(
                "INVITE", data, branch=branch, to=to, recorded_routes=0, now=now
            )
        else:
            self._exchange.layer.start_client(
                request.method, data, branch=branch, to=to, owner=relay, now=now
            )
            if request.method == "BYE" and match.call.called is not None:
                relay.expect_end(now)
                if len(data) > _SURE_TO_ARRIVE:
                    # The record is closed: the other side must hear of it although NATs drop fragments.
                    self._calls.requests.send_bye(match.call.call_id, sender, match.receiver, now, headers=[])

    def _hang_up(self, match: DialogMatch, now: float, *, is_certain: bool, is_reachable: bool) -> None:
        """A BYE ends the call, before the other side accepts it."""
        call, sender, receiver = match.call, match.sender, match.receiver
        if not self._calls.hung_up(call, now, ended_by=match.sent_by):
            return
        if not is_certain:
            # It may be the other side's, to talk on without paying: whose name it bears must hear of it.
            self._calls.requests.send_bye(call.call_id, receiver, sender, now, headers=[])
        if not is_reachable:
            self._calls.owed_byes.owe(call.call_id, sender, receiver, now)

    def _is_proved(self, request: Request, match: DialogMatch, flow: Flow, now: float) -> bool:
        """Ask for digest; False when the request was answered here."""
        number = self._gatekeeper.identify(request, flow, now)
        if number is None or number == match.sender.number:
            return number is not None
        detail = f"{request.method} in a call of {match.sender.number}"
        self._exchange.report(SecurityEventKind.FORBIDDEN_IDENTITY, flow, number, detail)
        self._exchange.refuse(request, flow, Rejection(403, "This call is not your own"))
        return False

    def _copy(self, request: Request, match: DialogMatch, flow: Flow, via: str) -> bytes:
        """Return the request as it goes to the other side, without our own routes."""
        routes = remaining_routes(request, self._hops)
        uri = request.uri
        try:
            if self._hops.is_our_uri(uri, flow.local):
                # A strict router before us wrote our Record-Route there (§16.4), or the phone ignored the
                # route set and its peer's Contact, as simple ones do.
                if routes and "lr" in parse_uri(uri).parameters:
                    routes = routes[:-1]
                uri = match.receiver.contact
        except MalformedMessage:
            uri = match.receiver.contact
        if routes:
            uri, routes = for_next_hop(uri, routes)
        return Copy(request, routes, self._exchange.config.domain).to(uri, via=via, record_routes=[])
