"""The transaction layer: which transaction does a message belong to (RFC 3261 §17.1.3, §17.2.3)."""

from typing import Final

from sip_proxy.core.flow import Destination, Flow, Transport
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.outputs import Output, Send
from sip_proxy.core.transaction.client import ClientEvent, ClientState, ClientTransaction, ResponseTaker
from sip_proxy.core.transaction.invite_client import INVITE_CLIENT
from sip_proxy.core.transaction.invite_server import INVITE_SERVER
from sip_proxy.core.transaction.machine import Machine, Surroundings
from sip_proxy.core.transaction.non_invite_client import NON_INVITE_CLIENT
from sip_proxy.core.transaction.non_invite_server import NON_INVITE_SERVER
from sip_proxy.core.transaction.server import ServerEvent, ServerState, ServerTransaction
from sip_proxy.core.transaction.timers import TimerQueues, TimerValues

# Tables, and the states that they begin in.
_INVITE_SENT: Final = (INVITE_CLIENT, ClientState.CALLING)
_OTHER_SENT: Final = (NON_INVITE_CLIENT, ClientState.TRYING)
_INVITE_SERVED: Final = (INVITE_SERVER, ServerState.PROCEEDING)
_OTHER_SERVED: Final = (NON_INVITE_SERVER, ServerState.TRYING)
_UDP: Final = Transport.UDP


class TransactionLayer(Surroundings):
    """All transactions that are going on."""

    __slots__ = ("_clients", "_on_connections", "_servers")

    def __init__(self, *, values: TimerValues, timers: TimerQueues, outputs: list[Output]) -> None:
        self.values = values
        self.timers = timers
        self.outputs = outputs
        self._servers: dict[str, ServerTransaction] = {}
        self._clients: dict[str, ClientTransaction] = {}
        # Those that don't send over UDP, by where: thousands of connections may break at once, and nobody can
        # be served while for each of them all transactions are looked through.
        self._on_connections: dict[Flow | Destination, dict[Machine, None]] = {}

    def find_server(self, request: Request, method: str) -> ServerTransaction | None:
        """Return the transaction that a request belongs to, were its method this one.

        The method of an ACK or CANCEL is that of the INVITE it speaks about.
        """
        via = request.via
        assert via is not None
        return self._servers.get(server_key(via.branch, via.sent_by, method))

    def start_server(self, request: Request, reply_to: Flow) -> ServerTransaction:
        """Start a transaction for a request that belongs to none."""
        via = request.via
        assert via is not None
        key = server_key(via.branch, via.sent_by, request.method)
        table, state = _INVITE_SERVED if request.method == "INVITE" else _OTHER_SERVED
        transaction = ServerTransaction(key, self, reply_to, table, state)
        self._servers[key] = transaction
        if reply_to.transport is not _UDP:
            self._on_connections.setdefault(reply_to, {})[transaction] = None
        return transaction

    def server_with(self, key: str) -> ServerTransaction | None:
        """Return the server transaction with a key of `server_key`."""
        return self._servers.get(key)

    def completed(self, key: str, send: Send, reply_to: Flow, now: float) -> None:
        """Send the final answer to a request other than INVITE; keep it for copies of the request (§17.2.2).

        This is for unreliable transports, and does what `start_server` and `respond` would do.
        """
        transaction = ServerTransaction(key, self, reply_to, NON_INVITE_SERVER, ServerState.COMPLETED)
        transaction.last_send = send
        transaction.end_timer = self.timers.start(
            self.values.transaction_timeout_s, transaction, ServerEvent.LINGERED, now
        )
        self._servers[key] = transaction
        self.outputs.append(send)

    def start_client(
        self,
        method: str,
        data: bytes,
        *,
        branch: str,
        to: Flow | Destination,
        owner: ResponseTaker,
        now: float,
    ) -> ClientTransaction:
        """Send a request whose topmost Via has this branch; the owner hears what becomes of it."""
        key = f"{branch} {method}"
        table, state = _INVITE_SENT if method == "INVITE" else _OTHER_SENT
        transaction = ClientTransaction(key, self, to, table, state, method, data, owner)
        self._clients[key] = transaction
        if to.transport is not _UDP:
            self._on_connections.setdefault(to, {})[transaction] = None
        transaction.start(now)
        return transaction

    def find_client(self, response: Response) -> ClientTransaction | None:
        """Return the transaction that a response belongs to; raises MalformedMessage when its Via is no Via.

        Nearly all phones give our Via back as we wrote it, with the branch at its end: that is looked for
        first, and needs no parsing.
        """
        line = response.lines[response.shape.via]
        transaction = self._clients.get(f"{line[line.rfind('=') + 1 :]} {response.cseq_method}")
        if transaction is None or "," in line:
            via = response.read_via()
            transaction = self._clients.get(f"{via.branch} {response.cseq_method}")
        return transaction

    def connection_lost(self, flow: Flow, now: float) -> None:
        """Tell every transaction that sends over this connection (§17.1.4, §17.2.4)."""
        for client in self._clients_on(flow):
            client.fire(ClientEvent.TRANSPORT_ERROR, now)
        for server in self._servers_on(flow):
            server.fire(ServerEvent.TRANSPORT_ERROR, now)

    def send_failed(self, data: bytes, to: Flow | Destination, now: float) -> None:
        """Tell the transaction whose message this is (§17.1.4, §17.2.4), and no other that sends there.

        Their messages may be shorter: anybody could send one that is too long for a datagram.
        """
        for client in [found for found in self._clients_on(to) if found.data == data and found.to == to]:
            client.fire(ClientEvent.TRANSPORT_ERROR, now)
        for server in [found for found in self._servers_on(to) if found.has_sent(data, to)]:
            server.fire(ServerEvent.TRANSPORT_ERROR, now)

    def forget(self, transaction: Machine) -> None:
        """The transaction is over."""
        table: dict[str, ClientTransaction] | dict[str, ServerTransaction]
        table = self._clients if isinstance(transaction, ClientTransaction) else self._servers
        if table.get(transaction.key) is transaction:
            del table[transaction.key]
        if transaction.to.transport is not _UDP:
            others = self._on_connections.get(transaction.to, {})
            others.pop(transaction, None)
            if not others:
                self._on_connections.pop(transaction.to, None)

    def _clients_on(self, to: Flow | Destination) -> list[ClientTransaction]:
        """Return the client transactions of a connection; of UDP all, as hardly anything fails there."""
        if to.transport is _UDP:
            return list(self._clients.values())
        return [each for each in self._on_connections.get(to, ()) if isinstance(each, ClientTransaction)]

    def _servers_on(self, to: Flow | Destination) -> list[ServerTransaction]:
        """Return the server transactions of a connection; of UDP all."""
        if to.transport is _UDP:
            return list(self._servers.values())
        return [each for each in self._on_connections.get(to, ()) if isinstance(each, ServerTransaction)]

    def __len__(self) -> int:
        return len(self._clients) + len(self._servers)


def server_key(branch: str, sent_by: str, method: str) -> str:
    """Branch, sent-by and method: what tells server transactions apart (§17.2.3)."""
    return f"{branch} {sent_by} {method}"
