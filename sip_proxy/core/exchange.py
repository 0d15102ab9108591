"""What all parts of the core share: settings, directory, clock offset, timers, outputs."""

from collections.abc import Callable, Iterable
from typing import Final

from sip_proxy.core.configuration import EngineConfig
from sip_proxy.core.directory import Directory
from sip_proxy.core.flow import Flow, Transport
from sip_proxy.core.identifiers import Identifiers
from sip_proxy.core.message.building import build_response, explanation
from sip_proxy.core.message.message import Request
from sip_proxy.core.outputs import Output, SecurityEvent, SecurityEventKind, Send
from sip_proxy.core.rejection import Rejection
from sip_proxy.core.transaction.layer import TransactionLayer
from sip_proxy.core.transaction.timers import TimerQueues, TimerValues

_DEFAULT_PORT: Final = 5060
_UDP: Final = Transport.UDP


class Exchange:
    """The common ground of registrar, router and calls."""

    __slots__ = (
        "config",
        "directory",
        "identifiers",
        "is_watched",
        "journal_available",
        "layer",
        "online",
        "open_flows",
        "outputs",
        "timers",
        "wall_offset",
    )

    def __init__(
        self, *, config: EngineConfig, directory: Directory, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.config = config
        self.directory = directory
        self.wall_offset = 0.0
        self.journal_available = True
        self.online = True
        self.is_watched = True
        self.outputs: list[Output] = []
        self.timers = TimerQueues()
        self.identifiers = Identifiers(random_bytes)
        self.open_flows: set[Flow] = set()
        values = TimerValues(t1_s=config.t1_s, t2_s=config.t2_s, t4_s=config.t4_s, timer_c_s=config.timer_c_s)
        self.layer = TransactionLayer(values=values, timers=self.timers, outputs=self.outputs)

    def wall(self, now: float) -> float:
        """Return the wall-clock instant for an instant of the monotonic clock."""
        return now + self.wall_offset

    def emit(self, output: Output) -> None:
        """Hand something out."""
        self.outputs.append(output)

    def report(self, kind: SecurityEventKind, flow: Flow, number: str, detail: str) -> None:
        """Hand out a security event."""
        self.outputs.append(SecurityEvent(kind, flow, number, detail))

    def is_open(self, flow: Flow) -> bool:
        """Tell whether messages can be sent on a flow: always on UDP, else while its connection lives."""
        return not flow.transport.is_reliable or flow in self.open_flows

    def response_to_tag(self, request: Request) -> str:
        """The To tag of our own responses to a request: the same for every copy of it (RFC 3261 §8.2.7)."""
        branch = request.via.branch if request.via is not None else ""
        return self.identifiers.repeatable_tag(branch, request.call_id, request.cseq)

    def response(
        self, request: Request, status: int, *, reason: str = "", headers: Iterable[str] = ()
    ) -> bytes:
        """Build a final response of our own."""
        tag = "" if request.to_tag else self.response_to_tag(request)
        return build_response(request, status, reason=reason, to_tag=tag, headers=headers)

    def trying(self, request: Request) -> bytes:
        """Build the 100 that stops the caller's retransmissions (§17.2.1)."""
        return build_response(request, 100)

    def rejection(self, request: Request, rejection: Rejection) -> bytes:
        """Build the response for a refusal, with the text for people in `Warning` and `Reason`."""
        cause = None if rejection.cause is None else int(rejection.cause)
        headers = [*rejection.headers, *explanation(self.config.domain, rejection.text, cause)]
        return self.response(request, rejection.status, reason=rejection.text, headers=headers)

    def answer(
        self, request: Request, flow: Flow, status: int, *, reason: str = "", headers: Iterable[str] = ()
    ) -> None:
        """Answer without a transaction: a copy of the request would be answered alike (RFC 3261 §8.2.7)."""
        data = self.response(request, status, reason=reason, headers=headers)
        self.outputs.append(Send(reply_flow(request, flow), data))

    def refuse(self, request: Request, flow: Flow, rejection: Rejection) -> None:
        """Refuse without a transaction. Nobody answers an ACK, so it is dropped."""
        if request.method != "ACK":
            self.outputs.append(Send(reply_flow(request, flow), self.rejection(request, rejection)))


def comes_directly(request: Request, flow: Flow) -> bool:
    """Tell whether a request came over one hop without NAT: its Via names the address that we see.

    On TCP the port is left out of that, because a connection comes from any port. TLS and WebSocket phones
    don't take connections.
    """
    via = request.via
    if via is None or via.host.strip("[]") != flow.remote[0]:
        return False
    if flow.transport is _UDP:
        if (via.port or _DEFAULT_PORT) != flow.remote[1]:
            return False
    elif flow.transport is not Transport.TCP:
        return False
    return request.has_one_via()


def reply_flow(request: Request, flow: Flow) -> Flow:
    """Return where the responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4).

    On UDP without `rport` that is the port of sent-by, at the address that the request came from.
    """
    via = request.via
    if flow.transport.is_reliable or via is None or "rport" in via.parameters:
        return flow
    port = via.port or _DEFAULT_PORT
    return flow if port == flow.remote[1] else Flow(flow.transport, (flow.remote[0], port), flow.local)
