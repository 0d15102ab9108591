"""One WebSocket connection with a phone in a browser (RFC 7118): a frame is a message, in both directions."""

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import WSMsgType, web

from sip_proxy.core.flow import Flow
from sip_proxy.transport.handler import TransportHandler
from sip_proxy.transport.stream_connection import REST_S

_PING, _PONG = b"\r\n\r\n", b"\r\n"
# The last of these: a frame can't be read, or is too large, and the connection is closed already.
_ENDS = frozenset({WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR})


class WebSocketConnection:
    """Carries messages between one open WebSocket and the exchange."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        *,
        flow: Flow,
        handler: TransportHandler,
        unsent_bytes: int,
        clock: Callable[[], float],
        transport: asyncio.BaseTransport,
    ) -> None:
        """`transport` is what the socket is on; `unsent_bytes` may wait for a peer that does not read."""
        self._socket = socket
        self._handler = handler
        self._most_unsent_bytes = unsent_bytes
        self._clock = clock
        self._transport = cast(asyncio.Transport, transport)
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._unsent_bytes = 0
        self._is_closed = False
        self.flow = flow
        self.opened_at = clock()
        self.has_brought_message = False
        self.received_count = 0

    async def run(self) -> None:
        """Carry messages until either side ends the connection."""
        sending = asyncio.create_task(self._send_queued())
        try:
            await self._receive()
        except (ConnectionError, TimeoutError):
            self.drop()  # it was reset, or has begun a frame and does not come to its end
        finally:
            self._is_closed = True
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def send(self, data: bytes) -> bool:
        """Send one message; False when the connection is closed or its peer has stopped reading."""
        if self._is_closed:
            return False
        self._unsent_bytes += len(data)
        if self._unsent_bytes > self._most_unsent_bytes:
            self._is_closed = True
            self.drop()
            return False
        self._queue.put_nowait(data)
        return True

    def drop(self) -> None:
        """Close at once; what is waiting is lost."""
        self._transport.abort()

    def close(self) -> None:
        """Send what is waiting, then close."""
        self._queue.put_nowait(None)

    async def _receive(self) -> None:
        handler, flow = self._handler, self.flow
        while (frame := await self._socket.receive()).type not in _ENDS:
            if frame.type is WSMsgType.TEXT:
                # What is no character of its own (half a surrogate pair) can't come out of a text frame.
                data = frame.data.encode()
            elif frame.type is WSMsgType.BINARY:
                data = frame.data
            else:  # a ping, or the answer to one: they count as other keep-alives do
                data = _PING
            while not handler.received(data, flow):
                await asyncio.sleep(REST_S)
                if self._transport.is_closing():
                    return
            if frame.type is WSMsgType.PING:
                await self._socket.pong(frame.data)
            elif data != _PING:
                self.has_brought_message = True
                self.received_count += 1
            elif frame.type is not WSMsgType.PONG:  # RFC 5626 §3.5.1, usable here as well (RFC 7118 §6)
                self.send(_PONG)
            handler.turn_ended()

    async def _send_queued(self) -> None:
        while (data := await self._queue.get()) is not None:
            try:
                try:
                    text = data.decode()
                except UnicodeDecodeError:
                    await self._socket.send_bytes(data)  # RFC 7118 §5: text must be UTF-8
                else:
                    await self._socket.send_str(text)
            except ConnectionError:
                self._is_closed = True
                return
            self._unsent_bytes -= len(data)
        await self._socket.close()
