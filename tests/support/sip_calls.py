"""A call between two phones, brought to the state that a test starts from."""

from sip_proxy.core.flow import Transport
from tests.support.sip_phones import Attempt, Exchange, Phone, callee_request


class AnsweredCall:
    """0001 has called 0002, who answered after 4 seconds of ringing."""

    def __init__(
        self,
        exchange: Exchange | None = None,
        *,
        acknowledged: bool = True,
        caller_transport: Transport = Transport.UDP,
        callee_transport: Transport = Transport.UDP,
    ) -> None:
        self.exchange = exchange or Exchange()
        self.caller: Phone = self.exchange.phone("0001", transport=caller_transport)
        self.callee: Phone = self.exchange.phone("0002", transport=callee_transport)
        self.attempt: Attempt = self.caller.invite("0002")
        self.invite = self.callee.request("INVITE")
        self.exchange.advance(0.1)
        self.callee.answer(self.invite, 180)
        self.exchange.advance(4)
        self.ok = self.callee.answer(self.invite, 200)
        self.answered_at = self.exchange.now
        if acknowledged:
            self.exchange.advance(0.05)
            self.attempt.ack()

    def callee_sends(self, method: str, *, cseq: int = 1, branch: str = "") -> bytes:
        """The called side sends a request in the dialog."""
        data = callee_request(self.callee, self.invite, method, cseq=cseq, branch=branch)
        self.callee.send(data)
        return data
