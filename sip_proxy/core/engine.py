"""The exchange as one object: bytes and a clock value in; bytes, events and a next deadline out.

No method blocks, reads a clock or touches a socket. After any call that takes `now`, the driver drains
`take_outputs()` and arms one timer for `next_deadline()`.
"""

from collections.abc import Callable

from sip_proxy.core.configuration import EngineConfig
from sip_proxy.core.directory import Directory
from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.outputs import LiveCall, Output, Registration


__all__ = ["Engine", "EngineConfig"]


class Engine:
    """The sans-IO SIP exchange."""

    def __init__(
        self, *, config: EngineConfig, directory: Directory, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.config = config
        self.directory = directory
        self.random_bytes = random_bytes
        self.wall_offset = 0.0
        self.journal_available = True
        self.online = True

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take one datagram, or one framed message of a stream. Never raises because of what is in it."""
        raise NotImplementedError

    def flow_closed(self, flow: Flow, now: float) -> None:
        """A connection is gone, and with it the bindings that were reached over it."""
        raise NotImplementedError

    def unable_to_send(self, to: Flow | Destination, now: float) -> None:
        """Sending failed: transactions waiting on this peer fail as 503 (RFC 3261 §17.1.4, §16.9)."""
        raise NotImplementedError

    def next_deadline(self) -> float | None:
        """Return the instant at which `expire` must be called, or None."""
        raise NotImplementedError

    def expire(self, now: float) -> None:
        """Run every timer that is due."""
        raise NotImplementedError

    def take_outputs(self) -> list[Output]:
        """Hand out what has come up since the last call, in order."""
        raise NotImplementedError

    def live_calls(self) -> list[LiveCall]:
        """List the calls that are being set up or talked on."""
        raise NotImplementedError

    def registrations(self) -> list[Registration]:
        """List all bindings."""
        raise NotImplementedError

    def end_call(self, call_id: str, now: float) -> bool:
        """End the live call with this `LiveCall.id`: BYE to both sides, CANCEL while it rings."""
        raise NotImplementedError

    def restore_call(self, state: str, now: float, *, same_boot: bool) -> None:
        """Take up a call from `CallSaved.state`. `same_boot`: `now` is on the clock that it was saved by."""
        raise NotImplementedError

    def restore_bindings(self, number: str, state: str, now: float) -> None:
        """Take up the bindings of a number from `BindingsChanged.state`; those that expired are left out."""
        raise NotImplementedError
