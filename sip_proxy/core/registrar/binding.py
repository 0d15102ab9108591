"""A binding: where a number can be reached, until when."""

import ipaddress
import json
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _text
from math import inf
from sys import intern
from typing import Any, Final

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.errors import MalformedMessage
from sip_proxy.core.message.message import HIGHEST_CSEQ
from sip_proxy.core.message.uri import Uri, parse_uri
from sip_proxy.core.outputs import Registration
from sip_proxy.core.remembering import remember

_LAST_PORT: Final = 65_535
LATEST_INSTANT: Final = 253_402_300_799  # the last second of the year 9999: what a date can be made of
_DEFAULT_PORTS: Final = {Transport.TLS: 5061, Transport.WSS: 443, Transport.WS: 80}


@dataclass(slots=True)
class Binding:
    """One contact of a number (RFC 3261 §10.3).

    `flow` is how the REGISTER came. `is_direct` tells that there is no NAT between us, so that the Contact
    itself can be believed; otherwise requests go back on the flow, because only that works through NAT.
    `expires_at` is on the monotonic clock, `registered_at` on the wall clock. `q` is in thousandths. `path`
    is the way back through proxies between us (RFC 3327); `instance` and `reg_id` name the phone and which of
    its flows this is (RFC 5626), "" and 0 where it doesn't say so.
    """

    contact: str
    flow: Flow
    is_direct: bool
    call_id: str
    cseq: int
    q: int
    registered_at: float
    expires_at: float
    user_agent: str
    path: tuple[str, ...] = ()
    instance: str = ""
    reg_id: int = 0

    def key(self) -> tuple[object, ...]:
        """What another registration must share to replace this one: phone and flow, else the contact."""
        return (self.instance, self.reg_id) if self.reg_id else contact_key(self.contact)

    def has_own_address(self) -> bool:
        """Tell whether the phone can be reached without its flow: nothing translates addresses between us."""
        return self.is_direct and destination_of(self.contact, self.flow.transport) is not None

    def describe(self, number: str, wall_offset: float) -> Registration:
        """Return the binding as an administrator sees it."""
        host, port = self.flow.remote
        return Registration(
            number=number,
            contact=self.contact,
            transport=self.flow.transport.value,
            source=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            user_agent=self.user_agent,
            registered_at=self.registered_at,
            expires_at=self.expires_at + wall_offset,
        )


def contact_key(contact: str) -> tuple[object, ...]:
    """A key that is equal for equal contacts (RFC 3261 §10.3 step 7, §19.1.4)."""
    return parse_uri(contact).equality_key()


def destination_of(contact: str, transport: Transport) -> Destination | None:
    """Return where a contact's URI itself points, or None when it has no IP address: the DNS is not asked."""
    try:
        uri = parse_uri(contact)
    except MalformedMessage:
        return None
    if not is_ip_address(uri.address):
        return None
    asked = uri.parameters.get("transport", "").upper()
    if asked in Transport.__members__:
        transport = Transport[asked]
    return Destination(transport, uri.address, port_of(uri, transport))


def port_of(uri: Uri, transport: Transport) -> int:
    """Return the port of a URI, by default that of the transport (RFC 3261 §19.1.2)."""
    return uri.port or _DEFAULT_PORTS.get(transport, 5060)


@lru_cache(maxsize=4096)
def is_ip_address(text: str) -> bool:
    """Tell whether the text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def save_bindings(bindings: tuple[Binding, ...], wall_offset: float) -> str:
    """Write bindings as JSON; instants are on the wall clock there, in whole seconds.

    Formatted by hand, as this is done for every REGISTER.
    """
    return f"[{','.join([_binding_text(binding, wall_offset) for binding in bindings])}]"


def _binding_text(binding: Binding, wall_offset: float) -> str:
    outbound = _outbound_to_json(binding)
    return (
        f'{{"contact":{_text(binding.contact)},"flow":{flow_text(binding.flow)},'
        f'"is_direct":{"true" if binding.is_direct else "false"},"call_id":{_text(binding.call_id)},'
        f'"cseq":{binding.cseq},"q":{binding.q},"registered_at":{int(binding.registered_at)},'
        f'"expires_at":{int(binding.expires_at + wall_offset)},"user_agent":{_text(binding.user_agent)}'
        f"{',' + json.dumps(outbound)[1:] if outbound else '}'}"
    )


def load_bindings(state: str, wall_offset: float, *, latest: float = inf) -> list[Binding]:
    """Read what `save_bindings` wrote; no binding is in force for longer than till `latest`.

    Raises an error of its own kind for what it did not write: one that is found wrong only in use would cost
    what others want, such as the list of all bindings.
    """
    found = [
        Binding(
            contact=str_in(item["contact"]),
            flow=flow_from_json(item["flow"]),
            is_direct=item.get("is_direct", False) is True,
            call_id=str_in(item["call_id"]),
            cseq=int_in(item["cseq"], HIGHEST_CSEQ),
            q=int_in(item["q"], 1000),
            registered_at=int_in(int(item["registered_at"]), LATEST_INSTANT),
            expires_at=min(int_in(int(item["expires_at"]), LATEST_INSTANT) - wall_offset, latest),
            user_agent=intern(str_in(item["user_agent"])),
            path=tuple(str_in(value) for value in item.get("path", ())),
            instance=str_in(item.get("instance", "")),
            reg_id=int_in(item.get("reg_id", 0), HIGHEST_CSEQ),
        )
        for item in json.loads(state)
    ]
    for binding in found:
        contact_key(binding.contact)
    return found


def _outbound_to_json(binding: Binding) -> dict[str, Any]:
    """What few bindings have."""
    found: dict[str, Any] = {}
    if binding.path:
        found["path"] = binding.path
    if binding.reg_id:
        found["instance"] = binding.instance
        found["reg_id"] = binding.reg_id
    return found


_flow_texts: Final[dict[Flow, str]] = {}


def flow_text(flow: Flow) -> str:
    """Write a flow as a JSON array. Formatted by hand, as many phones have many flows."""
    known = _flow_texts.get(flow)
    if known is not None:
        return known
    (remote_host, remote_port), (local_host, local_port) = flow.remote, flow.local
    text = (
        f'["{flow.transport.value}",{_text(remote_host)},{remote_port},{_text(local_host)},{local_port},'
        f"{flow.connection}]"
    )
    return remember(_flow_texts, flow, text, 4096)


def flow_from_json(items: list[Any]) -> Flow:
    """Read what `flow_text` wrote. A connection of an earlier process is never open again.

    Raises ValueError for what it did not write.
    """
    transport, remote_host, remote_port, local_host, local_port, connection = items
    remote, local = address_in(remote_host, remote_port), address_in(local_host, local_port)
    return Flow(Transport(transport), remote, local, -abs(int_in(connection, HIGHEST_CSEQ)))


def address_in(host: Any, port: Any) -> tuple[str, int]:
    """Return an IP address and a port that stood in JSON. Raises ValueError when they are none."""
    if not is_ip_address(str_in(host)):
        raise ValueError(f"no IP address: {host}")
    return host, int_in(port, _LAST_PORT)


def str_in(value: Any) -> str:
    """Return a text that stood in JSON. Raises ValueError when it is none."""
    if not isinstance(value, str):
        raise ValueError(f"no text: {value}")
    return value


def int_in(value: Any, most: int) -> int:
    """Return a whole number that stood in JSON. Raises ValueError when it is none, or above `most`."""
    if type(value) is not int or abs(value) > most:
        raise ValueError(f"no number, or one that can't be: {value}")
    return value
