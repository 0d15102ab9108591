"""The sockets that the exchange listens on, and what its addresses are to the world."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from sip_proxy.core.flow import Transport
from sip_proxy.settings import ListenAddress, Settings, TlsSettings
from sip_proxy.transport.addresses import WILDCARDS, LocalAddresses, addresses_of_this_machine
from sip_proxy.transport.stream import bind_stream
from sip_proxy.transport.udp import bind_udp

# Somewhere beyond the default route (RFC 5737, RFC 3849); nothing is sent there.
_FAR_AWAY = {"0.0.0.0": "192.0.2.1", "::": "2001:db8::1"}
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class UnableToStart(Exception):
    """The exchange can't start; the text says why and what to do, in one line."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Bound sockets, by transport."""

    by_transport: dict[Transport, socket.socket]
    tls: ssl.SSLContext | None

    def names(self) -> tuple[str, ...]:
        """Return where we listen, such as `udp:127.0.0.1:5060`."""
        return tuple(
            f"{transport.value.lower()}:{ListenAddress(*bound.getsockname()[:2])}"
            for transport, bound in self.by_transport.items()
        )

    def local_addresses(self) -> frozenset[tuple[str, int]]:
        """Return every concrete address that a request to us can be addressed to."""
        return frozenset(
            (address, bound.getsockname()[1])
            for bound in self.by_transport.values()
            for address in _addresses_behind(bound.getsockname()[0])
        )

    def listening(self, local_addresses: LocalAddresses) -> dict[Transport, tuple[str, int]]:
        """Return for each transport the one address to name to a peer that we have no flow with yet."""
        return {
            transport: (_main_address(bound.getsockname()[0], local_addresses), bound.getsockname()[1])
            for transport, bound in self.by_transport.items()
        }

    def close(self) -> None:
        """Close all of them."""
        for bound in self.by_transport.values():
            bound.close()


def bind_sockets(settings: Settings) -> Sockets:
    """Take the addresses in the settings, all or none.

    Raises UnableToStart.
    """
    sockets = Sockets({}, _tls_context(settings.sip_tls) if settings.sip_tls else None)
    try:
        _bind(sockets, Transport.UDP, settings.sip_udp, bind_udp)
        _bind(sockets, Transport.TCP, settings.sip_tcp, bind_stream)
        if settings.sip_tls is not None:
            _bind(sockets, Transport.TLS, settings.sip_tls.listen, bind_stream)
            if settings.sip_tls.websocket is not None:
                _bind(sockets, Transport.WSS, settings.sip_tls.websocket, bind_stream)
        _bind(sockets, Transport.WS, settings.sip_ws, bind_stream)
    except UnableToStart:
        sockets.close()
        raise
    return sockets


def _bind(
    sockets: Sockets,
    transport: Transport,
    address: ListenAddress,
    bind: Callable[[ListenAddress], socket.socket],
) -> None:
    try:
        sockets.by_transport[transport] = bind(address)
    except OSError as error:
        raise unable_to_listen(f"TOLLBELL_SIP_{transport.value}", address, error) from error


def unable_to_listen(setting: str, address: ListenAddress, error: OSError) -> UnableToStart:
    """Say that an address can't be had, and which setting to change."""
    return UnableToStart(
        f"Can't listen on {address}: {error.strerror or error}. "
        f"Stop the program that uses it, or set {setting} to another address"
    )


def _tls_context(settings: TlsSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (ssl.SSLError, OSError) as error:
        raise UnableToStart(
            f"The TLS certificate {settings.certificate} with the key {settings.key} can't be used: {error}"
        ) from error
    return context


def _addresses_behind(host: str) -> frozenset[str]:
    if host not in WILDCARDS:
        return frozenset({host})
    addresses = addresses_of_this_machine()
    # The IPv6 wildcard takes IPv4 as well.
    return addresses if host == "::" else frozenset(one for one in addresses if ":" not in one)


def _main_address(host: str, local_addresses: LocalAddresses) -> str:
    if host not in WILDCARDS:
        return host
    with suppress(OSError):
        return local_addresses.towards(_FAR_AWAY[host])
    return _LOOPBACK[host]
