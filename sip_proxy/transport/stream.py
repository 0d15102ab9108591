"""SIP over TCP and TLS (RFC 3261 §18): the connections that phones open, and those that we open to them."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.settings import ListenAddress
from sip_proxy.transport.admission import Admission
from sip_proxy.transport.handler import TransportHandler
from sip_proxy.transport.stream_connection import StreamConnection, StreamLimits
from sip_proxy.transport.tls_door import TlsDoor

_SWEEP_INTERVAL_S = 5.0
_BACKLOG = 1024


def bind_stream(address: ListenAddress) -> socket.socket:
    """Bind a TCP socket, not yet listening; the IPv6 wildcard takes IPv4 as well. Raises OSError."""
    family, _, _, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of an earlier process may linger; they must not keep us from starting.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.settimeout(0)
        bound.bind(where)
        # Only listening finds out that another program already listens there.
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


class StreamTransport:
    """Carries messages between the connections of one stream transport and the exchange."""

    def __init__(
        self,
        bound: socket.socket,
        *,
        transport: Transport,
        handler: TransportHandler,
        next_number: Iterator[int],
        clock: Callable[[], float],
        limits: StreamLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`next_number` numbers connections, across all transports. `clock` is monotonic, in seconds."""
        self._socket = bound
        self._transport = transport
        self._handler = handler
        self._next_number = next_number
        self._clock = clock
        self._limits = limits or StreamLimits()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._door: TlsDoor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._connections: dict[int, StreamConnection] = {}
        self._opened: dict[tuple[str, int], StreamConnection] = {}
        self._opening: dict[tuple[str, int], list[tuple[bytes, Destination]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._received_before = 0
        self.sent_count = 0
        self.unsent_count = 0
        self.admission = Admission(
            transport,
            connections=self._limits.connections,
            of_one_source=self._limits.connections_of_one_source,
        )

    @property
    def listening(self) -> tuple[str, int]:
        """The IP address and port that connections are accepted on."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def connection_count(self) -> int:
        """How many connections stand."""
        return len(self._connections)

    @property
    def received_count(self) -> int:
        """How many messages have come."""
        return self._received_before + sum(one.received_count for one in self._connections.values())

    async def start(self) -> None:
        """Begin to take connections."""
        self._loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._door = TlsDoor(
                self._socket,
                context=self._tls,
                admission=self.admission,
                standing=lambda: len(self._connections),
                make_protocol=self._make_connection,
            )
            self._door.start()
        else:
            self._server = await self._loop.create_server(
                self._make_connection, sock=self._socket, backlog=_BACKLOG
            )
        self._sweeper = self._loop.call_later(_SWEEP_INTERVAL_S, self._sweep)

    async def close(self) -> None:
        """Close the connections, after what is waiting to be sent, and take no more."""
        if self._sweeper:
            self._sweeper.cancel()
        if self._server:
            self._server.close()
        elif self._door:
            await self._door.close()
        else:
            self._socket.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._connections.values()):
            connection.close()

    def send(self, data: bytes, to: Flow | Destination) -> None:
        """Send on a connection that stands, or open one to a destination and send then."""
        if isinstance(to, Flow):
            self._send_on(self._connections.get(to.connection), data, to)
            return
        where = (to.host, to.port)
        waiting = self._opening.get(where)
        if waiting is not None:
            waiting.append((data, to))
        elif where in self._opened:
            self._send_on(self._opened[where], data, to)
        elif self._tls is not None or self._loop is None:
            # Phones have no certificate to know them by: over TLS they are reached on what they opened.
            self._unable_to_send(data, to)
        else:
            self._opening[where] = [(data, to)]
            task = self._loop.create_task(self._open(to))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _send_on(self, connection: StreamConnection | None, data: bytes, to: Flow | Destination) -> None:
        if connection is not None and connection.send(data):
            self.sent_count += 1
        else:
            self._unable_to_send(data, to)

    def _unable_to_send(self, data: bytes, to: Flow | Destination) -> None:
        self.unsent_count += 1
        self._handler.unable_to_send(data, to)

    async def _open(self, to: Destination) -> None:
        where = (to.host, to.port)
        loop = asyncio.get_running_loop()
        connection: StreamConnection | None = None
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._limits.connect_s):
                _, connection = await loop.create_connection(self._make_connection, to.host, to.port)
        waiting = self._opening.pop(where)
        if connection is not None and connection.flow is not None:
            self._opened[where] = connection
        for data, destination in waiting:
            self._send_on(connection, data, destination)
        self._handler.turn_ended()

    def _make_connection(self) -> StreamConnection:
        return StreamConnection(
            transport=self._transport,
            number=next(self._next_number),
            handler=self._handler,
            limits=self._limits,
            clock=self._clock,
            on_open=self._opened_connection,
            on_closed=self._closed_connection,
        )

    def _opened_connection(self, connection: StreamConnection) -> bool:
        if connection.flow is None:
            return False
        if not self.admission.admit(connection.flow.remote[0], len(self._connections)):
            return False
        self._connections[connection.flow.connection] = connection
        return True

    def _closed_connection(self, connection: StreamConnection) -> None:
        flow = connection.flow
        assert flow is not None
        del self._connections[flow.connection]
        self.admission.leave(flow.remote[0])
        self._received_before += connection.received_count
        if self._opened.get(flow.remote) is connection:
            del self._opened[flow.remote]
        self._handler.flow_closed(flow)
        self._handler.turn_ended()

    def _sweep(self) -> None:
        assert self._loop is not None
        now = self._clock()
        overstayed: dict[str, list[StreamConnection]] = {}
        for connection in self._connections.values():
            if (reason := connection.overstayed(now)) is not None:
                overstayed.setdefault(reason, []).append(connection)
        for reason, connections in overstayed.items():
            flow = connections[0].flow
            self.admission.note_dropped(reason, len(connections), flow.remote if flow else None)
            for connection in connections:
                connection.drop()
        if self._door:
            self._door.report_failed()
        self.admission.report_refused()
        self._sweeper = self._loop.call_later(_SWEEP_INTERVAL_S, self._sweep)
