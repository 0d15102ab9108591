"""All transports of the exchange together: made from the bound sockets, started, paused and closed as one."""

import asyncio
import itertools
import resource
import time
from collections.abc import Mapping

from sip_proxy.core.flow import Transport
from sip_proxy.sockets import Sockets
from sip_proxy.transport.addresses import LocalAddresses
from sip_proxy.transport.handler import MessageSender, TransportHandler
from sip_proxy.transport.stream import StreamTransport
from sip_proxy.transport.stream_connection import StreamLimits
from sip_proxy.transport.udp import UdpTransport
from sip_proxy.transport.websocket import WebSocketTransport

# Files other than phone connections: the journal, HTTP, log, libraries.
_OTHER_FILES = 200


class Listeners:
    """The transports, by what they carry."""

    def __init__(
        self,
        sockets: Sockets,
        *,
        handler: TransportHandler,
        local_addresses: LocalAddresses,
        round_s: float,
    ) -> None:
        """Take over the sockets; nothing is read from them before `start`.

        `round_s`: how long messages over UDP wait for others under load (0: never).
        """
        self.udp = UdpTransport(
            sockets.by_transport[Transport.UDP],
            handler=handler,
            local_addresses=local_addresses,
            round_s=round_s,
        )
        self.streams = _stream_transports(sockets, handler)
        self.names = sockets.names()

    @property
    def senders(self) -> Mapping[Transport, MessageSender]:
        """Who sends over which transport."""
        return {Transport.UDP: self.udp, **self.streams}

    async def start(self) -> None:
        """Begin to take messages and connections."""
        for stream in self.streams.values():
            await stream.start()
        self.udp.start(asyncio.get_running_loop())

    def pause(self) -> None:
        """Take no more datagrams; all the rest goes on."""
        self.udp.pause()

    async def close(self) -> None:
        """Close the connections, after what is waiting to be sent, and the sockets. Call `pause` first."""
        for stream in self.streams.values():
            await stream.close()
        self.udp.close()


def _stream_transports(
    sockets: Sockets, handler: TransportHandler
) -> dict[Transport, StreamTransport | WebSocketTransport]:
    limits = StreamLimits(connections=_most_connections())
    numbers = itertools.count(1)
    made: dict[Transport, StreamTransport | WebSocketTransport] = {}
    for transport, bound in sockets.by_transport.items():
        if transport is not Transport.UDP:
            is_websocket = transport in {Transport.WS, Transport.WSS}
            kind = WebSocketTransport if is_websocket else StreamTransport
            made[transport] = kind(
                bound,
                transport=transport,
                handler=handler,
                next_number=numbers,
                clock=time.monotonic,
                limits=limits,
                tls=sockets.tls if transport in {Transport.TLS, Transport.WSS} else None,
            )
    return made


def _most_connections() -> int:
    """Ask the system for as many open files as it grants; leave some for other things than connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = StreamLimits().connections
    return wanted if hard == resource.RLIM_INFINITY else max(1, min(wanted, hard - _OTHER_FILES))
