"""Takes in TLS connections: who has not shaken hands yet counts as well, and has not long to do so.

The event loop's own servers tell of a connection when the handshake is done. Until then a stranger would hold
a file descriptor and 50 kB that nobody counts.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable

import structlog

from sip_proxy.transport.addresses import unmapped
from sip_proxy.transport.admission import Admission

_BACKLOG = 1024
_HANDSHAKE_S = 10.0
_PAUSE_AFTER_ERROR_S = 1.0

log = structlog.get_logger()


class TlsDoor:
    """Accepts connections on one socket, as far as there is room, and makes each a protocol after TLS."""

    def __init__(
        self,
        bound: socket.socket,
        *,
        context: ssl.SSLContext,
        admission: Admission,
        standing: Callable[[], int],
        make_protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`standing` tells how many connections are through the door."""
        self._socket = bound
        self._context = context
        self._admission = admission
        self._standing = standing
        self._make_protocol = make_protocol
        self._accepting: asyncio.Task[None] | None = None
        self._shaking_hands: set[asyncio.Task[None]] = set()
        self._failed_count = 0

    def start(self) -> None:
        """Begin to take connections."""
        self._socket.settimeout(0)
        self._socket.listen(_BACKLOG)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Take no more connections, and end those that have not shaken hands."""
        tasks = [*self._shaking_hands, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._socket.close()

    def report_failed(self) -> None:
        """Log how many handshakes came to nothing since the last call."""
        if self._failed_count:
            self._admission.note_dropped("no TLS handshake", self._failed_count, None)
            self._failed_count = 0

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._socket)
            except ConnectionError:
                continue  # it has gone again before we looked
            except OSError as error:  # out of file descriptors
                log.error("connection_not_accepted", error=str(error))
                await asyncio.sleep(_PAUSE_AFTER_ERROR_S)
                continue
            host = unmapped(address[0])
            if not self._admission.admit(host, self._standing() + len(self._shaking_hands)):
                accepted.close()
                continue
            task = loop.create_task(self._shake_hands(accepted, host))
            self._shaking_hands.add(task)
            task.add_done_callback(self._shaking_hands.discard)

    async def _shake_hands(self, accepted: socket.socket, host: str) -> None:
        """Hold a place for a connection till its protocol takes one of its own."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._make_protocol, accepted, ssl=self._context, ssl_handshake_timeout=_HANDSHAKE_S
            )
        except OSError:  # it speaks no TLS, has ended or reset the connection, or says nothing at all
            self._failed_count += 1
        finally:
            self._admission.leave(host)
