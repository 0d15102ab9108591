"""Where every message goes first: to the transaction it belongs to, or to whoever is in charge of it."""

import re
from contextlib import suppress
from typing import Final

from sip_proxy.core.dialog.call_table import DialogMatch
from sip_proxy.core.directory import AccountState
from sip_proxy.core.exchange import Exchange, reply_flow
from sip_proxy.core.flow import Flow
from sip_proxy.core.gatekeeper import Gatekeeper
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.building import build_response
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.uri import Uri
from sip_proxy.core.message.via import MAGIC_COOKIE
from sip_proxy.core.outputs import SecurityEventKind, Send
from sip_proxy.core.registrar.registrar import SUPPORTED, Registrar
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.routing.in_dialog import InDialogRouter
from sip_proxy.core.routing.relay import Relay
from sip_proxy.core.routing.response_context import Branch
from sip_proxy.core.routing.router import Router
from sip_proxy.core.routing.validation import check_request, request_uri, unsupported
from sip_proxy.core.strangers import Strangers
from sip_proxy.core.stray_ack import beginning_of, call_id_in, invite_key_in
from sip_proxy.core.transaction.server import ServerEvent, ServerState

_ALLOW: Final = (
    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, INFO, UPDATE, PRACK, SUBSCRIBE, NOTIFY, "
    "REFER, PUBLISH"
)
_SUBSCRIPTION_METHODS: Final = frozenset({"SUBSCRIBE", "NOTIFY"})
_OPTIONS_HEADERS: Final = (_ALLOW, "Accept: application/sdp", f"Supported: {', '.join(sorted(SUPPORTED))}")
_BARE_BREAKS: Final = re.compile(r"[\r\n]")


class Reception:
    """Takes messages that came in and finds out whose they are."""

    __slots__ = (
        "_exchange",
        "_gatekeeper",
        "_hops",
        "_in_dialog",
        "_layer",
        "_registrar",
        "_router",
        "_strangers",
    )

    def __init__(
        self,
        *,
        exchange: Exchange,
        hops: Hops,
        gatekeeper: Gatekeeper,
        registrar: Registrar,
        router: Router,
        in_dialog: InDialogRouter,
    ) -> None:
        self._exchange = exchange
        self._layer = exchange.layer
        self._hops = hops
        self._gatekeeper = gatekeeper
        self._registrar = registrar
        self._router = router
        self._in_dialog = in_dialog
        self._strangers = Strangers(exchange=exchange, hops=hops, gatekeeper=gatekeeper)

    def take_response(self, response: Response, flow: Flow, now: float) -> None:
        """Hand a response to its transaction; one that belongs to none is dropped (RFC 6026 §8.9).

        The only exception is the answer of a call that was restored after a restart.
        """
        try:
            response.check()
            transaction = self._layer.find_client(response)
        except MalformedMessage as error:
            self._exchange.report(SecurityEventKind.MALFORMED_MESSAGE, flow, "", error.reason)
            return
        if transaction is not None:
            if response.has_one_via() and isinstance(transaction.owner, Branch | Relay):
                return  # §16.7 step 3: meant for us, and there is nobody to pass it on to
            response.flow = flow
            transaction.receive(response, now)
        elif response.to_tag:
            self._in_dialog.handle_stray_answer(response, now)

    def take_request(self, request: Request, flow: Flow, now: float) -> None:
        """Take a request: absorb copies, serve CANCEL and ACK, send the rest on its way."""
        if request.shape.is_strangers and self._strangers.challenge(request, flow, now):
            return
        try:
            host, port = flow.remote
            has_unique_branch = request.read_source(host, port)
            request.check()
            if not has_unique_branch:
                self._make_up_branch(request)
        except MalformedMessage as error:
            error = request.defect or error
            self._exchange.report(SecurityEventKind.MALFORMED_MESSAGE, flow, "", error.reason)
            answer_malformed(self._exchange, request, flow, error)
            return
        method = request.method
        if method == "ACK":
            self._take_ack(request, flow, now)
            return
        transaction = self._layer.find_server(request, method)
        if transaction is not None:
            transaction.fire(ServerEvent.REQUEST_AGAIN, now)
        elif method == "CANCEL":
            self._take_cancel(request, flow, now)
        else:
            self._take_new(request, flow, now)

    def is_stray_ack(self, data: bytes) -> bool:
        """Tell whether these bytes are an ACK that belongs to no transaction and to no call that we know.

        False also when that can't be seen without reading all of it.
        """
        text = beginning_of(data)
        call_id = call_id_in(text)
        if not call_id or self._in_dialog.knows_call_id(call_id):
            return False
        invite_key = invite_key_in(text)
        return bool(invite_key) and self._layer.server_with(invite_key) is None

    def _make_up_branch(self, request: Request) -> None:
        """Give a request of an RFC 2543 element a branch, of what its copies, its ACK and its CANCEL share.

        RFC 3261 §17.2.3. The To tag is left out: the ACK has one that the INVITE had not.
        """
        via = request.via
        assert via is not None
        if via.branch.lower() == MAGIC_COOKIE.lower():
            raise MalformedMessage("The Via branch is empty")
        value = request.lines[request.shape.at["via"]]
        via.branch = self._exchange.identifiers.repeatable_tag(
            request.uri, request.from_tag, request.call_id, request.cseq, value
        )

    def _take_ack(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK of a refusal ends its transaction (§17.2.1); that of a 2xx goes to who answered."""
        transaction = self._layer.find_server(request, "INVITE")
        if transaction is not None and transaction.state != ServerState.ACCEPTED:
            transaction.fire(ServerEvent.ACK, now)
        elif request.to_tag:
            self._in_dialog.handle_ack(request, flow, now)

    def _take_cancel(self, request: Request, flow: Flow, now: float) -> None:
        """§9.2, §16.10: CANCEL is answered here, and each hop cancels on its own."""
        invite = self._layer.find_server(request, "INVITE")
        if invite is None:
            self._exchange.refuse(request, flow, Rejection(481, "Call/Transaction Does Not Exist"))
            return
        transaction = self._layer.start_server(request, reply_flow(request, flow))
        transaction.respond(200, self._exchange.response(request, 200), now)
        if invite.taker is not None and not invite.is_answered():
            invite.taker.cancel(now, request.first("reason") or "")

    def _take_new(self, request: Request, flow: Flow, now: float) -> None:
        dialog = self._in_dialog.find(request) if request.to_tag else None
        # Who is in a call is no stranger, and must be able to end it.
        if dialog is None and self._gatekeeper.ignores(request, flow, now):
            return
        uri = request_uri(request)
        if isinstance(uri, Rejection):
            self._exchange.refuse(request, flow, uri)
        elif request.method == "REGISTER":
            self._take_register(request, uri, flow, now)
        elif request.method == "OPTIONS" and not uri.user and self._hops.is_local_on(uri, flow):
            self._answer_options(request, flow)
        else:
            self._take_forwardable(request, uri, dialog, flow, now)

    def _answer_options(self, request: Request, flow: Flow) -> None:
        """OPTIONS to the exchange itself (§11.2)."""
        refused = self._check_required(request)
        if refused is not None:
            self._exchange.refuse(request, flow, refused)
        else:
            self._exchange.answer(request, flow, 200, headers=_OPTIONS_HEADERS)

    def _check_required(self, request: Request) -> Rejection | None:
        """What a request that ends here requires of us as a server and as a proxy (§8.2.2.3)."""
        refused = None
        if "require" in request.keys:
            refused = unsupported(request, "require", SUPPORTED)
        if refused is None and "proxy-require" in request.keys:
            refused = unsupported(request, "proxy-require", frozenset())
        return refused

    def _take_forwardable(
        self, request: Request, uri: Uri, dialog: DialogMatch | None, flow: Flow, now: float
    ) -> None:
        refused = check_request(request, self._hops, self._exchange.identifiers)
        if refused is None and dialog is not None:
            self._in_dialog.handle(request, dialog, flow, now)
            return
        if refused is None and request.to_tag and request.method not in _SUBSCRIPTION_METHODS:
            refused = Rejection(481, "Call/Transaction Does Not Exist")
        if refused is not None:
            self._exchange.refuse(request, flow, refused)
            return
        number = self._gatekeeper.identify(request, flow, now)
        caller = None if number is None else self._exchange.directory.find(number)
        if caller is None:
            return
        if request.to_tag:
            self._router.handle_in_subscription(request, uri, caller, flow, now)
        else:
            self._router.handle(request, uri, caller, flow, now)

    def _take_register(self, request: Request, uri: Uri, flow: Flow, now: float) -> None:
        """§10.3 steps 1 to 5."""
        if not self._hops.is_local_on(uri, flow):
            self._exchange.report(SecurityEventKind.FOREIGN_DOMAIN, flow, "", "REGISTER to another domain")
            self._exchange.refuse(request, flow, Rejection(403, "This exchange serves other domains"))
            return
        refused = self._check_required(request)
        if refused is not None:
            self._exchange.refuse(request, flow, refused)
            return
        try:
            address_of_record = request.to_address().parsed_uri()
        except MalformedMessage:
            # Also of an unknown scheme: what is registered must be a SIP URI (RFC 4475 §3.3.4).
            self._exchange.refuse(request, flow, Rejection(400, "To must be a SIP URI"))
            return
        number = self._gatekeeper.identify(request, flow, now)
        if number is None:
            return
        if address_of_record.number != number:
            detail = "REGISTER for another number"
            self._exchange.report(SecurityEventKind.FORBIDDEN_IDENTITY, flow, number, detail)
            self._exchange.refuse(request, flow, Rejection(403, "This number is not your own"))
        elif not self._hops.is_local_on(address_of_record, flow):
            self._exchange.refuse(request, flow, Rejection(404, "There is no such address here"))
        elif self._is_closed(number):
            self._exchange.refuse(request, flow, Rejection(403, "Your account is closed"))
        else:
            transaction = self._layer.start_server(request, reply_flow(request, flow))
            self._registrar.handle(request, transaction, number, flow, now)

    def _is_closed(self, number: str) -> bool:
        account = self._exchange.directory.find(number)
        return account is None or account.state is AccountState.CLOSED


def answer_malformed(exchange: Exchange, request: Request, flow: Flow, error: MalformedMessage) -> None:
    """Answer what can't be worked with; an ACK never.

    Where the Via can't be read either, the answer goes to where the request came from (RFC 4475 §3.1.2.1).
    """
    if request.via is None and "via" in request.shape.at:
        with suppress(MalformedMessage):
            request.read_source(*flow.remote)
    if request.method == "ACK" or "via" not in request.shape.at:
        return
    # What breaks lines for some programs and not for us must not make headers of what we echo.
    request.lines = [_BARE_BREAKS.sub(" ", line) for line in request.lines]
    has_tag = "tag=" in (request.first("to") or "").lower()
    tag = "" if has_tag else exchange.response_to_tag(request)
    data = build_response(request, error.status, reason=error.reason, to_tag=tag)
    exchange.emit(Send(reply_flow(request, flow), data))
