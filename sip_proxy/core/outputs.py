"""What the core hands out: messages to send, facts to keep, and things that happened.

The driver takes outputs in order. Facts to keep (`CallSaved`, `CallRecorded`, `BindingsChanged`) go to the
journal; a `Send` with `after_journal` must not leave before every fact handed out earlier is committed there.
That is what makes "billed exactly once" survive `kill -9`: the peer is told only what the journal knows.

Those that come up in every call are plain classes, not even frozen: making one costs a tenth of a tuple with
names when compiled, and that a third of a frozen dataclass.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from sip_proxy.core.dialog.call_record import CallRecord
from sip_proxy.core.flow import Destination, Flow


class Send:
    """Send one whole SIP message.

    `after_journal`: not before all earlier facts are on disk. With `or_failure` it leaves all the same when
    they can't be written at present.
    """

    __slots__ = ("after_journal", "data", "or_failure", "to")

    def __init__(
        self, to: Flow | Destination, data: bytes, after_journal: bool = False, or_failure: bool = False
    ) -> None:
        self.to = to
        self.data = data
        self.after_journal = after_journal
        self.or_failure = or_failure


class LiveCallState(Enum):
    """What a live call is doing."""

    INVITING = "inviting"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"

    # As for `Transport`: else every look-up in the table of states makes a hash of the name.
    __hash__ = object.__hash__


class LiveCall(NamedTuple):
    """A call as an administrator sees it. `id` is the `record_id` of the record that it will become."""

    id: str
    call_id: str
    caller: str
    callee: str
    state: LiveCallState
    emergency: bool
    invited_at: float
    ringing_at: float | None
    answered_at: float | None


class CallChanged(NamedTuple):
    """A call appeared, changed its state, or ended."""

    call: LiveCall


class CallSaved:
    """Keep this call for a restart: `state` is all that `Engine.restore_call` needs (`save_call`)."""

    __slots__ = ("record_id", "state")

    def __init__(self, record_id: str, state: str) -> None:
        self.record_id = record_id
        self.state = state

    def __repr__(self) -> str:
        # The log may be the last place where it is to be found.
        return f"saved call {self.record_id}: {self.state!r}"


class CallRecorded:
    """Keep this record for billing; from then on the saved call, if there is one, is over."""

    __slots__ = ("record",)

    def __init__(self, record: CallRecord) -> None:
        self.record = record

    def __repr__(self) -> str:
        return repr(self.record)


class Registration(NamedTuple):
    """One binding of a number, as an administrator sees it. Instants are on the wall clock.

    `in_service` is False after failed tests (`PhoneTested`); `Engine.with_test_results` knows it.
    """

    number: str
    contact: str
    transport: str
    source: str
    user_agent: str
    registered_at: float
    expires_at: float
    in_service: bool = True


NO_BINDINGS: Final = "[]"
"""The `BindingsChanged.state` of a number that has none left: there is nothing to keep."""


class BindingsChanged(NamedTuple):
    """A number's bindings are now these.

    `registrations` are left out while nobody watches. `state` is all that `Engine.restore_bindings` needs
    (JSON text).
    """

    number: str
    registrations: tuple[Registration, ...]
    state: str


class PhoneTested(NamedTuple):
    """A phone was sent OPTIONS, and this came of it.

    `status` is that of its answer; 408 for none in time and 503 for no way to the phone come from us, with
    `ok` False and no round-trip time. `at` is on the wall clock. While not `in_service`, calls don't ring
    this phone.
    """

    number: str
    contact: str
    ok: bool
    status: int
    round_trip_s: float | None
    at: float
    in_service: bool


class SecurityEventKind(Enum):
    """What an operator would want to see in a log of abuse."""

    WRONG_PASSWORD = "wrong_password"
    REPLAYED_NONCE = "replayed_nonce"
    MALFORMED_MESSAGE = "malformed_message"
    FORBIDDEN_IDENTITY = "forbidden_identity"
    FOREIGN_DOMAIN = "foreign_domain"
    LOCKED_OUT = "locked_out"
    SCANNER = "scanner"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """Something that may be an attack: one log line each, never with a secret in it."""

    kind: SecurityEventKind
    flow: Flow
    number: str
    detail: str


Output = Send | CallChanged | CallSaved | CallRecorded | BindingsChanged | PhoneTested | SecurityEvent
