"""Requests within a dialog: they go to its other side, and nowhere else (RFC 3261 §16.4 to §16.6, §12.2)."""

from sip_proxy.core.dialog.call import Call
from sip_proxy.core.dialog.call_record import EndedBy
from sip_proxy.core.dialog.call_table import CallTable, DialogMatch
from sip_proxy.core.dialog.life_check import NO_SIGN_OF_LIFE
from sip_proxy.core.dialog.party import contact_of
from sip_proxy.core.dialog.session_timer import (
    SESSION_REFRESHES,
    ask_for_session_timer,
    check_session_interval,
    knows_timers,
    settle_session_timer,
)
from sip_proxy.core.exchange import Exchange, reply_flow
from sip_proxy.core.flow import Flow
from sip_proxy.core.gatekeeper import Gatekeeper
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.routes import for_next_hop
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.outputs import LiveCallState, SecurityEventKind, Send
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.routing.best_response import Final
from sip_proxy.core.routing.forwarding import Copy, response_upstream
from sip_proxy.core.routing.response_context import Branch, ResponseContext
from sip_proxy.core.routing.route_set import remaining_routes
from sip_proxy.core.routing.validation import loop_mark


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
        """Relay the ACK of a 2xx; it has no transaction (§16.11). Nobody answers one that belongs nowhere."""
        match = self._calls.find_dialog(request)
        if match is None or request.max_forwards == 0:
            return
        if self._hops.is_flow_of(match.sender, flow, now):
            match.sender.showed_life(now)
        self._calls.acknowledged(match.call, now)
        to = self._hops.reach_party(match.receiver, now)
        if to is None:
            return
        assert request.via is not None
        branch = self._exchange.identifiers.repeatable_branch(
            request.via.branch, request.call_id, request.cseq
        )
        copy, uri = self._prepare(request, match, flow)
        ack = copy.to(uri, via=self._hops.via(to, branch), record_routes=[])
        self._exchange.emit(Send(to, ack))

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

    def has_call(self, request: Request) -> bool:
        """Tell whether a request belongs to a call that we know."""
        return self._calls.find_dialog(request) is not None

    def handle(self, request: Request, flow: Flow, now: float) -> None:
        """Relay any other request, statefully; one of a dialog that we don't know is answered 481."""
        match = self._calls.find_dialog(request)
        if match is None:
            self._exchange.refuse(request, flow, Rejection(481, "Call/Transaction Does Not Exist"))
            return
        sender = match.sender
        is_its_own = self._hops.is_flow_of(sender, flow, now)
        # A BYE that nobody accepts would leave a call going on, so it needs no proof.
        if not is_its_own and request.method != "BYE" and not self._is_proved(request, match, flow, now):
            return
        sender.showed_life(now)
        if request.method == "BYE" and match.sent_by is EndedBy.CALLEE and match.call.is_being_set_up():
            # Forbidden before the answer (§15), so it overtook the answer: the phone repeats it. Passed on it
            # would be accepted, and the answer would then begin a call that nobody ends.
            return
        if request.method == "BYE" and request.cseq <= sender.cseq:
            # §12.2.2. It must not end the record while the other side refuses it.
            self._exchange.refuse(request, flow, Rejection(500, "CSeq out of order"))
            return
        asked_s = 0
        if request.method in SESSION_REFRESHES:
            too_short = check_session_interval(request, self._exchange.config)
            if too_short is not None:
                self._exchange.refuse(request, flow, too_short)
                return
            asked_s = ask_for_session_timer(request, self._exchange.config)
        server = self._exchange.layer.start_server(request, reply_flow(request, flow))
        if request.method == "INVITE":
            server.respond(100, self._exchange.trying(request), now)
        to = self._hops.reach_party(match.receiver, now)
        if request.method == "BYE":
            is_over = self._calls.hung_up(match.call, now, ended_by=match.sent_by)
            if is_over and not is_its_own:
                # It may be the other side's, to talk on without paying: whose name it bears must hear of it.
                self._calls.requests.send_bye(match.call.call_id, match.receiver, sender, now, headers=[])
            if is_over and to is None:
                self._calls.owed_byes.owe(match.call.call_id, sender, match.receiver, now)
        if to is None:
            rejection = Rejection(480, "The other side can't be reached")
            server.respond(480, self._exchange.rejection(request, rejection), now)
            return
        copy, uri = self._prepare(request, match, flow)
        sender.cseq = max(sender.cseq, request.cseq)
        if sender.flow != flow and request.method != "BYE":
            sender.flow = flow
        context = ResponseContext(
            self._exchange,
            request,
            server,
            _Watch(self._calls, match, request, asked_s),
            waits_for_journal=request.method == "BYE" and not match.call.emergency,
        )
        branch = self._exchange.identifiers.branch(loop_mark(request, self._exchange.identifiers))
        data = copy.to(uri, via=self._hops.via(to, branch), record_routes=[])
        context.add_branch(match.receiver.contact, is_direct=match.receiver.is_direct).start(
            request.method, data, branch=branch, to=to, recorded_routes=0, now=now
        )

    def _is_proved(self, request: Request, match: DialogMatch, flow: Flow, now: float) -> bool:
        """Ask for digest; False when the request was answered here."""
        number = self._gatekeeper.identify(request, flow, now)
        if number is None or number == match.sender.number:
            return number is not None
        detail = f"{request.method} in a call of {match.sender.number}"
        self._exchange.report(SecurityEventKind.FORBIDDEN_IDENTITY, flow, number, detail)
        self._exchange.refuse(request, flow, Rejection(403, "This call is not your own"))
        return False

    def _prepare(self, request: Request, match: DialogMatch, flow: Flow) -> tuple[Copy, str]:
        """Return the request without our own routes, and the Request-URI to send it with."""
        routes = remaining_routes(request, self._hops)
        uri = request.uri
        parsed = _parsed(uri)
        if parsed is None or self._is_us(uri, parsed, flow):
            # A strict router before us wrote our Record-Route there (§16.4), or the phone ignored the route
            # set and its peer's Contact, as simple ones do.
            uri = match.receiver.contact
            if routes and parsed is not None and "lr" in parsed.parameters:
                routes = routes[:-1]
        uri, routes = for_next_hop(uri, routes)
        return Copy(request, routes=routes, our_realm=self._exchange.config.domain), uri

    def _is_us(self, text: str, uri: Uri, flow: Flow) -> bool:
        return self._hops.is_our_uri(text) or (uri.address, uri.port or 5060) == flow.local


class _Watch:
    """Watches a request within a dialog for what it means to the call."""

    __slots__ = ("_asked_s", "_call", "_calls", "_match", "_request")

    def __init__(self, calls: CallTable, match: DialogMatch, request: Request, asked_s: int) -> None:
        self._calls = calls
        self._match = match
        self._call: Call = match.call
        self._request = request
        self._asked_s = asked_s

    def provisional(self, branch: Branch, response: Response, now: float) -> None:
        """Says nothing about the call, but that the other side is there."""
        self._match.receiver.showed_life(now)

    def success(self, branch: Branch, response: Response, now: float) -> bool:
        """A refresh was accepted: the session goes on, and both sides may have moved (§12.2.1.2, §12.2.2)."""
        self._match.receiver.showed_life(now)
        if self._request.method == "REFER":
            self._calls.transfers.referred(self._match.receiver.number, now)
        if self._request.method not in SESSION_REFRESHES:
            return True
        interval_s = settle_session_timer(
            response, self._asked_s, is_known_to_asker=knows_timers(self._request)
        )
        if self._call.state is LiveCallState.ANSWERED:
            match = self._match
            self._call.agree_on_session(interval_s, now)
            match.sender.contact = contact_of(self._request, match.sender.contact)
            match.receiver.contact = contact_of(response, match.receiver.contact)
            self._calls.save(self._call, now)
        return True

    def cancelled(self, now: float) -> None:
        """A re-INVITE was given up; the call goes on."""

    def failure(self, final: Final, now: float) -> Final:
        """A BYE was not accepted: the record is closed, so the other side must not talk on.

        Whoever sent it considers the session over whatever the answer is (§15.1.1). One that was made to be
        refused must not give a free call; one that could not be delivered is done as far as the sender is
        concerned, and the other side hears of it when it comes back.
        """
        if final.response is not None and final.status not in NO_SIGN_OF_LIFE:
            self._match.receiver.showed_life(now)
        if self._request.method != "BYE" or self._call.called is None:
            return final
        match = self._match
        # Also when nothing came back: this very BYE may have been too long to be delivered.
        self._calls.requests.send_bye(self._call.call_id, match.sender, match.receiver, now, headers=[])
        if final.response is None:
            self._calls.owed_byes.owe(self._call.call_id, match.sender, match.receiver, now)
            return Final(200, "OK", None)
        return final


def _parsed(text: str) -> Uri | None:
    try:
        return parse_uri(text)
    except MalformedMessage:
        return None
