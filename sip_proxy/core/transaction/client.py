"""Client transactions: what the INVITE and the non-INVITE machine share."""

from enum import Enum, IntEnum
from typing import Final, Protocol

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.message.message import Response
from sip_proxy.core.outputs import Send
from sip_proxy.core.transaction.machine import Machine, Surroundings, Table


class ClientState(IntEnum):
    """States of RFC 3261 figures 5 and 6 and RFC 6026 §8.4."""

    CALLING = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    ACCEPTED = 4
    TERMINATED = 5


class ClientEvent(IntEnum):
    """What happens to a client transaction."""

    PROVISIONAL = 0
    SUCCESS = 1
    FAILURE = 2
    RESEND = 3  # timer A or E
    TIMEOUT = 4  # timer B or F
    LINGERED = 5  # timer D or M
    TRANSPORT_ERROR = 6


_FAILURE: Final = ClientEvent.FAILURE
# By the class of a response. (What comes up in every call has a name of its own, here and elsewhere: Python
# takes ten times as long to find a member by its enum.)
_EVENT_OF: Final[tuple[ClientEvent, ...]] = (
    _FAILURE, ClientEvent.PROVISIONAL, ClientEvent.SUCCESS, _FAILURE, _FAILURE, _FAILURE, _FAILURE,
)  # fmt: skip
_RESEND: Final = ClientEvent.RESEND


class RequestFailure(Enum):
    """Why no final response will come, as the status that stands for it (RFC 3261 §16.8, §16.9)."""

    TIMEOUT = 408
    TRANSPORT_ERROR = 503


class ResponseTaker(Protocol):
    """Who is told what becomes of a request."""

    def response_received(self, transaction: "ClientTransaction", response: Response, now: float) -> None:
        """A response came; of a final other than 2xx only the first is reported, of 2xx every one."""

    def request_failed(self, transaction: "ClientTransaction", failure: RequestFailure, now: float) -> None:
        """No final response will come."""

    def transaction_ended(self) -> None:
        """The transaction is over and can be forgotten."""


class ClientTransaction(Machine):
    """A request that we sent.

    `data` is what goes out when something is to be sent again: the request, after a final response other than
    2xx the ACK, after any other nothing. A transaction lives on for half a minute then.
    """

    __slots__ = ("data", "method", "owner", "response", "response_seen")

    def __init__(
        self,
        key: str,
        layer: Surroundings,
        to: Flow | Destination,
        table: Table,
        state: ClientState,
        method: str,
        data: bytes,
        owner: ResponseTaker,
    ) -> None:
        self.key = key
        self.layer = layer
        self.to = to
        self.table = table
        self.state = state
        self.interval_s = layer.values.t1_s
        self.resend_timer = self.end_timer = None
        self.method = method
        self.data = data
        self.owner = owner
        self.response: Response | None = None
        self.response_seen = False

    def receive(self, response: Response, now: float) -> None:
        """Take a response that was matched to this transaction (§17.1.3)."""
        self.response = response
        self.response_seen = True
        self.fire(_EVENT_OF[response.status // 100], now)
        self.response = None

    @property
    def branch(self) -> str:
        """The branch in our Via."""
        return self.key.partition(" ")[0]

    def start(self, now: float) -> None:
        """Send the request. On unreliable transports timer A or E starts, and with its first end B or F.

        Nearly every request is answered before that, so one timer will do for both.
        """
        self.send(now)
        if self.to.transport.is_reliable:
            self.start_end(self.layer.values.transaction_timeout_s, ClientEvent.TIMEOUT, now)
        else:
            self.start_resend(self.interval_s, _RESEND, now)

    def send_again(self, now: float) -> None:
        """Send the request once more, as timer A or E says."""
        self.send(now)
        if self.end_timer is None:
            values = self.layer.values
            self.start_end(values.transaction_timeout_s - values.t1_s, ClientEvent.TIMEOUT, now)

    def send(self, now: float) -> None:
        """Send the request, or send it again; or again the ACK."""
        self.layer.outputs.append(Send(self.to, self.data))

    def forget_request(self, now: float) -> None:
        """The final response was reported: nothing is sent any more."""
        self.data = b""

    def let_go(self) -> None:
        """Tell the owner that the transaction is over."""
        self.owner.transaction_ended()

    def report_response(self, now: float) -> None:
        """Hand the response to the owner."""
        assert self.response is not None
        self.owner.response_received(self, self.response, now)

    def report_timeout(self, now: float) -> None:
        """Tell the owner that nobody answered."""
        self.owner.request_failed(self, RequestFailure.TIMEOUT, now)

    def report_transport_error(self, now: float) -> None:
        """Tell the owner that the request could not be sent."""
        self.owner.request_failed(self, RequestFailure.TRANSPORT_ERROR, now)


class _Nobody:
    """Takes the responses to requests of our own: whatever they say, there is nothing left to do."""

    __slots__ = ()

    def response_received(self, transaction: ClientTransaction, response: Response, now: float) -> None:
        """Nothing depends on it."""

    def request_failed(self, transaction: ClientTransaction, failure: RequestFailure, now: float) -> None:
        """Nothing depends on it."""

    def transaction_ended(self) -> None:
        """Nothing to forget."""


NOBODY: Final = _Nobody()
