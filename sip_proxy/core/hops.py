"""Our place between two hops: what we write into Via and Record-Route, and how a peer is reached."""

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from sip_proxy.core.dialog.party import Party
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.grammar import split_commas
from sip_proxy.core.message.name_addr import parse_name_addr
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.registrar.binding import Binding, destination_of, port_of
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.remembering import remember

_PORT: Final = re.compile(r":[1-9][0-9]{0,4}\Z")


class Hops:
    """Knows our own addresses and the ways to our peers."""

    __slots__ = (
        "_exchange", "_is_trusted", "_local_hosts", "_location", "_our_route_lines", "_our_uris",
        "_record_routes", "_vias",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, location: LocationTable, *, is_trusted: Callable[[str, float], bool]
    ) -> None:
        """`is_trusted` tells whether an account has lately proved itself from an IP address."""
        self._exchange = exchange
        self._is_trusted = is_trusted
        self._location = location
        addresses = {address for address, _ in exchange.config.local_addresses}
        self._local_hosts = addresses | {exchange.config.domain.lower()}
        # Every request within a dialog has our Route, and those of a phone the same Request-URI.
        self._our_route_lines: dict[str, bool] = {}
        self._our_uris: dict[tuple[str, tuple[str, int]], bool] = {}
        # What we write is the same for all who know us by one address.
        self._vias: dict[tuple[Transport, tuple[str, int]], str] = {}
        self._record_routes: dict[tuple[Transport, tuple[str, int], bool], str] = {}

    def is_local(self, uri: Uri) -> bool:
        """Tell whether a Request-URI is for our domain (RFC 3261 §16.5): any of our addresses counts."""
        return uri.address in self._local_hosts or uri.scheme == "tel"

    def is_local_on(self, uri: Uri, flow: Flow) -> bool:
        """Tell the same; the address that a flow came to counts as well."""
        return self.is_local(uri) or uri.address == flow.local[0]

    def is_local_host(self, host: str) -> bool:
        """Tell whether a host, in lower case, is our domain or one of our addresses."""
        return host in self._local_hosts

    def is_our_route(self, uri: Uri) -> bool:
        """Tell whether a Route value means this very element, its port included (§16.4)."""
        config = self._exchange.config
        if uri.host == config.domain.lower():
            return True
        transport = Transport.TLS if uri.scheme == "sips" else Transport.UDP
        asked = uri.parameters.get("transport", "").upper()
        if asked in Transport.__members__:
            transport = Transport[asked]
        return (uri.address, port_of(uri, transport)) in config.local_addresses

    def is_our_route_line(self, line: str) -> bool:
        """Tell whether a Route line has one value, and that means this very element."""
        known = self._our_route_lines.get(line)
        if known is not None:
            return known
        values = split_commas(line.partition(":")[2])
        try:
            is_ours = len(values) == 1 and self.is_our_route(parse_name_addr(values[0]).parsed_uri())
        except MalformedMessage:
            is_ours = False
        return remember(self._our_route_lines, line, is_ours, 4096)

    def is_our_uri(self, text: str, local: tuple[str, int]) -> bool:
        """Tell whether a Request-URI, on a request to this address of ours, means this very element.

        Raises MalformedMessage when it can't be read; so nothing that long is remembered.
        """
        known = self._our_uris.get((text, local))
        if known is not None:
            return known
        uri = parse_uri(text)
        is_ours = self.is_our_route(uri) or (uri.address, uri.port or 5060) == local
        return remember(self._our_uris, (text, local), is_ours, 4096)

    def is_our_via(self, host: str, port: int | None) -> bool:
        """Tell whether a Via value was written by us."""
        return (host.strip("[]"), port or 5060) in self._exchange.config.local_addresses

    def local_address(self, to: Flow | Destination) -> tuple[str, int]:
        """Return the address that a peer knows us by."""
        if isinstance(to, Flow):
            return to.local
        listening = self._exchange.config.listening
        return listening.get(to.transport) or next(iter(listening.values()))

    def via(self, to: Flow | Destination, branch: str) -> str:
        """Our Via line on a message to this peer (§18.1.1)."""
        place = (to.transport, self.local_address(to))
        head = self._vias.get(place)
        return (remember(self._vias, place, _via_head(*place), 64) if head is None else head) + branch

    def record_routes(
        self, incoming: Flow, outgoing: Flow | Destination, *, secure: bool = False
    ) -> list[str]:
        """Our Record-Route lines, topmost first (§16.6 step 4); `secure` for a request to a SIPS URI.

        When the two sides know us by different addresses or transports, each gets its own (RFC 5658 §3.3).
        """
        theirs = self._record_route(outgoing, secure)
        ours = self._record_route(incoming, secure)
        return [theirs] if theirs == ours else [theirs, ours]

    def _record_route(self, peer: Flow | Destination, secure: bool) -> str:
        place = (peer.transport, self.local_address(peer), secure)
        known = self._record_routes.get(place)
        return remember(self._record_routes, place, _record_route(*place), 64) if known is None else known

    def reach_party(self, party: Party, now: float) -> Flow | Destination | None:
        """Return how to send to one side of a dialog; over its new connection if it lost the old one."""
        flow = party.flow
        if not isinstance(flow, Flow):
            return flow
        if flow.transport.is_reliable:
            if self._exchange.is_open(flow):
                return flow
            return self._newer_flow(party, flow, now) or _address_of(party.contact, flow)
        if party.is_direct:
            return contact_on(flow, party.contact)
        return self._newer_port(party, flow, now) or flow

    def is_flow_of(self, party: Party, flow: Flow, now: float) -> bool:
        """Tell whether a flow is that of one side of a dialog: it was seen there, or has registered."""
        if party.flow == flow:
            return True
        return any(binding.flow == flow for binding in self._location.find(party.number, now))

    def _newer_flow(self, party: Party, lost: Flow, now: float) -> Flow | None:
        """The connection of the same contact, or else the only one that its number has from its address."""
        flows = set()
        for binding in self._location.find(party.number, now):
            if binding.flow.transport.is_reliable and self._exchange.is_open(binding.flow):
                if binding.contact == party.contact:
                    return binding.flow
                if binding.flow.remote[0] == lost.remote[0]:
                    flows.add(binding.flow)
        return flows.pop() if len(flows) == 1 else None

    def _newer_port(self, party: Party, old: Flow, now: float) -> Flow | None:
        """Where a phone has registered since the NAT in front of it gave its UDP flow another port."""
        bindings = self._location.find(party.number, now)
        if any(binding.flow == old for binding in bindings):
            return None
        host = old.remote[0]
        for binding in bindings:
            if binding.contact == party.contact and binding.flow.remote[0] == host:
                return binding.flow
        return None

    def reach_phone(self, number: str, binding: Binding, now: float) -> Flow | Destination | None:
        """Return how to send to a phone of a number; None when there is no way.

        A contact may point to another place than where its REGISTER came from, but not to a phone of another
        number: calls to oneself would ring there, at the price of such and past that one's block list.
        """
        flow = binding.flow
        to = self.reach(flow, binding.contact, is_direct=binding.is_direct)
        if to is None or to == flow or not self._may_be_anothers(to, number, flow, now):
            return to
        return flow if self._exchange.is_open(flow) else None

    def _may_be_anothers(self, to: Flow | Destination, number: str, flow: Flow, now: float) -> bool:
        """Tell whether phones of other numbers are at an address that was claimed from this flow."""
        if isinstance(to, Flow):
            behind_nat = self._location.numbers_on(to)
            if behind_nat:
                return number not in behind_nat
        host = to.remote[0] if isinstance(to, Flow) else to.host
        return host != flow.remote[0] and self._is_trusted(host, now)

    def reach(self, flow: Flow | Destination, contact: str, *, is_direct: bool) -> Flow | Destination | None:
        """Return how to send to a contact that was last seen on this flow; None when there is no way.

        A connection while it lives, else the contact's own address. On UDP the contact's own address when it
        is direct (RFC 3261 §16.6 step 7), else where it was seen.
        """
        if isinstance(flow, Destination):
            return flow
        if not flow.transport.is_reliable:
            return contact_on(flow, contact) if is_direct else flow
        return flow if self._exchange.is_open(flow) else _address_of(contact, flow)


def _address_of(contact: str, flow: Flow) -> Destination | None:
    """Return where a contact's URI points, None where its owner may not send us.

    An account must not have us knock at the doors of our own machine, or call a whole network, by registering
    such a contact: our own addresses are only for phones that are here.
    """
    destination = destination_of(contact, flow.transport)
    if destination is None or destination.host == flow.remote[0]:
        return destination
    here, there = _ip_address(flow.remote[0]), _ip_address(destination.host)
    if here.is_loopback or flow.remote[0] == flow.local[0]:
        return destination
    is_ours = there.is_loopback or there.is_unspecified or there == _ip_address(flow.local[0])
    return None if is_ours or there.is_multicast else destination


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def contact_on(flow: Flow, contact: str) -> Flow | Destination:
    """Return where the URI of a contact points, by way of the UDP socket that its owner knows us by."""
    host, port = flow.remote
    place = contact.partition("@")[2] or contact[4:]  # after `sip:`
    if place == f"{host}:{port}":  # as nearly always
        return flow
    return _other_port(flow, place) or _elsewhere(flow, contact)


def _other_port(flow: Flow, place: str) -> Flow | None:
    """Return the flow to the end of a contact, if that is at the address that it was seen at; else None.

    This is read anew for every call: there are more phones than would fit into a memory for them.
    """
    host, port = flow.remote
    place = place.removesuffix(";transport=udp")
    address = f"[{host}]" if ":" in host else host
    end = place[len(address) :]
    if not place.startswith(address) or (end and not _PORT.match(end)):
        return None
    its_port = int(end[1:]) if end else 5060
    if its_port == port:
        return flow
    return Flow(flow.transport, (host, its_port), flow.local) if its_port < 65536 else None


def _elsewhere(flow: Flow, contact: str) -> Flow | Destination:
    destination = _address_of(contact, flow)
    if destination is None:
        return flow
    if destination.transport is not flow.transport:
        return destination
    remote = (destination.host, destination.port)
    return flow if remote == flow.remote else Flow(flow.transport, remote, flow.local)


def _via_head(transport: Transport, local: tuple[str, int]) -> str:
    host, port = local
    return f"Via: SIP/2.0/{transport.token} {_bracketed(host)}:{port};branch="


def _record_route(transport: Transport, local: tuple[str, int], secure: bool) -> str:
    host, port = local
    if secure:
        parameter = ";transport=ws" if transport in {Transport.WS, Transport.WSS} else ""
        return f"Record-Route: <sips:{_bracketed(host)}:{port}{parameter};lr>"
    parameter = "" if transport is Transport.UDP else f";transport={transport.token.lower()}"
    return f"Record-Route: <sip:{_bracketed(host)}:{port}{parameter};lr>"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
