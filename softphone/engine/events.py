"""What the engine tells the phone: past-tense facts, in the order in which they happened."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CallState(Enum):
    """Where a call is. `IncomingCall` announces one that rings here, before any of these."""

    CALLING = "calling"  # the INVITE is on its way
    RINGING = "ringing"  # the far end rings (180, 183)
    CONNECTING = "connecting"  # answered, the ACK is on its way
    CONNECTED = "connected"
    ENDED = "ended"  # the last event of a call


@dataclass(frozen=True, slots=True)
class Started:
    """The sockets are open: other phones can call `sip:anything@address:port`."""

    address: str
    port: int
    library: str


@dataclass(frozen=True, slots=True)
class Registered:
    """The exchange has the number's contact for `expires_s` seconds; it is refreshed before that."""

    number: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class RegistrationFailed:
    """The registration failed or was lost. `retrying` says whether the engine goes on trying by itself."""

    number: str
    status: int
    reason: str
    retrying: bool


@dataclass(frozen=True, slots=True)
class Unregistered:
    """The exchange has removed the number's contact, as it was asked to."""

    number: str


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A call rings here (180 was sent); the engine chose its name."""

    call: str
    number: str
    display_name: str
    uri: str


@dataclass(frozen=True, slots=True)
class CallStateChanged:
    """A call moved on. `status` and `reason` are those of the last SIP response; `detail` is what the
    refusal's `Reason` or `Warning` header says for a person to read, or "".
    """

    call: str
    state: CallState
    status: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MediaStarted:
    """Sound flows both ways, with this codec."""

    call: str
    codec: str
    clock_rate_hz: int


@dataclass(frozen=True, slots=True)
class CallMoved:
    """The far end transferred this phone: `to` is the new call, which makes its way by itself.

    The old one ends when the far end hangs up.
    """

    call: str
    to: str


@dataclass(frozen=True, slots=True)
class TransferProgressed:
    """What the far end says of the call that it was asked to make (the NOTIFY of RFC 3515 §2.4.5)."""

    call: str
    status: int
    reason: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    """The far end pressed a key (RFC 4733)."""

    call: str
    digit: str


@dataclass(frozen=True, slots=True)
class PlayingFinished:
    """A file that was not to be repeated came to its end."""

    path: str


@dataclass(frozen=True, slots=True)
class RecordingStopped:
    """The recording is whole and closed."""

    path: str


@dataclass(frozen=True, slots=True)
class CommandFailed:
    """A command could not be carried out; nothing was changed by it."""

    command: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine has shut down as it was told to."""


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine process ended without being told to. Made by the parent side; the last event of all."""

    exit_code: int | None
    reason: str


Event = (
    Started
    | Registered
    | RegistrationFailed
    | Unregistered
    | IncomingCall
    | CallStateChanged
    | MediaStarted
    | CallMoved
    | TransferProgressed
    | DtmfReceived
    | PlayingFinished
    | RecordingStopped
    | CommandFailed
    | Stopped
    | EngineFailed
)
