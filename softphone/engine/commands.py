"""What the phone tells the engine to do. Each command is answered by events, never by a return value.

A command that cannot be carried out is answered by `CommandFailed` and changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from softphone.engine.sound import Side, Tone


class Transport(Enum):
    """What carries SIP between the phone and the exchange (RFC 3261 §18)."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class StartUp:
    """Open the sockets; must come first. Answered by `Started`.

    `bind_address` is the local IPv4 address for signalling and sound, "" for all of the machine's. `port` 0
    takes a free one.
    """

    bind_address: str = ""
    port: int = 0
    transport: Transport = Transport.UDP
    trace: bool = False  # log whole SIP messages (with digests and dialled keys)


@dataclass(frozen=True, slots=True)
class Register:
    """Register a number with an exchange and keep it registered (RFC 3261 §10), through its restarts too.

    Requests are addressed to `domain` and sent to `server` ("host:port"), so the domain needs no DNS entry.
    Answered by `Registered` or `RegistrationFailed`, again at every change.
    """

    number: str
    password: str
    server: str
    domain: str
    display_name: str = ""
    expires_s: int = 60

    def __repr__(self) -> str:  # the password must not reach a log
        return f"Register(number={self.number!r}, server={self.server!r}, domain={self.domain!r})"


@dataclass(frozen=True, slots=True)
class PlaceCall:
    """Call a number of the domain, or a whole SIP URI.

    `call` is a name chosen by the caller, new for each call.
    """

    call: str
    target: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer a ringing call (200)."""

    call: str


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse a ringing call with a status of 400 to 699: 486 for busy, 603 for declined."""

    call: str
    status: int = 486


@dataclass(frozen=True, slots=True)
class HangUp:
    """End a call in whatever state it is: CANCEL, BYE, or 603 to one that rings here."""

    call: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Put the far end on hold: a re-INVITE that stops its sound (RFC 3264 §8.4)."""

    call: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Take a call back from hold."""

    call: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Ask the far end to call somebody else instead (REFER, RFC 5589 §6): a blind transfer.

    `TransferProgressed` tells how it goes. This side's call goes on until it is hung up.
    """

    call: str
    target: str


@dataclass(frozen=True, slots=True)
class TransferToCall:
    """Connect the far ends of two calls with each other (REFER with Replaces, RFC 5589 §7)."""

    call: str
    other: str


@dataclass(frozen=True, slots=True)
class SendDtmf:
    """Send keys to the far end as RFC 4733 telephone events."""

    call: str
    digits: str
    duration_ms: int = 160


@dataclass(frozen=True, slots=True)
class PlayTone:
    """Play a tone, in place of what this side was playing. It begins when there is somebody to hear it."""

    tone: Tone
    side: Side = Side.CALL


@dataclass(frozen=True, slots=True)
class PlayWav:
    """Play a WAV file (16-bit PCM, mono) into the call, in place of what was being played.

    Ends with `PlayingFinished`.
    """

    path: str
    repeat: bool = False


@dataclass(frozen=True, slots=True)
class StopPlaying:
    """Stop the tone or file of one side."""

    side: Side = Side.CALL


@dataclass(frozen=True, slots=True)
class StartRecording:
    """Record what the earpiece hears into a WAV file (16-bit PCM, mono, 16 kHz), replacing the file."""

    path: str


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Finish the file. Answered by `RecordingStopped`, after which the file is whole."""


@dataclass(frozen=True, slots=True)
class ShutDown:
    """End calls, remove the registration, close everything. Answered by `Stopped`, then the process ends."""


SoundCommand = PlayTone | PlayWav | StopPlaying | StartRecording | StopRecording

Command = (
    StartUp
    | Register
    | PlaceCall
    | Answer
    | Reject
    | HangUp
    | Hold
    | Resume
    | Transfer
    | TransferToCall
    | SendDtmf
    | PlayTone
    | PlayWav
    | StopPlaying
    | StartRecording
    | StopRecording
    | ShutDown
)
