"""Requests that the exchange itself sends within a dialog, in the name of the other side."""

from typing import Final

from sip_proxy.core.dialog.party import Party, build_dialog_request
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.hops import Hops
from sip_proxy.core.message.message import HIGHEST_CSEQ, Response
from sip_proxy.core.outputs import Send
from sip_proxy.core.transaction.client import ClientTransaction, RequestFailure, ResponseTaker

# A party may have used CSeq numbers that we haven't seen, or that were not saved before a restart; a request
# in its name must have a higher one (RFC 3261 §12.2.1.1).
_CSEQ_MARGIN: Final = 1000
_OUT_OF_ORDER: Final = 500  # §12.2.2


class OwnRequests:
    """Sends requests to one side of a dialog that look to it like the other side's."""

    __slots__ = ("_exchange", "_hops")

    def __init__(self, exchange: Exchange, hops: Hops) -> None:
        self._exchange = exchange
        self._hops = hops

    def send_bye(
        self, call_id: str, sender: Party, receiver: Party, now: float, *, headers: list[str]
    ) -> None:
        """Send a BYE to one side in the name of the other (§15.1.1)."""
        cseq = min(sender.cseq + _CSEQ_MARGIN, HIGHEST_CSEQ)
        self.send_bye_with(cseq, call_id, sender, receiver, now, headers=headers)

    def send_bye_with(
        self, cseq: int, call_id: str, sender: Party, receiver: Party, now: float, *, headers: list[str]
    ) -> None:
        """Send a BYE with this CSeq number."""
        sender.cseq = cseq
        to = self._reach(receiver, now)
        bye = _Bye(self, call_id, sender, receiver, headers)
        self._start("BYE", call_id, sender, receiver, to, headers, bye, now)

    def send_question(
        self, call_id: str, sender: Party, receiver: Party, owner: ResponseTaker, now: float
    ) -> None:
        """Ask one side whether it is in this call; nothing is sent to a phone that can't be reached.

        By an empty INFO, which must be refused with 481 outside of a call (RFC 2976 §2.2) and says nothing
        within one. OPTIONS won't do: baresip and JsSIP answer it 200 whether there is such a call or not.

        The CSeq number is the last one that the sender itself used. A higher one would make its next request
        look out of order (§12.2.2). Phones that want it higher answer 500, and that is an answer.
        """
        to = self._hops.reach_party(receiver, now)
        if to is not None:
            self._start("INFO", call_id, sender, receiver, to, [], owner, now)

    def send_ack(self, call_id: str, sender: Party, receiver: Party, cseq: int, now: float) -> None:
        """Acknowledge a 2xx in the name of the caller (§13.2.2.4)."""
        to = self._reach(receiver, now)
        branch = self._exchange.identifiers.branch("")
        via = self._hops.via(to, branch)
        request = build_dialog_request(
            "ACK", call_id=call_id, sender=sender, receiver=receiver, cseq=cseq, via=via, headers=[]
        )
        self._exchange.emit(Send(to, request))

    def _reach(self, receiver: Party, now: float) -> Flow | Destination:
        return self._hops.reach_party(receiver, now) or receiver.flow

    def _start(
        self,
        method: str,
        call_id: str,
        sender: Party,
        receiver: Party,
        to: Flow | Destination,
        headers: list[str],
        owner: ResponseTaker,
        now: float,
    ) -> None:
        branch = self._exchange.identifiers.branch("")
        request = build_dialog_request(
            method,
            call_id=call_id,
            sender=sender,
            receiver=receiver,
            cseq=sender.cseq,
            via=self._hops.via(to, branch),
            headers=headers,
        )
        self._exchange.layer.start_client(method, request, branch=branch, to=to, owner=owner, now=now)


class _Bye:
    """A BYE of ours on its way. One that comes out of order is sent again with the highest number there is.

    Its supposed sender may have used numbers that never came by here: before a restart that did not know of
    them, or straight to the other phone's address, to make it deaf to us. The record of the call is closed,
    so nobody must be able to talk on for that.
    """

    __slots__ = ("_call_id", "_headers", "_receiver", "_requests", "_sender")

    def __init__(
        self, requests: OwnRequests, call_id: str, sender: Party, receiver: Party, headers: list[str]
    ) -> None:
        self._requests = requests
        self._call_id = call_id
        self._sender = sender
        self._receiver = receiver
        self._headers = headers

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """See whether it was taken."""
        sender = self._sender
        if response.status == _OUT_OF_ORDER and sender.cseq < HIGHEST_CSEQ:
            self._requests.send_bye_with(
                HIGHEST_CSEQ, self._call_id, sender, self._receiver, now, headers=self._headers
            )

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        """Nobody is there."""

    def transaction_ended(self) -> None:
        """Nothing to forget."""
