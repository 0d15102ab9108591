"""SIP over WebSocket (RFC 7118): the connections that phones in browsers open.

HTTP, the handshake and the frames are aiohttp's. We can't connect to a phone in a browser: it is reached on
the connection that it opened and on no other, whatever host it writes into its Contact (often one under
`.invalid`).
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.framing import MAXIMUM_BODY_BYTES, MAXIMUM_HEADER_BYTES
from sip_proxy.transport.addresses import unmapped
from sip_proxy.transport.admission import Admission
from sip_proxy.transport.handler import TransportHandler
from sip_proxy.transport.stream_connection import StreamLimits
from sip_proxy.transport.tls_door import TlsDoor
from sip_proxy.transport.websocket_connection import WebSocketConnection

SUBPROTOCOL = "sip"
_LARGEST_FRAME = MAXIMUM_HEADER_BYTES + MAXIMUM_BODY_BYTES
# A peer that has vanished is found out half as much later again.
_HEARTBEAT_S = 30.0
# Each ping of ours is answered by a whole frame: without one for so long, a frame was begun and not ended.
_FRAME_S = 90.0
_HANDSHAKE_S = 10.0
_SWEEP_INTERVAL_S = 5.0
_CLOSE_S = 2.0
_BACKLOG = 1024


class WebSocketTransport:
    """Carries messages between the WebSocket connections of phones and the exchange."""

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
        self._sweeper: asyncio.TimerHandle | None = None
        self._connections: dict[int, WebSocketConnection] = {}
        self._upgraded: set[web.RequestHandler] = set()
        self._shaking_hands: dict[web.RequestHandler, float] = {}
        self._received_before = 0
        self.sent_count = 0
        self.unsent_count = 0
        self.admission = Admission(
            transport,
            connections=self._limits.connections,
            of_one_source=self._limits.connections_of_one_source,
        )
        self._http = _Door(self._serve, self.admission)

    @property
    def listening(self) -> tuple[str, int]:
        """The IP address and port that connections are accepted on."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    @property
    def connection_count(self) -> int:
        """How many connections of phones stand."""
        return len(self._connections)

    @property
    def received_count(self) -> int:
        """How many messages have come."""
        return self._received_before + sum(one.received_count for one in self._connections.values())

    async def start(self) -> None:
        """Begin to take connections."""
        loop = asyncio.get_running_loop()
        if self._tls is not None:
            self._door = TlsDoor(
                self._socket,
                context=self._tls,
                admission=self.admission,
                standing=lambda: len(self._http.connections),
                make_protocol=self._http,
            )
            self._door.start()
        else:
            self._server = await loop.create_server(self._http, sock=self._socket, backlog=_BACKLOG)
        self._sweeper = loop.call_later(_SWEEP_INTERVAL_S, self._sweep)

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
        for connection in self._connections.values():
            connection.close()
        await self._http.shutdown(_CLOSE_S)

    def send(self, data: bytes, to: Flow | Destination) -> None:
        """Send on a connection that stands."""
        connection = self._connections.get(to.connection) if isinstance(to, Flow) else None
        if connection is not None and connection.send(data):
            self.sent_count += 1
        else:
            self.unsent_count += 1
            self._handler.unable_to_send(data, to)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request: all but the handshake of a SIP phone is refused."""
        response = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=_HEARTBEAT_S,
            autoping=False,
            receive_timeout=_FRAME_S,
            max_msg_size=_LARGEST_FRAME,
            compress=False,
        )
        if not response.can_prepare(request).ok:
            return _refusal(426, "Phones connect here by WebSocket.", {"Upgrade": "websocket"})
        if not _offers_sip(request):
            return _refusal(400, "The WebSocket sub-protocol must be sip (RFC 7118).", {})
        protocol, transport = request.protocol, request.transport
        peer = transport.get_extra_info("peername") if transport else None
        local = transport.get_extra_info("sockname") if transport else None
        if transport is None or not peer or not local:
            return _refusal(400, "The connection is gone.", {})
        await response.prepare(request)
        number = next(self._next_number)
        connection = WebSocketConnection(
            response,
            flow=Flow(self._transport, (unmapped(peer[0]), peer[1]), (unmapped(local[0]), local[1]), number),
            handler=self._handler,
            unsent_bytes=self._limits.unsent_bytes,
            clock=self._clock,
            transport=transport,
        )
        self._connections[number] = connection
        self._upgraded.add(protocol)
        try:
            await connection.run()
        finally:
            self._upgraded.discard(protocol)
            del self._connections[number]
            self._received_before += connection.received_count
            self._handler.flow_closed(connection.flow)
            self._handler.turn_ended()
        return response

    def _sweep(self) -> None:
        """Drop who has connected and does not come to the point."""
        now = self._clock()
        self._shaking_hands = {
            one: self._shaking_hands.get(one, now)
            for one in self._http.connections
            if one not in self._upgraded
        }
        late = [one for one, since in self._shaking_hands.items() if now - since > _HANDSHAKE_S]
        late_transports = [one.transport for one in late if one.transport is not None]
        if late_transports:
            peer = late_transports[0].get_extra_info("peername")
            self.admission.note_dropped("no handshake", len(late_transports), peer or None)
        for transport in late_transports:
            transport.abort()
        first_message_s = self._limits.first_message_s
        silent = [
            one
            for one in self._connections.values()
            if not one.has_brought_message and now - one.opened_at > first_message_s
        ]
        if silent:
            self.admission.note_dropped("no message", len(silent), silent[0].flow.remote)
        for connection in silent:
            connection.drop()
        if self._door:
            self._door.report_failed()
        self.admission.report_refused()
        self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_INTERVAL_S, self._sweep)


class _Door(web.Server):
    """Serves the connections that there is room for, and ends the others before they say anything."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], admission: Admission
    ) -> None:
        # Phones keep their connection for hours; what they ask by plain HTTP is answered once.
        super().__init__(handler, access_log=None, keepalive_timeout=0)
        self._admission = admission
        self._admitted: dict[web.RequestHandler, str] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        standing = len(self.connections)
        super().connection_made(handler, transport)
        peer = transport.get_extra_info("peername")
        # A peer that has gone again before we looked has no name.
        if peer and self._admission.admit(host := unmapped(peer[0]), standing):
            self._admitted[handler] = host
        else:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if (host := self._admitted.pop(handler, None)) is not None:
            self._admission.leave(host)


def _offers_sip(request: web.BaseRequest) -> bool:
    """RFC 7118 §4.1: the client must offer `sip`, and the server must choose it."""
    offered = ",".join(request.headers.getall("Sec-WebSocket-Protocol", ()))
    return SUBPROTOCOL in (each.strip() for each in offered.split(","))


def _refusal(status: int, text: str, headers: dict[str, str]) -> web.Response:
    return web.Response(status=status, text=f"{text}\n", headers={**headers, "Connection": "close"})
