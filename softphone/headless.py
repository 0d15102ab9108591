"""The phone without a window: a line of text is a command, a line of text is an event.

For scripts and tests.
"""

from __future__ import annotations

import contextlib
import os
import select
import shlex
from collections.abc import Callable
from typing import Final

from softphone.engine import commands, events
from softphone.engine.channel import LineBuffer
from softphone.engine.client import EngineClient, EngineNotRunningError
from softphone.engine.sound import continuous
from softphone.settings import Settings

HELP: Final = (
    "commands: call NUMBER | answer | reject | hang up | dtmf KEYS | tone HZ [HZ] | play FILE | stop | "
    "record FILE | stop recording | quit"
)


class Interpreter:
    """Turns lines into commands and events into lines, and remembers which call is meant."""

    def __init__(self, *, auto_answer: bool) -> None:
        self._auto_answer = auto_answer
        self._placed = 0
        self._calls: list[str] = []  # the last one is meant by `answer`, `hang up` and so on

    def command(self, line: str) -> commands.Command:
        """Raises ValueError, with a text for the user, for a line that means nothing."""
        words = shlex.split(line)
        match words:
            case ["call", target]:
                self._placed += 1
                name = f"out-{self._placed}"
                self._calls.append(name)
                return commands.PlaceCall(call=name, target=target)
            case ["answer"]:
                return commands.Answer(call=self._call())
            case ["reject"]:
                return commands.Reject(call=self._call())
            case ["hang", "up"] | ["hangup"]:
                return commands.HangUp(call=self._call())
            case ["dtmf", keys]:
                return commands.SendDtmf(call=self._call(), digits=keys)
            case ["tone", *frequencies] if frequencies and all(word.isdigit() for word in frequencies):
                return commands.PlayTone(tone=continuous(*map(int, frequencies)))
            case ["play", path]:
                return commands.PlayWav(path=path)
            case ["stop"]:
                return commands.StopPlaying()
            case ["record", path]:
                return commands.StartRecording(path=path)
            case ["stop", "recording"]:
                return commands.StopRecording()
            case ["quit"]:
                return commands.ShutDown()
        raise ValueError(HELP)

    def react(self, event: events.Event) -> commands.Command | None:
        """Note what happened; the command that it calls for, if any."""
        match event:
            case events.IncomingCall(call=call):
                self._calls.append(call)
                return commands.Answer(call=call) if self._auto_answer else None
            case events.CallMoved(to=to):
                self._calls.append(to)
            case events.CallStateChanged(call=call, state=events.CallState.ENDED) if call in self._calls:
                self._calls.remove(call)
        return None

    def _call(self) -> str:
        if not self._calls:
            raise ValueError("there is no call")
        return self._calls[-1]


def describe(event: events.Event) -> str:
    """An event as one line, its kind first."""
    match event:
        case events.Started(address=address, port=port, library=library):
            return f"started {address}:{port} {library}"
        case events.Registered(number=number, expires_s=expires_s):
            return f"registered {number} for {expires_s} s"
        case events.RegistrationFailed(number=number, status=status, reason=reason, retrying=retrying):
            return f"registration failed {number} {status} {reason}{' (trying again)' if retrying else ''}"
        case events.Unregistered(number=number):
            return f"unregistered {number}"
        case events.IncomingCall(call=call, number=number, display_name=display_name):
            return f"incoming {call} {number} {display_name}".rstrip()
        case events.CallStateChanged(call=call, state=state, status=status, reason=reason, detail=detail):
            return f"call {call} {state.value} {status} {reason}{f' ({detail})' if detail else ''}"
        case events.MediaStarted(call=call, codec=codec, clock_rate_hz=clock_rate_hz):
            return f"sound {call} {codec}/{clock_rate_hz}"
        case events.CallMoved(call=call, to=to):
            return f"moved {call} {to}"
        case events.TransferProgressed(call=call, status=status, reason=reason):
            return f"transfer {call} {status} {reason}"
        case events.DtmfReceived(call=call, digit=digit):
            return f"dtmf {call} {digit}"
        case events.PlayingFinished(path=path):
            return f"played {path}"
        case events.RecordingStopped(path=path):
            return f"recorded {path}"
        case events.CommandFailed(command=command, reason=reason):
            return f"error {command}: {reason}"
        case events.Stopped():
            return "stopped"
        case events.EngineFailed(reason=reason):
            return f"engine failed: {reason}"


def run(settings: Settings, *, auto_answer: bool, input_fd: int, write: Callable[[str], None]) -> int:
    """Run until `quit`, the end of the input (except with `auto_answer`), or the engine's end.

    Returns an exit code: 1 when the engine ended without being told to.
    """
    interpreter = Interpreter(auto_answer=auto_answer)
    with EngineClient(log_path=settings.log_path) as engine:
        _tell(engine, settings.start_up())
        _tell(engine, settings.register())
        poll = select.poll()
        poll.register(engine, select.POLLIN)
        poll.register(input_fd, select.POLLIN)
        lines = LineBuffer()
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if input_fd in ready:
                data = os.read(input_fd, 4096)
                if not data:
                    poll.unregister(input_fd)
                    if not auto_answer:
                        _tell(engine, commands.ShutDown())
                for line in lines.feed(data):
                    _obey(interpreter, engine, line.decode(errors="replace"), write)
            for event in engine.receive():
                write(describe(event))
                if isinstance(event, events.Stopped):
                    return 0
                if isinstance(event, events.EngineFailed):
                    return 1
                if command := interpreter.react(event):
                    _tell(engine, command)


def _obey(interpreter: Interpreter, engine: EngineClient, line: str, write: Callable[[str], None]) -> None:
    if not line.strip():
        return
    try:
        command = interpreter.command(line)
    except ValueError as error:
        write(f"error {error}")
    else:
        _tell(engine, command)


def _tell(engine: EngineClient, command: commands.Command) -> None:
    # An engine that has just died says so by its last event, which is about to be read.
    with contextlib.suppress(EngineNotRunningError):
        engine.send(command)
