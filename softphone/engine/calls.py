"""The calls of an engine: places, answers and ends them, and gives each its sound."""

from __future__ import annotations

from typing import Final

import pjsua2

from softphone.engine.audio import Handset
from softphone.engine.errors import UnableToObeyError
from softphone.engine.events import CallStateChanged, MediaStarted
from softphone.engine.library_objects import SipAccount, SipCall
from softphone.engine.notes import Notes

_DTMF_KEYS: Final = frozenset("0123456789*#ABCD")

# The library's own choice for the state that the call is in: BYE, CANCEL, or 603 when it rings here.
_SUITABLE: Final = 0


class Calls:
    """The table of calls by name.

    Methods raise UnableToObeyError or pjsua2.Error and then have changed nothing.
    """

    def __init__(self, notes: Notes, handset: Handset) -> None:
        self._notes = notes
        self._handset = handset
        self._calls: dict[str, SipCall] = {}
        self._announced: dict[str, tuple[str, int]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def place(self, name: str, uri: str, account: SipAccount) -> None:
        """Send an INVITE from an account. The name must be a new one."""
        if name in self._calls:
            raise UnableToObeyError(f"there is a call named {name} already")
        call = SipCall(self._notes, account, name)
        # Before the INVITE: its first callback comes from within makeCall.
        self._calls[name] = call
        try:
            call.makeCall(uri, _default_operation())
        except pjsua2.Error:
            # Refused before it existed: the phone hears CommandFailed, not the states of a call.
            self._calls.pop(name)
            self._forget_notes_of(name)
            raise

    def answer(self, name: str) -> None:
        self._call(name).answer(_operation(200))

    def reject(self, name: str, status: int) -> None:
        if not 400 <= status <= 699:
            raise UnableToObeyError(f"a call is refused with a status of 400 to 699, not {status}")
        self._call(name).answer(_operation(status))

    def hang_up(self, name: str) -> None:
        self._call(name).hangup(_operation(_SUITABLE))

    def hold(self, name: str) -> None:
        self._call(name).setHold(_default_operation())

    def resume(self, name: str) -> None:
        """Offer sound in both directions again."""
        parameters = _default_operation()
        parameters.opt.flag = pjsua2.PJSUA_CALL_UNHOLD
        self._call(name).reinvite(parameters)

    def transfer(self, name: str, uri: str) -> None:
        self._call(name).xfer(uri, _default_operation())

    def transfer_to_call(self, name: str, other: str) -> None:
        self._call(name).xferReplaces(self._call(other), _default_operation())

    def hang_up_all(self) -> None:
        for call in self._calls.values():
            if call.isActive():
                call.hangup(_operation(_SUITABLE))

    def clear(self) -> None:
        """Let go of calls that did not end in time; the library then ends them by force."""
        self._calls.clear()
        self._announced.clear()

    def send_dtmf(self, name: str, digits: str, duration_ms: int) -> None:
        """Queue keys as RFC 4733 events; the library sends them one after the other."""
        if not digits or not _DTMF_KEYS.issuperset(digits):
            raise UnableToObeyError(f"{digits!r} are not keys of a telephone keypad")
        call = self._call(name)
        if call.audio_index() is None:
            raise UnableToObeyError(f"call {name} has no sound yet to put keys into")
        parameters = pjsua2.CallSendDtmfParam()
        parameters.method = pjsua2.PJSUA_DTMF_METHOD_RFC2833
        parameters.digits = digits
        parameters.duration = duration_ms
        call.sendDtmf(parameters)

    def take_turn(self) -> None:
        """Deal with what the callbacks noted: announce arrivals to their callers, connect sound, drop ended
        calls.
        """
        while self._notes.moved:
            moved = self._notes.moved.popleft()
            self._calls[moved.name] = moved
        while self._notes.arrived:
            call = self._notes.arrived.popleft()
            self._calls[call.name] = call
            if call.isActive():
                call.answer(_operation(180))
        while self._notes.media_changed:
            self._connect_sound(self._notes.media_changed.popleft())
        while self._notes.ended:
            name = self._notes.ended.popleft()
            self._handset.detach_call(name)
            self._announced.pop(name, None)
            self._calls.pop(name, None)

    def _connect_sound(self, name: str) -> None:
        call = self._calls.get(name)
        if call is None or not call.isActive():
            return
        index = call.audio_index()
        if index is None:
            self._handset.detach_call(name)
            return
        self._handset.attach_call(name, call.getAudioMedia(index))
        stream = call.getStreamInfo(index)
        codec = (str(stream.codecName), int(stream.codecClockRate))
        if self._announced.get(name) != codec:
            self._announced[name] = codec
            self._notes.events.append(MediaStarted(call=name, codec=codec[0], clock_rate_hz=codec[1]))

    def _call(self, name: str) -> SipCall:
        try:
            return self._calls[name]
        except KeyError:
            raise UnableToObeyError(f"there is no call named {name}") from None

    def _forget_notes_of(self, name: str) -> None:
        kept = [
            event
            for event in self._notes.events
            if not (isinstance(event, CallStateChanged) and event.call == name)
        ]
        self._notes.events.clear()
        self._notes.events.extend(kept)


def _default_operation() -> pjsua2.CallOpParam:
    use_default_call_setting = True
    return pjsua2.CallOpParam(use_default_call_setting)


def _operation(status: int) -> pjsua2.CallOpParam:
    parameters = pjsua2.CallOpParam()
    parameters.statusCode = status
    return parameters
