"""The phone's side of the engine: starts the process, sends commands, hands out events, notices its death.

The engine is `python -m softphone.engine` over a socket pair, not a `multiprocessing` child: the program that
starts it need not be importable again (Qt windows, pytest workers), no helper process comes along, and the
end of either side is an end of file at the other.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from softphone.engine.channel import Channel, ChannelClosedError
from softphone.engine.codec import decode_event, encode
from softphone.engine.commands import Command, ShutDown
from softphone.engine.events import EngineFailed, Event, Stopped

_PACKAGE_ROOT: Final = Path(__file__).resolve().parent.parent.parent
# How long a process whose channel has closed may take to end by itself.
_EXIT_GRACE_S: Final = 2.0

SomeEvent = TypeVar("SomeEvent")


class EngineNotRunningError(RuntimeError):
    """A command was sent to an engine that has ended; the reason came as the event `EngineFailed` or
    `Stopped`.
    """


class EngineTimeoutError(TimeoutError):
    """An awaited event did not come."""


class EngineClient:
    """An engine process and the conversation with it. Use it from one thread.

    `fileno` is readable whenever `receive` has something, so it fits `QSocketNotifier`, `loop.add_reader` and
    `select`; `wait_for` is for programs that have nothing else to do. The last event of every engine is
    `Stopped` or `EngineFailed`.
    """

    def __init__(self, *, log_path: Path | None = None) -> None:
        """Starts the process.

        What the SIP library and the engine log goes to `log_path` (appended), or nowhere.
        """
        ours, theirs = socket.socketpair()
        if log_path is not None:
            log_path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(log_path or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(_PACKAGE_ROOT), environment.get("PYTHONPATH")))
        )
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "softphone.engine", "--channel", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                env=environment,
            )
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(log)
        self._channel = Channel(ours)
        self._pending: list[Event] = []
        self._ended = False

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended

    def fileno(self) -> int:
        return self._channel.fileno()

    def send(self, command: Command) -> None:
        """Raises EngineNotRunningError when there is no engine to take it."""
        if self._ended:
            raise EngineNotRunningError("the engine has ended")
        try:
            self._channel.send(encode(command))
        except ChannelClosedError as error:
            raise EngineNotRunningError(str(error)) from error

    def receive(self) -> list[Event]:
        """The events that have arrived since the last time, without waiting."""
        events, self._pending = self._pending, []
        if self._ended:
            return events
        for line in self._channel.receive():
            event = decode_event(line)
            events.append(event)
            if isinstance(event, Stopped):
                self._end()
                return events
        if self._channel.closed:
            events.append(self._failure())
        return events

    def wait_for(
        self,
        kind: type[SomeEvent],
        matching: Callable[[SomeEvent], bool] | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> SomeEvent:
        """The first event of a kind that has not been handed out yet; the others stay for later.

        Raises EngineTimeoutError, or EngineNotRunningError when the engine ended without it.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            self._pending = self.receive()
            for index, event in enumerate(self._pending):
                if isinstance(event, kind) and (matching is None or matching(event)):
                    del self._pending[index]
                    return event
            if self._ended:
                raise EngineNotRunningError(
                    f"the engine ended without {kind.__name__}; it said {self._pending}"
                )
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                raise EngineTimeoutError(
                    f"no {kind.__name__} within {timeout_s} s; the engine said {self._pending}"
                )
            self._channel.wait_readable(remaining_s)

    def shut_down(self, *, timeout_s: float = 5.0) -> list[Event]:
        """End the engine and wait for it: in order if it can, by force after `timeout_s`.

        Returns its last events.
        """
        events = self.receive()
        if self._ended:
            return events
        try:
            self._channel.send(encode(ShutDown()))
        except ChannelClosedError:
            self._process.kill()
        deadline = time.monotonic() + timeout_s
        while self.running and time.monotonic() < deadline:
            self._channel.wait_readable(deadline - time.monotonic())
            events.extend(self.receive())
        if self.running:
            self._process.kill()
            events.append(self._failure())
        return events

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut_down()

    def _end(self) -> int:
        """Collect the process, which is ending or is made to.

        Returns its exit code (negative: the signal).
        """
        self._ended = True
        self._channel.close()
        try:
            return self._process.wait(_EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _failure(self) -> EngineFailed:
        exit_code = self._end()
        how = signal.Signals(-exit_code).name if exit_code < 0 else f"exit code {exit_code}"
        return EngineFailed(exit_code=exit_code, reason=f"the engine process ended by itself ({how})")
