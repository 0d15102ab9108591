"""REGISTER (RFC 3261 §10.3)."""

import re
from collections.abc import Callable
from sys import intern
from typing import Final

from sip_proxy.core.exchange import Exchange, comes_directly
from sip_proxy.core.flow import Flow
from sip_proxy.core.message.date import date_line
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import printable, quote_string
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.name_addr import NameAddr, parse_name_addr
from sip_proxy.core.outputs import BindingsChanged, Registration
from sip_proxy.core.registrar.binding import Binding, contact_key, load_bindings, save_bindings
from sip_proxy.core.registrar.errors import RegistrationRefused
from sip_proxy.core.registrar.keep_alive import NatKeepAlive
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.registrar.outbound import FLOW_TIMER_S, Outbound, asks_for_outbound, read_outbound
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.transaction.server import ServerTransaction

SUPPORTED: Final = frozenset({"path", "outbound"})  # RFC 3327, RFC 5626
LONGEST_USER_AGENT: Final = 100
_LONGEST_CONTACT: Final = 1024
_LONGEST_PATH: Final = 8
_SECONDS: Final = re.compile(r"[0-9]{1,100}\Z")
_Q_VALUE: Final = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
_FOREVER: Final = 2**32 - 1  # RFC 3261 §20.19


class Registrar:
    """Keeps the location table by the REGISTER requests of phones that proved who they are."""

    __slots__ = ("_exchange", "_keep_alive", "_on_registered", "location")

    def __init__(
        self,
        exchange: Exchange,
        location: LocationTable,
        on_registered: Callable[[str, Flow, float], None],
    ) -> None:
        """`on_registered` hears the number and the flow of every REGISTER that was done, and the instant."""
        self._exchange = exchange
        self._on_registered = on_registered
        self._keep_alive = NatKeepAlive(exchange, location)
        self.location = location

    def handle(
        self, request: Request, transaction: ServerTransaction, number: str, flow: Flow, now: float
    ) -> None:
        """Carry out the REGISTER of a number, all of it or nothing, and answer it."""
        before = self.location.find(number, now)
        try:
            after = self._apply(request, before, flow, now)
        except MalformedMessage as error:
            rejection = Rejection(error.status, error.reason)
            transaction.respond(rejection.status, self._exchange.rejection(request, rejection), now)
            return
        except RegistrationRefused as refused:
            rejection = refused.rejection
            transaction.respond(rejection.status, self._exchange.rejection(request, rejection), now)
            return
        is_awaited = after is not before and self._put(number, before, after, now)
        headers = [date_line(self._exchange.wall(now)), *(_contact_line(binding, now) for binding in after)]
        if "path" in request.keys:
            headers += [f"Path: {value}" for value in request.values("path")]  # RFC 3327 §5.3
        if any(binding.reg_id and binding.call_id == request.call_id for binding in after):
            headers += ["Supported: outbound, path", "Require: outbound"]  # RFC 5626 §6
            if flow.transport.is_reliable:
                headers.append(f"Flow-Timer: {FLOW_TIMER_S}")
        data = self._exchange.response(request, 200, headers=headers)
        transaction.respond(200, data, now, after_journal=is_awaited, or_failure=is_awaited)
        self._on_registered(number, flow, now)

    def bind(self, number: str, binding: Binding, now: float) -> bool:
        """Make this the only binding of a number: what a REGISTER comes to that needs no more thought.

        Returns whether the journal must have it before the phone hears that it is registered.
        """
        return self._put(number, self.location.find(number, now), (binding,), now)

    def done(self, number: str, flow: Flow, now: float) -> None:
        """The REGISTER of a number was carried out and answered."""
        self._on_registered(number, flow, now)

    def flow_closed(self, flow: Flow, now: float) -> None:
        """Drop the bindings that were reached over a connection that is gone (RFC 5626 §5.3).

        Those stay whose Contact we can connect to ourselves (§18.1.1 of RFC 3261).
        """
        for number in self.location.numbers_on(flow):
            bindings = self.location.find(number, now)
            kept = tuple(each for each in bindings if each.flow != flow or each.has_own_address())
            if len(kept) < len(bindings):
                self.location.replace(number, kept)
                self.report(number, now)

    def expire(self, now: float) -> None:
        """Drop the bindings whose time is over."""
        for number in self.location.expire(now):
            self.report(number, now)

    def restore(self, number: str, state: str, now: float) -> None:
        """Take up saved bindings that are still in force.

        None for longer than a phone may ask for: after a reboot the wall clock may not be set yet, and phones
        that are gone would be rung for years.
        """
        latest = now + self._exchange.config.maximum_expiry_s
        bindings = load_bindings(state, self._exchange.wall_offset, latest=latest)
        self.location.replace(number, tuple(binding for binding in bindings if binding.expires_at > now))
        self._keep_alive.start(now)

    def registrations(self) -> list[Registration]:
        """List all bindings."""
        offset = self._exchange.wall_offset
        return [
            binding.describe(number, offset)
            for number, bindings in self.location.items()
            for binding in bindings
        ]

    def _put(self, number: str, before: tuple[Binding, ...], after: tuple[Binding, ...], now: float) -> bool:
        """Bind, and tell whether the answer must wait for the journal.

        A phone that has heard 200 will not speak again for an hour: were its binding lost by a crash, nobody
        could call it meanwhile. A refresh need not wait: what the journal has of it is in force till
        its old expiry, and it will have the new one within a second. While the journal can't be written,
        nobody waits for it.
        """
        self.location.replace(number, after)
        self._keep_alive.start(now)
        self.report(number, now)
        return self._exchange.journal_available and not (
            len(before) == len(after) and all(map(_is_refresh, before, after))
        )

    def report(self, number: str, now: float) -> None:
        """Hand out what the bindings of a number are now."""
        bindings = self.location.find(number, now)
        offset = self._exchange.wall_offset
        self._exchange.emit(
            BindingsChanged(
                number=number,
                registrations=tuple(binding.describe(number, offset) for binding in bindings)
                if self._exchange.is_watched
                else (),
                state=save_bindings(bindings, offset),
            )
        )

    def _apply(
        self, request: Request, before: tuple[Binding, ...], flow: Flow, now: float
    ) -> tuple[Binding, ...]:
        """Return the bindings as the request wants them; the same object when it only asks."""
        contacts = request.values("contact")
        if not contacts:
            return before
        if "*" in contacts:
            return self._remove_all(request, contacts, before)
        known = {binding.key(): binding for binding in before}
        kept = known.copy()
        path = self._path(request)
        wants_outbound = asks_for_outbound(request)
        for value in contacts:
            contact = parse_name_addr(value)
            if len(contact.uri) > _LONGEST_CONTACT:
                raise MalformedMessage("A contact is too long")
            uri = contact.parsed_uri()
            if uri.scheme not in {"sip", "sips"}:
                raise MalformedMessage("A contact must be a SIP URI")
            if (uri.address, uri.port or 5060) in self._exchange.config.local_addresses:
                # Calls to it would come back to us for ever.
                raise RegistrationRefused(Rejection(403, "A contact can't be the exchange itself"))
            key = uri.equality_key()
            outbound = read_outbound(request, contact, contacts) if wants_outbound else None
            if outbound is not None:
                # The same phone's earlier contact on this flow goes, and what it bound without naming a flow.
                kept.pop(key, None)
                key = (outbound.instance, outbound.reg_id)
            else:
                # It may have named a flow before; the phone is the same, and must not be rung twice.
                for same in [each for each in before if each.reg_id and contact_key(each.contact) == key]:
                    kept.pop(same.key(), None)
            existing = known.get(key)
            if existing is not None:
                _check_order(request, existing)
            expiry_s = self._expiry_s(request, contact)
            if expiry_s == 0:
                kept.pop(key, None)
            else:
                kept[key] = self._binding(request, contact, flow, now, expiry_s, path, outbound)
        return self._without_stale(tuple(kept.values()), request.call_id)

    def _without_stale(self, bindings: tuple[Binding, ...], call_id: str) -> tuple[Binding, ...]:
        """Drop what phones left behind when they connected anew, and see that there are not too many.

        A binding on a connection that is gone is stale when the same phone (§10.2: it keeps its Call-ID) has
        one on a connection that lives, and when there is no room for it.
        """
        is_open = self._exchange.is_open
        came_back = any(each.call_id == call_id and is_open(each.flow) for each in bindings)
        kept = tuple(
            each for each in bindings if is_open(each.flow) or not (came_back and each.call_id == call_id)
        )
        limit = self._exchange.config.maximum_bindings
        if len(kept) > limit:
            kept = tuple(each for each in kept if is_open(each.flow))
        if len(kept) > limit:
            raise RegistrationRefused(Rejection(403, "Too many contacts for one number"))
        return kept

    def _path(self, request: Request) -> tuple[str, ...]:
        """Return the way back that proxies wrote into the request (RFC 3327 §5.3)."""
        if "path" not in request.keys:
            return ()
        path = tuple(request.values("path"))
        if len(path) > _LONGEST_PATH or any(len(value) > _LONGEST_CONTACT for value in path):
            raise MalformedMessage("The Path is too long")
        for value in path:
            if not parse_name_addr(value).uri.lower().startswith(("sip:", "sips:")):
                raise MalformedMessage("A Path must hold SIP URIs")
        return path

    def _remove_all(
        self, request: Request, contacts: list[str], before: tuple[Binding, ...]
    ) -> tuple[Binding, ...]:
        """`Contact: *` with `Expires: 0` (§10.3 step 6)."""
        expires = request.first("expires")
        if len(contacts) > 1 or expires is None or not _SECONDS.match(expires) or int(expires) != 0:
            raise MalformedMessage("Contact * needs Expires 0 and nothing beside it")
        for binding in before:
            _check_order(request, binding)
        return () if before else before

    def _expiry_s(self, request: Request, contact: NameAddr) -> int:
        """Return how long the binding is to last, within our limits; 0 removes it (§10.3 step 7)."""
        config = self._exchange.config
        text = contact.parameters.get("expires") or request.first("expires") or ""
        # §20.19: what is no number of seconds is taken as if it weren't there.
        expiry_s = min(int(text), _FOREVER) if _SECONDS.match(text) else config.default_expiry_s
        if 0 < expiry_s < config.minimum_expiry_s:
            raise RegistrationRefused(
                Rejection(423, "Interval Too Brief", headers=(f"Min-Expires: {config.minimum_expiry_s}",))
            )
        return min(expiry_s, config.maximum_expiry_s)

    def _binding(
        self,
        request: Request,
        contact: NameAddr,
        flow: Flow,
        now: float,
        expiry_s: int,
        path: tuple[str, ...],
        outbound: Outbound | None,
    ) -> Binding:
        q_text = contact.parameters.get("q", "1")
        if not _Q_VALUE.match(q_text):
            raise MalformedMessage("Malformed q value of a contact")
        return Binding(
            contact=contact.uri,
            flow=flow,
            is_direct=not path and outbound is None and comes_directly(request, flow),
            call_id=intern(request.call_id),
            cseq=request.cseq,
            q=round(float(q_text) * 1000),
            registered_at=self._exchange.wall(now),
            expires_at=now + expiry_s,
            user_agent=intern(printable(request.first("user-agent") or "", LONGEST_USER_AGENT)),
            path=path,
            instance="" if outbound is None else outbound.instance,
            reg_id=0 if outbound is None else outbound.reg_id,
        )


def _check_order(request: Request, binding: Binding) -> None:
    """A REGISTER that was overtaken by a later one must not undo it (§10.3 steps 6 and 7)."""
    if binding.call_id == request.call_id and request.cseq <= binding.cseq:
        raise RegistrationRefused(Rejection(500, "REGISTER out of order"))


def _is_refresh(known: Binding, renewed: Binding) -> bool:
    """Tell whether nothing but times and order changed: the phone is reached as before."""
    return (
        known.contact == renewed.contact
        and known.flow == renewed.flow
        and known.is_direct == renewed.is_direct
        and known.path == renewed.path
        and known.expires_at <= renewed.expires_at
    )


def _contact_line(binding: Binding, now: float) -> str:
    remaining_s = max(1, round(binding.expires_at - now))
    q = "" if binding.q == 1000 else f";q={binding.q / 1000:g}"
    line = f"Contact: <{binding.contact}>;expires={remaining_s}{q}"
    if binding.reg_id:
        line += f";reg-id={binding.reg_id};+sip.instance={quote_string(binding.instance)}"
    return line
