"""What the exchange is doing right now, as last heard, for every browser that looks at it."""

import asyncio
from collections import deque
from dataclasses import dataclass

from admin_web.exchange_models import (
    CallState,
    LiveCall,
    Registration,
    RegistrationChange,
    SecurityEvent,
    Snapshot,
)


@dataclass(frozen=True, slots=True)
class BoardVersion:
    """Which state of the board somebody has seen; each part grows by one when that part changes."""

    calls: int
    phones: int


class LiveBoard:
    """Live calls and registrations. One writer (the feed), any number of readers on the same event loop."""

    MAX_SECURITY_EVENTS = 50

    def __init__(self) -> None:
        self.connected = False
        self.problem = "Not connected to the exchange yet."
        self.version = BoardVersion(0, 0)
        self.security_events: deque[SecurityEvent] = deque(maxlen=self.MAX_SECURITY_EVENTS)
        self.closed = False
        self._calls: dict[str, LiveCall] = {}
        self._registrations: dict[str, tuple[Registration, ...]] = {}
        self._changed = asyncio.Event()

    @property
    def calls(self) -> list[LiveCall]:
        """The live calls, newest first."""
        return sorted(self._calls.values(), key=lambda call: (call.invited_at, call.id), reverse=True)

    @property
    def registrations(self) -> list[Registration]:
        """Every binding, by number."""
        return [binding for number in sorted(self._registrations) for binding in self._registrations[number]]

    @property
    def call_count(self) -> int | None:
        """None while the exchange is away: then nobody knows."""
        return len(self._calls) if self.connected else None

    @property
    def phone_count(self) -> int | None:
        """How many numbers are registered; None while the exchange is away."""
        return len(self._registrations) if self.connected else None

    def registrations_of(self, number: str) -> tuple[Registration, ...]:
        return self._registrations.get(number, ())

    def calls_of(self, number: str) -> list[LiveCall]:
        return [call for call in self.calls if number in (call.caller, call.callee)]

    def take_snapshot(self, snapshot: Snapshot) -> None:
        self._calls = {call.id: call for call in snapshot.calls if call.state is not CallState.ENDED}
        self._registrations = {}
        for binding in snapshot.registrations:
            self._registrations[binding.number] = (*self._registrations.get(binding.number, ()), binding)
        self.connected = True
        self.problem = ""
        self._announce(calls=True, phones=True)

    def take_call(self, call: LiveCall) -> None:
        if call.state is CallState.ENDED:
            self._calls.pop(call.id, None)
        else:
            self._calls[call.id] = call
        self._announce(calls=True)

    def take_registration(self, change: RegistrationChange) -> None:
        if change.registrations:
            self._registrations[change.number] = change.registrations
        else:
            self._registrations.pop(change.number, None)
        self._announce(phones=True)

    def take_security_event(self, event: SecurityEvent) -> None:
        self.security_events.appendleft(event)

    def lose(self, problem: str) -> None:
        """The exchange is away: nothing is shown rather than something that may no longer be true."""
        if not self.connected and problem == self.problem:
            return
        self.connected = False
        self.problem = problem
        self._calls = {}
        self._registrations = {}
        self._announce(calls=True, phones=True)

    def close(self) -> None:
        """The console stops: wake every reader so that it can leave."""
        self.closed = True
        self._announce()

    async def wait_for_change(self, seen: BoardVersion) -> None:
        """Return when the board is no longer in state `seen`, or is closed."""
        if self.version == seen and not self.closed:
            await self._changed.wait()

    def _announce(self, *, calls: bool = False, phones: bool = False) -> None:
        self.version = BoardVersion(self.version.calls + calls, self.version.phones + phones)
        self._changed.set()
        self._changed = asyncio.Event()
