"""An engine without a process: takes commands, gives the events it was given."""

from __future__ import annotations

from softphone.engine import commands, events
from softphone.engine.client import EngineNotRunningError
from softphone.engine.commands import Transport
from softphone.settings import Settings

SETTINGS = Settings(
    number="0001",
    password="secret",
    server="127.0.0.1:5060",
    domain="tollbell.local",
    transport=Transport.TCP,
)


class FakeEngine:
    """Its descriptor is whatever the test says: nothing is read from it."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.taken: list[commands.Command] = []
        self.events: list[events.Event] = []
        self.is_dead = False
        self.was_shut_down = False

    def fileno(self) -> int:
        return self.descriptor

    def send(self, command: commands.Command) -> None:
        if self.is_dead:
            raise EngineNotRunningError("dead")
        self.taken.append(command)

    def receive(self) -> list[events.Event]:
        received, self.events = self.events, []
        return received

    def shut_down(self) -> list[events.Event]:
        self.was_shut_down = True
        return [events.Stopped()]


class Factory:
    """Makes engines, unless told to fail."""

    def __init__(self) -> None:
        self.made: list[FakeEngine] = []
        self.fails = False

    def __call__(self) -> FakeEngine:
        if self.fails:
            raise OSError("out of processes")
        self.made.append(FakeEngine(descriptor=10 + len(self.made)))
        return self.made[-1]
