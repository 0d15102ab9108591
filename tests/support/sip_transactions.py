"""A transaction layer with a clock that tests move, and the messages that go through it."""

from dataclasses import dataclass, field

from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import Output, Send
from sip_proxy.core.transaction.client import ClientTransaction, RequestFailure
from sip_proxy.core.transaction.layer import TransactionLayer
from sip_proxy.core.transaction.server import ServerTransaction
from sip_proxy.core.transaction.timers import TimerQueues, TimerValues

T1 = 0.5
UDP = Flow(Transport.UDP, ("198.51.100.1", 5060), ("192.0.2.1", 5060))
TCP = Flow(Transport.TCP, ("198.51.100.1", 5060), ("192.0.2.1", 5060), 7)
OTHER_TCP = TCP._replace(connection=8)


def request(method: str, *, branch: str = "z9hG4bKtest", host: str = "192.0.2.1", via: str = "") -> Request:
    """A request as it goes over the wire."""
    via = via or f"SIP/2.0/UDP {host}:5060;branch={branch}"
    lines = [
        f"{method} sip:0002@198.51.100.1 SIP/2.0",
        f"Via: {via}",
        "Via: SIP/2.0/UDP below;branch=z9hG4bKbelow",
        "Route: <sip:edge.example;lr>",
        "Max-Forwards: 69",
        "From: <sip:0001@h>;tag=1",
        "To: <sip:0002@h>",
        "Call-ID: c",
        f"CSeq: 7 {method}",
        "Content-Length: 0",
    ]
    parsed = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    parsed.check()
    assert isinstance(parsed, Request)
    return parsed


def response(status: int, method: str, *, branch: str = "z9hG4bKtest", tag: str = "t") -> Response:
    """A response to it."""
    lines = [
        f"SIP/2.0 {status} Phrase",
        f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch={branch}",
        "From: <sip:0001@h>;tag=1",
        f"To: <sip:0002@h>;tag={tag}",
        "Call-ID: c",
        f"CSeq: 7 {method}",
        "Content-Length: 0",
    ]
    parsed = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    parsed.check()
    assert isinstance(parsed, Response)
    return parsed


@dataclass
class Bench:
    """A layer, a clock, and whatever the owner of a client transaction was told."""

    now: float = 100.0
    outputs: list[Output] = field(default_factory=list)
    timers: TimerQueues = field(default_factory=TimerQueues)
    told: list[int | RequestFailure] = field(default_factory=list)
    ended: int = 0

    def __post_init__(self) -> None:
        self.layer = TransactionLayer(values=TimerValues(), timers=self.timers, outputs=self.outputs)

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        self.told.append(response.status)

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        self.told.append(failure)

    def transaction_ended(self) -> None:
        self.ended += 1

    def client(self, method: str, to: Flow = UDP) -> ClientTransaction:
        """Send a request."""
        data = request(method).encode()
        return self.layer.start_client(method, data, branch="z9hG4bKtest", to=to, owner=self, now=self.now)

    def server(self, method: str, to: Flow = UDP) -> ServerTransaction:
        """Receive a request."""
        return self.layer.start_server(request(method), to)

    def advance(self, seconds: float) -> list[float]:
        """Let time pass; return when something was sent, counted from now."""
        began = self.now
        sent_at = []
        while (deadline := self.timers.next_deadline()) is not None and deadline <= began + seconds:
            self.now = deadline
            before = len(self.outputs)
            self.timers.expire(self.now)
            sent_at += [round(self.now - began, 3)] * (len(self.outputs) - before)
        self.now = began + seconds
        return sent_at

    def sent(self) -> list[str]:
        """The start lines of what was sent since the last look."""
        lines = [
            output.data.split(b"\r\n")[0].decode() for output in self.outputs if isinstance(output, Send)
        ]
        self.outputs.clear()
        return lines
