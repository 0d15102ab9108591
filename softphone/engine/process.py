"""The engine process: one loop that takes turns between the SIP library and the phone's commands."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import pjsua2

from softphone.engine import commands
from softphone.engine.audio import Handset
from softphone.engine.calls import Calls
from softphone.engine.channel import Channel, ChannelClosedError
from softphone.engine.codec import decode_command, encode
from softphone.engine.errors import UnableToObeyError
from softphone.engine.events import (
    CommandFailed,
    Event,
    PlayingFinished,
    RecordingStopped,
    Registered,
    RegistrationFailed,
    Started,
    Stopped,
    Unregistered,
)
from softphone.engine.library_objects import SipAccount
from softphone.engine.notes import Notes, RegistrationResult
from softphone.engine.user_agent import UserAgent, is_retried

_log = logging.getLogger(__name__)

# The library waits on its own sockets, not on the channel, so this is the longest that a command may have to
# wait.
_PUMP_MS: Final = 10
# Long enough for a slow name lookup inside the library. A loop that stands still for longer is stuck for
# good; the signal then ends the process, whether the phone is still there to see it or not.
_WATCHDOG_S: Final = 60
# How long the calls, and then the registration, may take to end when the engine shuts down.
_GOODBYE_S: Final = 1.0
_DIALLED: Final = frozenset("0123456789*#+")


@dataclass(slots=True)
class _Machinery:
    """What exists between `StartUp` and the end."""

    agent: UserAgent
    handset: Handset
    calls: Calls
    account: SipAccount
    domain: str | None = None  # None: no exchange yet
    registered: bool = False

    def close(self) -> None:
        """Drop every object of the library, then the library."""
        self.calls.clear()
        self.handset.close()
        del self.calls, self.handset, self.account
        self.agent.close()


class EngineProcess:
    """Executes commands until it is told to shut down or the phone is gone."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._notes = Notes()
        self._machinery: _Machinery | None = None
        self._running = True
        self._phone_gone = False

    def run(self) -> None:
        """Returns after an orderly end. Raises what a callback raised, and MalformedMessageError."""
        try:
            while self._running:
                signal.alarm(_WATCHDOG_S)
                self._take_turn()
                self._take_commands()
        except ChannelClosedError as error:
            _log.info("the phone is gone: %s", error)
            self._phone_gone = True
        except Exception:
            # Whatever it is, it need not leave a call standing: the far end might pay for it.
            self._notes.fatal = None
            self._shut_down()
            raise
        self._shut_down()
        self._send(Stopped())

    def _take_commands(self) -> None:
        if self._machinery is None:
            self._channel.wait_readable(1.0)
        for line in self._channel.receive():
            command = decode_command(line)
            try:
                self._execute(command)
            except UnableToObeyError as error:
                self._send(CommandFailed(command=type(command).__name__, reason=str(error)))
            except pjsua2.Error as error:
                self._send(
                    CommandFailed(command=type(command).__name__, reason=f"{error.title}: {error.reason}")
                )
        if self._channel.closed:
            raise ChannelClosedError("end of file")

    def _take_turn(self) -> None:
        if self._machinery is None:
            return
        self._machinery.agent.pump(_PUMP_MS)
        if self._notes.fatal is not None:
            raise self._notes.fatal
        self._machinery.calls.take_turn()
        while self._notes.registrations:
            self._note_registration(self._machinery, self._notes.registrations.popleft())
        self._note_files(self._machinery.handset)
        while self._notes.events:
            self._send(self._notes.events.popleft())

    def _note_files(self, handset: Handset) -> None:
        now = time.monotonic()
        if played := handset.finished_wav(now):
            self._notes.events.append(PlayingFinished(path=played))
        for path, whole in handset.recordings.closed(now):
            if whole:
                self._notes.events.append(RecordingStopped(path=path))
            else:
                reason = f"{path} could not be finished; is the disk full?"
                self._notes.events.append(CommandFailed(command="StopRecording", reason=reason))

    def _execute(self, command: commands.Command) -> None:
        match command:
            case commands.StartUp():
                self._start_up(command)
            case commands.ShutDown():
                self._running = False
            case commands.Register():
                self._register(self._started, command)
            case commands.PlaceCall(call=call, target=target):
                machinery = self._started
                machinery.calls.place(call, _uri(target, machinery.domain), machinery.account)
            case commands.Answer(call=call):
                self._started.calls.answer(call)
            case commands.Reject(call=call, status=status):
                self._started.calls.reject(call, status)
            case commands.HangUp(call=call):
                self._started.calls.hang_up(call)
            case commands.Hold(call=call):
                self._started.calls.hold(call)
            case commands.Resume(call=call):
                self._started.calls.resume(call)
            case commands.Transfer(call=call, target=target):
                machinery = self._started
                machinery.calls.transfer(call, _uri(target, machinery.domain))
            case commands.TransferToCall(call=call, other=other):
                self._started.calls.transfer_to_call(call, other)
            case commands.SendDtmf(call=call, digits=digits, duration_ms=duration_ms):
                self._started.calls.send_dtmf(call, digits, duration_ms)
            case _:
                self._execute_sound(self._started.handset, command)

    def _execute_sound(self, handset: Handset, command: commands.SoundCommand) -> None:
        match command:
            case commands.PlayTone(tone=tone, side=side):
                handset.play_tone(tone, side)
            case commands.PlayWav(path=path, repeat=repeat):
                handset.play_wav(path, repeat=repeat, now=time.monotonic())
            case commands.StopPlaying(side=side):
                handset.stop_playing(side)
            case commands.StartRecording(path=path):
                handset.start_recording(path, now=time.monotonic())
            case commands.StopRecording():
                handset.recordings.stop(now=time.monotonic())

    @property
    def _started(self) -> _Machinery:
        if self._machinery is None:
            raise UnableToObeyError("the engine has not been started up")
        return self._machinery

    def _start_up(self, command: commands.StartUp) -> None:
        if self._machinery is not None:
            raise UnableToObeyError("the engine has been started up already")
        agent = UserAgent(command)
        handset = Handset(device_out=agent.device_out)
        self._machinery = _Machinery(
            agent=agent,
            handset=handset,
            calls=Calls(self._notes, handset),
            account=agent.open_local_account(self._notes),
        )
        address, port = agent.address
        self._send(Started(address=address, port=port, library=agent.library))

    def _register(self, machinery: _Machinery, command: commands.Register) -> None:
        if len(machinery.calls):
            raise UnableToObeyError("the number cannot be changed while there are calls")
        account = machinery.agent.open_account(self._notes, command)
        machinery.account.shutdown()
        machinery.account = account
        machinery.domain = command.domain
        machinery.registered = False

    def _note_registration(self, machinery: _Machinery, result: RegistrationResult) -> None:
        if result.account is not machinery.account:
            return  # the farewell of an account that was replaced
        number = result.account.number
        succeeded = 200 <= result.status < 300
        machinery.registered = succeeded and result.expires_s > 0
        if machinery.registered:
            self._send(Registered(number=number, expires_s=result.expires_s))
        elif succeeded:
            self._send(Unregistered(number=number))
        else:
            self._send(
                RegistrationFailed(
                    number=number,
                    status=result.status,
                    reason=result.reason,
                    retrying=is_retried(result.status),
                )
            )

    def _send(self, event: Event) -> None:
        if not self._phone_gone:
            self._channel.send(encode(event))

    def _shut_down(self) -> None:
        """The library's order: calls, registration, every object that Python holds, the library."""
        machinery = self._machinery
        if machinery is not None:
            machinery.calls.hang_up_all()
            self._take_turns_until(lambda: not len(machinery.calls))
            if machinery.registered:
                machinery.account.setRegistration(False)
                self._take_turns_until(lambda: not machinery.registered)
            machinery.account.shutdown()
            self._machinery = None
            self._notes = Notes()
            machinery.close()

    def _take_turns_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _GOODBYE_S
        while not done() and time.monotonic() < deadline:
            self._take_turn()


def _uri(target: str, domain: str | None) -> str:
    if target.startswith(("sip:", "sips:")):
        return target
    if domain is None:
        raise UnableToObeyError("a number can be called only after registering with an exchange")
    if not target or not _DIALLED.issuperset(target):
        raise UnableToObeyError(f"{target!r} is not a number")
    # "#" has a meaning of its own in a URI, so it travels escaped (RFC 3261 §25.1, user).
    return f"sip:{target.replace('#', '%23')}@{domain}"
