"""Requests outside of dialogs: who may send what to whom, and where it goes (RFC 3261 §16.5, §16.6)."""

import re
from contextlib import suppress
from typing import Final, NamedTuple

from sip_proxy.core.dialog.call import Call
from sip_proxy.core.dialog.call_record import EndedBy, Outcome
from sip_proxy.core.dialog.call_table import CallTable
from sip_proxy.core.dialog.party import Party, contact_of
from sip_proxy.core.dialog.session_timer import check_session_interval
from sip_proxy.core.directory import Account
from sip_proxy.core.exchange import Exchange, comes_directly, reply_flow
from sip_proxy.core.flow import Flow
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import printable
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.outputs import SecurityEventKind
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.registrar.phone_tests import PhoneTests
from sip_proxy.core.rejection import Cause, Rejection
from sip_proxy.core.routing.call_setup import CallSetup
from sip_proxy.core.routing.calling_rules import REFER_OUTSIDE_OF_CALL, Load, judge_call
from sip_proxy.core.routing.fork import Fork
from sip_proxy.core.routing.forwarding import Copy, asserted_identity, wants_privacy
from sip_proxy.core.routing.response_context import ResponseContext
from sip_proxy.core.routing.route_set import remaining_routes
from sip_proxy.core.routing.target_set import (
    Target,
    breadth_each,
    find_targets,
    in_subscription,
    is_same_place,
)
from sip_proxy.core.transaction.server import ServerTransaction

_ANONYMOUS: Final = ("anonymous", "anonymous.invalid")


class _Phone(NamedTuple):
    """A phone of a number, by its contact."""

    number: str
    contact: Uri


# Nearly all From values. Their tag is new in every call, so there is nothing to be remembered for the next.
_USUAL_FROM: Final = re.compile(
    r'(?:"[^"\\]*+" ?+)?+<sip:([0-9A-Za-z]++)@[0-9A-Za-z.\-]++(?::[1-9][0-9]{0,3}+)?+>(?:;tag=|\Z)'
)


class Router:
    """Switches calls and relays other requests between the accounts of the exchange."""

    __slots__ = ("_calls", "_exchange", "_hops", "_location", "_tests")

    def __init__(
        self,
        exchange: Exchange,
        calls: CallTable,
        hops: Hops,
        location: LocationTable,
        tests: PhoneTests,
    ) -> None:
        self._exchange = exchange
        self._calls = calls
        self._hops = hops
        self._location = location
        self._tests = tests

    def handle(self, request: Request, uri: Uri, caller: Account, flow: Flow, now: float) -> None:
        """Route a request of this account. An INVITE is a call attempt, and will have its record."""
        replaced = self._phone_to_transfer_to(request, uri, flow)
        number = uri.number if replaced is None else replaced.number
        load = self._load(request, caller.number, number, now) if request.method == "INVITE" else None
        server = self._exchange.layer.start_server(request, reply_flow(request, flow))
        call = None if load is None else self._begin_call(request, caller, number, flow, now)
        rejection = (
            self._check_identity(request, caller, flow, is_emergency=call is not None and call.emergency)
            or self._check_domain(request, uri, caller, flow, now, is_known=replaced is not None)
            or (self._check_refer(caller, number, flow) if request.method == "REFER" else None)
            or judge_call(self._exchange.directory, caller=caller, callee_number=number, load=load)
            or (None if call is None else self._check_session_interval(request, call))
        )
        if rejection is None:
            targets = self._targets(number, now, secure=uri.scheme == "sips")
            if replaced is not None:
                targets = in_subscription(targets, replaced.contact) or targets
            working = targets
            if call is not None and not call.emergency:
                working = [each for each in targets if self._is_in_service(number, each)]
            if not working:
                rejection = _nobody_to_ring(targets)
            else:
                breadth = breadth_each(request, len(working))
                if isinstance(breadth, int):
                    self._forward(request, server, call, caller, working, breadth, flow, now)
                    return
                rejection = breadth
        if call is not None:
            self._calls.failed(
                call,
                now,
                outcome=Outcome.REJECTED,
                status=rejection.status,
                reason=rejection.text,
                ended_by=EndedBy.EXCHANGE,
            )
        server.respond(rejection.status, self._exchange.rejection(request, rejection), now)

    def handle_in_subscription(
        self, request: Request, uri: Uri, caller: Account, flow: Flow, now: float
    ) -> None:
        """Relay what belongs to a subscription (RFC 6665): the exchange keeps no state of those.

        It goes to the phone of the To number whose contact is the Request-URI, and nowhere else.
        """
        server = self._exchange.layer.start_server(request, reply_flow(request, flow))
        try:
            number = request.to_address().parsed_uri().number
        except MalformedMessage:
            number = ""
        rejection = self._check_identity(request, caller, flow) or judge_call(
            self._exchange.directory, caller=caller, callee_number=number, load=None
        )
        if rejection is None:
            phones = self._targets(number, now, secure=False)
            # A phone may be on the exchange's own machine, so first of all its whole address counts.
            targets = in_subscription(phones, uri)
            if not targets and self._is_local(uri, flow):
                targets = phones[:1]
            if targets:
                self._forward(request, server, None, caller, targets, 0, flow, now)
                return
            rejection = Rejection(481, "Call/Transaction Does Not Exist")
        server.respond(rejection.status, self._exchange.rejection(request, rejection), now)

    def _phone_to_transfer_to(self, request: Request, uri: Uri, flow: Flow) -> _Phone | None:
        """Return which phone a transferred one is to call in an attended transfer, if we know its dialog.

        It may be given that phone's contact (RFC 5589 §7.3), whose user part is the phone's own invention.
        """
        party = self._calls.replaced_party(request) if request.method == "INVITE" else None
        if party is None:
            return None
        try:
            phone = _Phone(party.number, parse_uri(party.contact))
        except MalformedMessage:
            return None
        is_meant = uri.number == phone.number or (
            not self._is_local(uri, flow) and is_same_place(uri, party.contact)
        )
        return phone if is_meant else None

    def _is_local(self, uri: Uri, flow: Flow) -> bool:
        return self._hops.is_local(uri) or uri.address == flow.local[0]

    def _is_phone(self, uri: Uri, now: float) -> bool:
        """Tell whether this is a phone's contact: transferred phones may be given that (RFC 5589)."""
        return any(is_same_place(uri, binding.contact) for binding in self._location.find(uri.number, now))

    def _load(self, request: Request, caller: str, callee: str, now: float) -> Load:
        of_caller, of_callee = self._calls.calls_to_limit(caller, callee, request, now)
        exchange = self._exchange
        live_calls = self._calls.counts.total
        return Load(exchange.online, exchange.journal_available, live_calls, of_caller, of_callee)

    def _begin_call(self, request: Request, caller: Account, callee: str, flow: Flow, now: float) -> Call:
        from_value = request.first("from") or ""
        contact = contact_of(request, "") or request.from_address().uri
        routes = tuple(request.values("record-route"))
        # `ob`: the caller wants to be reached on its flow, not at its address (RFC 5626 §4.3).
        is_direct = ";ob" not in contact and comes_directly(request, flow)
        calling = Party(
            caller.number, from_value, request.from_tag, contact, routes, request.cseq, flow, is_direct
        )
        emergency = self._exchange.directory.is_emergency(callee)
        return self._calls.begin(
            call_id=request.call_id, callee=callee, emergency=emergency, calling=calling, now=now
        )

    def _check_identity(
        self, request: Request, caller: Account, flow: Flow, *, is_emergency: bool = False
    ) -> Rejection | None:
        """The From number must be the account's own. Its host may be anything: phones write their own.

        Nobody hides his number here, but a phone that is set to do so must reach help: an anonymous From
        (RFC 3323 §4.1.1.3) passes to an emergency number, and the exchange asserts who it is.
        """
        usual = _USUAL_FROM.match(request.first("from") or "")
        if usual is not None and usual[1] == caller.number:
            return None
        number = host = ""
        with suppress(MalformedMessage):
            uri = request.from_address().parsed_uri()
            number, host = uri.number, uri.host
        if number == caller.number or (is_emergency and (number, host.lower()) == _ANONYMOUS):
            return None
        detail = f"{request.method} in the name of {printable(number, 64) or 'nobody'}"
        self._exchange.report(SecurityEventKind.FORBIDDEN_IDENTITY, flow, caller.number, detail)
        return Rejection(403, "The From number is not your own", Cause.CALL_REJECTED)

    def _check_domain(
        self, request: Request, uri: Uri, caller: Account, flow: Flow, now: float, *, is_known: bool
    ) -> Rejection | None:
        """Never relay to somebody else's domain, by Request-URI or by a Route that was put there.

        `is_known`: the Request-URI means a phone in a call of ours, whatever it says.
        """
        if is_known or self._is_local(uri, flow) or self._is_phone(uri, now):
            if not remaining_routes(request, self._hops):
                return None
            detail = f"{request.method} with a Route to elsewhere"
        else:
            detail = f"{request.method} to {printable(uri.host, 64)}"
        self._exchange.report(SecurityEventKind.FOREIGN_DOMAIN, flow, caller.number, detail)
        return Rejection(403, "This exchange does not relay to other domains", Cause.CALL_REJECTED)

    def _check_refer(self, caller: Account, number: str, flow: Flow) -> Rejection | None:
        """Outside of a call nobody may have another's phone call somewhere, as that one would pay for it.

        A program may tell the phones of its own number to (RFC 3515 §5.2: only who is allowed to).
        """
        if number == caller.number:
            return None
        detail = f"REFER to {printable(number, 64)} outside of a call"
        self._exchange.report(SecurityEventKind.FORBIDDEN_IDENTITY, flow, caller.number, detail)
        return REFER_OUTSIDE_OF_CALL

    def _check_session_interval(self, request: Request, call: Call) -> Rejection | None:
        """RFC 4028 §8.1; an emergency call is not refused for that."""
        return None if call.emergency else check_session_interval(request, self._exchange.config)

    def _is_in_service(self, number: str, target: Target) -> bool:
        return not self._tests.is_out_of_service(number, target.binding.contact)

    def _targets(self, number: str, now: float, *, secure: bool) -> list[Target]:
        return find_targets(self._location, self._hops, number, now, secure=secure)

    def _forward(
        self,
        request: Request,
        server: ServerTransaction,
        call: Call | None,
        caller: Account,
        targets: list[Target],
        breadth: int,
        flow: Flow,
        now: float,
    ) -> None:
        """Send a copy to every target at once (§16.6)."""
        exchange = self._exchange
        setup = None
        if call is not None:
            server.expect_answer(now)
            setup = CallSetup(exchange, self._calls, call, request)
        waits = call is not None and not call.emergency
        context = ResponseContext(exchange, request, server, setup, waits_for_journal=waits)
        domain = exchange.config.domain
        # Those who help must know whom.
        is_hidden = wants_privacy(request) and not (call is not None and call.emergency)
        identity = "" if is_hidden else asserted_identity(caller, domain)
        copy = Copy(request, [], domain, identity, breadth)
        Fork(copy, context, self._hops, exchange.identifiers, flow).send(targets, now)
        if setup is not None:
            setup.start(context, now)


def _nobody_to_ring(failed: list[Target]) -> Rejection:
    """Why there is no phone to send a request to: the failed ones are registered, but answer nothing."""
    if failed:
        return Rejection(480, "The phone of this number does not answer", Cause.DESTINATION_OUT_OF_ORDER)
    return Rejection(480, "No phone is registered for this number", Cause.SUBSCRIBER_ABSENT)
