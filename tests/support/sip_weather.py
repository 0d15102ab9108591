"""An exchange with a network that loses, doubles and reorders, a journal that lags behind, and honest phones.

Nothing arrives by itself: every packet is in flight until somebody delivers or drops it, and every fact is
only in memory until somebody commits it. A kill forgets what was not committed; messages that had to wait
for the journal then never leave.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from sip_proxy.core.dialog.call_record import CallRecord
from sip_proxy.core.engine import Engine
from sip_proxy.core.flow import Flow
from sip_proxy.core.message.message import Request, Response
from sip_proxy.core.message.parser import parse_message
from sip_proxy.core.outputs import (
    BindingsChanged,
    CallChanged,
    CallRecorded,
    CallSaved,
    LiveCallState,
    Send,
)
from tests.support.sip_phones import Attempt, Exchange, Phone, callee_request, destination

Fact = CallSaved | CallRecorded | BindingsChanged


@dataclass(frozen=True)
class Packet:
    """A message on its way: from the phone, or to it."""

    phone: "HonestPhone"
    data: bytes
    is_to_phone: bool


@dataclass
class StormyExchange(Exchange):
    """The exchange of the tests, behind a network and in front of a journal."""

    is_calm: bool = True  # everything arrives at once
    wire: list[Packet] = field(default_factory=list)
    uncommitted: list[Fact] = field(default_factory=list)
    durable: list[Fact] = field(default_factory=list)
    held: list[tuple[int, Send]] = field(default_factory=list)
    processes: int = 0
    begun: Counter[str] = field(default_factory=Counter)
    heard_at: defaultdict[str, set[float]] = field(default_factory=lambda: defaultdict(set))
    recorded: list[tuple[float, CallRecord]] = field(default_factory=list)

    def receive(self, data: bytes, flow: Flow) -> None:
        message = parse_message(data)
        message.check()
        self.heard_at[message.call_id].add(self.now)
        super().receive(data, flow)

    def deliver(self) -> None:
        """Send what may leave, keep what must be kept, hold what must wait."""
        for output in self.engine.take_outputs():
            self.outputs.append(output)
            if isinstance(output, CallSaved | CallRecorded | BindingsChanged):
                self.uncommitted.append(output)
                if isinstance(output, CallRecorded):
                    self.recorded.append((self.now, output.record))
            elif isinstance(output, Send):
                if output.after_journal and self.uncommitted:
                    self.held.append((len(self.durable) + len(self.uncommitted), output))
                else:
                    self._leave(output)
            elif isinstance(output, CallChanged) and output.call.state is LiveCallState.INVITING:
                self.begun[output.call.call_id] += 1

    def commit(self, count: int) -> None:
        """The journal has written the next facts; what waited for them leaves."""
        self.durable += self.uncommitted[:count]
        del self.uncommitted[:count]
        while self.held and self.held[0][0] <= len(self.durable):
            self._leave(self.held.pop(0)[1])

    def make_engine(self, seed: int = 1) -> Engine:
        """No two processes draw the same identifiers."""
        self.processes += 1
        return super().make_engine(seed=self.processes)

    def kill(self) -> None:
        """`kill -9`, and a new start from what the journal has."""
        self.uncommitted.clear()
        self.held.clear()
        self.outputs = list(self.durable)
        self.restart()

    def arrive(self, packet: Packet) -> None:
        """A packet reaches its end."""
        if packet.is_to_phone:
            packet.phone.take(packet.data)
        else:
            self.receive(packet.data, packet.phone.flow)

    def durable_records(self, call_id: str = "") -> list[CallRecord]:
        """The records on disk, of one call or of all."""
        return [
            fact.record
            for fact in self.durable
            if isinstance(fact, CallRecorded) and call_id in {"", fact.record.call_id}
        ]

    def _leave(self, send: Send) -> None:
        phone = self.phones.get((send.to.transport, *destination(send.to)))
        assert isinstance(phone, HonestPhone), f"to nobody: {send}"
        if self.is_calm:
            phone.take(send.data)
        else:
            self.wire.append(Packet(phone, send.data, is_to_phone=True))


class HonestPhone(Phone):
    """A phone that answers what it must, and acknowledges every answer; the rest it is told to do."""

    def __init__(self, exchange: StormyExchange, number: str, tag: str) -> None:
        super().__init__(exchange, number)
        self.storm = exchange
        self.tag = tag
        self.has_power = True
        self.attempts: dict[str, Attempt] = {}
        self.in_call: set[str] = set()
        self.answered: set[str] = set()  # its own calls that somebody answered
        self.finals: dict[str, bytes] = {}  # its final answers to INVITEs, by Call-ID
        exchange.phones[self.key] = self
        self.register()
        exchange.commit(len(exchange.uncommitted))
        assert self.responses("REGISTER")[-1].status == 200

    def send(self, data: bytes) -> None:
        if not self.has_power:
            return
        if not self.storm.is_calm:
            self.storm.wire.append(Packet(self, data, is_to_phone=False))
        else:
            super().send(data)

    def take(self, data: bytes) -> None:
        if not self.has_power:
            return
        super().take(data)
        message = self.inbox[-1]
        if not self.storm.is_calm:
            if isinstance(message, Request):
                self._serve(message)
            elif message.cseq_method == "INVITE" and message.status >= 200:
                self._acknowledge(message)

    def call(self, callee: str) -> Attempt:
        """Call somebody; the INVITE with the right credentials is in flight."""
        attempt = Attempt(
            self,
            method="INVITE",
            uri=f"sip:{callee}@tollbell.local",
            call_id=f"{self.tag}-{len(self.attempts)}@storm",
            from_tag=f"from{len(self.attempts)}",
            from_uri="",
        )
        was_calm, self.storm.is_calm = self.storm.is_calm, True
        attempt.send()
        (challenged,) = attempt.responses
        self.send(attempt.ack_of(challenged))
        self.storm.is_calm = was_calm
        attempt.send(headers=(self.credentials(challenged, "INVITE", attempt.uri),))
        self.attempts[attempt.call_id] = attempt
        return attempt

    def invites(self) -> list[Request]:
        """The first INVITEs of the calls that it got."""
        return [invite for invite in self.requests("INVITE") if not invite.to_tag]

    def reply(self, invite: Request, status: int) -> None:
        """Answer the INVITE of a call; a final answer is given once, and then only repeated."""
        final = self.finals.get(invite.call_id)
        if final is not None:
            self.send(final)
            return
        data = self.answer(invite, status, tag=self.tag)
        if status >= 200:
            self.finals[invite.call_id] = data
        if 200 <= status < 300:
            self.in_call.add(invite.call_id)

    def hang_up(self, invite: Request, cseq: int) -> None:
        """Send a BYE as the called side."""
        self.in_call.discard(invite.call_id)
        self.send(callee_request(self, invite, "BYE", cseq=cseq, tag=self.tag))

    def heard_answer(self, attempt: Attempt) -> bool:
        """Whether it was told that its call is answered."""
        return any(
            response.status == 200 and response.call_id == attempt.call_id
            for response in self.responses("INVITE")
        )

    def _serve(self, request: Request) -> None:
        if request.method == "BYE":
            self.in_call.discard(request.call_id)
            self.answer(request, 200)
        elif request.method == "CANCEL":
            self.answer(request, 200, tag=self.tag)
            for invite in self.invites():
                if invite.call_id == request.call_id and invite.call_id not in self.finals:
                    self.reply(invite, 487)
        elif request.method in {"OPTIONS", "INFO"} or (request.method == "INVITE" and request.to_tag):
            self.answer(request, 200 if request.call_id in self.in_call else 481)
        elif request.method == "INVITE" and request.call_id in self.finals:
            self.send(self.finals[request.call_id])

    def _acknowledge(self, response: Response) -> None:
        attempt = self.attempts.get(response.call_id)
        if attempt is None or response.cseq < 2 or response.status == 407:
            return
        if response.status >= 300:
            self.send(attempt.ack_of(response))
            return
        if response.call_id not in self.answered:
            self.answered.add(response.call_id)
            self.in_call.add(response.call_id)
        self.send(attempt.in_dialog("ACK", cseq=response.cseq))
