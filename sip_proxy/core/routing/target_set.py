"""The target set: where a request for a number may go (RFC 3261 §16.5)."""

from typing import Final

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.message import Request
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.registrar.binding import Binding, contact_key
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.rejection import Rejection

_SECURE: Final = frozenset({Transport.TLS, Transport.WSS})
_DEFAULT_BREADTH: Final = 60  # RFC 5393 §5.3.3


class Target:
    """A phone, and the way to it; `spares` are its other flows, the newest first."""

    __slots__ = ("binding", "spares", "to")

    def __init__(self, binding: Binding, to: Flow | Destination, spares: "tuple[Target, ...]" = ()) -> None:
        self.binding = binding
        self.to = to
        self.spares = spares


def find_targets(
    location: LocationTable, hops: Hops, number: str, now: float, *, secure: bool
) -> list[Target]:
    """Return every phone of a number that can be reached; `secure` leaves out those without TLS (§26.2.2)."""
    targets = []
    for binding in location.find(number, now):
        to = hops.reach_phone(number, binding, now)
        if to is not None and (not secure or to.transport in _SECURE):
            targets.append(Target(binding, to))
    return targets if len(targets) < 2 else _one_flow_each(targets)


def in_subscription(targets: list[Target], uri: Uri) -> list[Target]:
    """Return the one phone that a request within a dialog is for: its contact is the Request-URI.

    Many phones give other parameters when they subscribe than when they register, so a phone at the same
    place will do; and one that registered another contact altogether is meant if it is alone.
    """
    key = uri.equality_key()
    equal = [target for target in targets if contact_key(target.binding.contact) == key]
    found = equal or [target for target in targets if is_same_place(uri, target.binding.contact)]
    return found[:1] or (targets if len(targets) == 1 else [])


def is_same_place(uri: Uri, contact: str) -> bool:
    """Tell whether a URI has the address and port of a contact, whatever its parameters."""
    other = parse_uri(contact)
    return (uri.address, uri.port or 5060) == (other.address, other.port or 5060)


def without_headers(contact: str) -> str:
    """Return a contact as a Request-URI: that can't have headers (§16.6 step 2, §19.1.1)."""
    if "?" not in contact or "?" not in contact.rpartition("@")[2]:
        return contact
    return contact.partition("?")[0]


def breadth_each(request: Request, branches: int) -> int | Rejection:
    """Share what the request may still be forked among its branches (RFC 5393 §5.3.3)."""
    breadth = _DEFAULT_BREADTH
    if "max-breadth" in request.shape.at:
        text = request.first("max-breadth") or ""
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            return Rejection(400, "Bad Max-Breadth")
        breadth = int(text)
    if breadth < branches:
        return Rejection(440, "Max-Breadth Exceeded")
    return breadth // branches


def _one_flow_each(targets: list[Target]) -> list[Target]:
    """Of several flows of one phone only the newest is used, lest it rings twice (RFC 5626 §6)."""
    phones: dict[object, list[Target]] = {}
    for target in targets:
        binding = target.binding
        phones.setdefault(binding.instance if binding.reg_id else id(target), []).append(target)
    if len(phones) == len(targets):
        return targets
    found = []
    for flows in phones.values():
        newest, *others = sorted(flows, key=lambda each: -each.binding.registered_at)
        found.append(Target(newest.binding, newest.to, tuple(others)))
    return found
