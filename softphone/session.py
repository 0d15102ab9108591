"""A desk phone with a running engine: carries commands and events between them, and replaces an engine that
dies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final, Protocol

from softphone.engine.client import EngineNotRunningError
from softphone.engine.commands import Command
from softphone.engine.events import EngineFailed, Event, Registered
from softphone.phone.desk_phone import DeskPhone
from softphone.settings import Settings

_FIRST_RESTART_S: Final = 0.5
_LAST_RESTART_S: Final = 30.0


class Engine(Protocol):
    """What a session needs of an EngineClient."""

    def fileno(self) -> int: ...
    def send(self, command: Command) -> None: ...
    def receive(self) -> list[Event]: ...
    def shut_down(self) -> list[Event]: ...


class PhoneSession:
    """Drives a phone; whoever has an event loop drives the session.

    Call `handle_readable` when the descriptor `fileno` is readable (it changes with `generation`),
    `handle_timer` at `next_deadline`, and `flush` after every key. `now` is in monotonic seconds.
    """

    def __init__(self, settings: Settings, *, start_engine: Callable[[], Engine], now: float) -> None:
        self.phone = DeskPhone(settings.number)
        self.generation = 0
        self._settings = settings
        self._start_engine = start_engine
        self._engine: Engine | None = None
        self._restart_at: float | None = None
        self._restart_after_s = _FIRST_RESTART_S
        self._start(now)

    def fileno(self) -> int | None:
        """None while there is no engine."""
        return None if self._engine is None else self._engine.fileno()

    def next_deadline(self) -> float | None:
        deadlines = [at for at in (self._restart_at, self.phone.next_deadline()) if at is not None]
        return min(deadlines, default=None)

    def handle_readable(self, now: float) -> None:
        if self._engine is None:
            return
        for event in self._engine.receive():
            self.phone.handle_event(event, now)
            if isinstance(event, Registered):
                self._restart_after_s = _FIRST_RESTART_S
            elif isinstance(event, EngineFailed):
                self._lose_engine(now)
                return
        self.flush()

    def handle_timer(self, now: float) -> None:
        self.phone.handle_timer(now)
        if self._restart_at is not None and now >= self._restart_at:
            self._start(now)
        self.flush()

    def flush(self) -> None:
        """Send the engine what the phone wants of it.

        Without an engine the phone knows that it is out of service.
        """
        for command in self.phone.take_commands():
            if self._engine is not None:
                self._send(self._engine, command)

    def close(self) -> None:
        """End the call, unregister, stop the engine."""
        self._restart_at = None
        if self._engine is not None:
            self._engine.shut_down()
            self._engine = None
            self.generation += 1

    def _start(self, now: float) -> None:
        self._restart_at = None
        self.generation += 1
        try:
            self._engine = self._start_engine()
        except OSError as error:
            self.phone.handle_event(EngineFailed(exit_code=None, reason=str(error)), now)
            self._lose_engine(now)
            return
        self._send(self._engine, self._settings.start_up())
        self._send(self._engine, self._settings.register())

    def _lose_engine(self, now: float) -> None:
        self._engine = None
        self.generation += 1
        self._restart_at = now + self._restart_after_s
        self._restart_after_s = min(2 * self._restart_after_s, _LAST_RESTART_S)

    def _send(self, engine: Engine, command: Command) -> None:
        # When the engine has just died, EngineFailed waits to be received and will say so to the phone.
        with contextlib.suppress(EngineNotRunningError):
            engine.send(command)
