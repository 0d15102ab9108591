"""The engine, as its driver and those around it use it (`core/engine.py` says what each method does)."""

from collections.abc import Iterable
from typing import Protocol

from sip_proxy.core.flow import Destination, Flow
from sip_proxy.core.message.framing import FramingError
from sip_proxy.core.outputs import Output, Registration


class DrivenEngine(Protocol):
    """Bytes and a clock value in; outputs and a next deadline out."""

    wall_offset: float
    journal_available: bool

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take one message."""

    def framing_failed(self, error: FramingError, flow: Flow, now: float) -> None:
        """A stream can't be cut into messages any further."""

    def flow_closed(self, flow: Flow, now: float) -> None:
        """A connection is gone."""

    def unable_to_send(self, data: bytes, to: Flow | Destination, now: float) -> None:
        """This message could not be sent."""

    def next_deadline(self) -> float | None:
        """Return the instant at which `expire` must be called, or None."""

    def expire(self, now: float) -> None:
        """Run every timer that is due."""

    def take_outputs(self) -> list[Output]:
        """Hand out what has come up since the last call, in order."""

    def with_test_results(self, registrations: Iterable[Registration]) -> list[Registration]:
        """Return these bindings, marked where the phone failed its last tests."""
