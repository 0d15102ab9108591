"""A call and an account of the SIP library.

Their callbacks copy values into the notes; nothing is decided here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import pjsua2

from softphone.engine.events import (
    CallMoved,
    CallState,
    CallStateChanged,
    DtmfReceived,
    IncomingCall,
    TransferProgressed,
)
from softphone.engine.notes import Notes, RegistrationResult
from softphone.engine.sip_text import parse_party, refusal_detail

_log = logging.getLogger(__name__)

_CALL_STATES = {
    pjsua2.PJSIP_INV_STATE_CALLING: CallState.CALLING,
    pjsua2.PJSIP_INV_STATE_EARLY: CallState.RINGING,
    pjsua2.PJSIP_INV_STATE_CONNECTING: CallState.CONNECTING,
    pjsua2.PJSIP_INV_STATE_CONFIRMED: CallState.CONNECTED,
    pjsua2.PJSIP_INV_STATE_DISCONNECTED: CallState.ENDED,
}


class _NoteTaker(Protocol):
    notes: Notes


_Parameters = ParamSpec("_Parameters")
_Taker = TypeVar("_Taker", bound=_NoteTaker)


def _contained(
    callback: Callable[Concatenate[_Taker, _Parameters], None],
) -> Callable[Concatenate[_Taker, _Parameters], None]:
    """An exception that left a callback would abort the process in C++; it ends the engine instead."""

    @wraps(callback)
    def contained(self: _Taker, /, *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> None:
        try:
            callback(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # passed on by way of the notes
            _log.exception("callback %s failed", callback.__name__)
            self.notes.fatal = error

    return contained


class SipCall(pjsua2.Call):  # type: ignore[misc]  # the library has no type information
    """A call, with the name that the phone knows it by."""

    def __init__(self, notes: Notes, account: SipAccount, name: str, library_id: int | None = None) -> None:
        super().__init__(account, pjsua2.PJSUA_INVALID_ID if library_id is None else library_id)
        self.notes = notes
        self.account = account
        self.name = name

    def audio_index(self) -> int | None:
        """The index of the media line that carries sound now, None when there is none."""
        info = self.getInfo()  # held in a name: the list of media dies with it
        for media in info.media:
            if media.type == pjsua2.PJMEDIA_TYPE_AUDIO and media.status == pjsua2.PJSUA_CALL_MEDIA_ACTIVE:
                return int(media.index)
        return None

    @_contained
    def onCallState(self, prm: Any) -> None:  # noqa: N802  # the library's name
        info = self.getInfo()
        state = _CALL_STATES.get(info.state)
        if state is None or (state is CallState.RINGING and info.role == pjsua2.PJSIP_ROLE_UAS):
            return  # a call that rings here was announced by IncomingCall
        self.notes.events.append(
            CallStateChanged(
                call=self.name,
                state=state,
                status=info.lastStatusCode,
                reason=info.lastReason,
                detail=_received_detail(prm.e) if state is CallState.ENDED else "",
            )
        )
        if state is CallState.ENDED:
            self.notes.ended.append(self.name)

    @_contained
    def onCallMediaState(self, prm: Any) -> None:  # noqa: N802  # the library's name
        self.notes.media_changed.append(self.name)

    @_contained
    def onCallTransferRequest(self, prm: Any) -> None:  # noqa: N802  # the library's name
        prm.newCall = self._successor()

    @_contained
    def onCallReplaced(self, prm: Any) -> None:  # noqa: N802  # the library's name
        prm.newCall = self._successor(prm.newCallId)

    @_contained
    def onCallTransferStatus(self, prm: Any) -> None:  # noqa: N802  # the library's name
        self.notes.events.append(
            TransferProgressed(
                call=self.name, status=prm.statusCode, reason=prm.reason, is_final=bool(prm.finalNotify)
            )
        )

    def _successor(self, library_id: int | None = None) -> SipCall:
        """The call that takes the place of this one; the library places or has answered it by itself."""
        call = SipCall(self.notes, self.account, self.notes.next_moved_name(), library_id)
        self.notes.moved.append(call)
        self.notes.events.append(CallMoved(call=self.name, to=call.name))
        return call

    @_contained
    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802  # the library's name
        self.notes.events.append(DtmfReceived(call=self.name, digit=prm.digit))


class SipAccount(pjsua2.Account):  # type: ignore[misc]  # the library has no type information
    """A number at an exchange, or ("") nobody in particular: for calls from phone to phone without one."""

    def __init__(self, notes: Notes, number: str) -> None:
        super().__init__()
        self.notes = notes
        self.number = number

    @_contained
    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802  # the library's name
        # The library refuses the call unless its object exists when this returns.
        call = SipCall(self.notes, self, self.notes.next_incoming_name(), prm.callId)
        party = parse_party(call.getInfo().remoteUri)
        self.notes.arrived.append(call)
        self.notes.events.append(
            IncomingCall(call=call.name, number=party.number, display_name=party.display_name, uri=party.uri)
        )

    @_contained
    def onRegState(self, prm: Any) -> None:  # noqa: N802  # the library's name
        # When no response came at all the library reports 408 or 503 with a text of its own.
        self.notes.registrations.append(
            RegistrationResult(account=self, status=prm.code, reason=prm.reason, expires_s=prm.expiration)
        )


def _received_detail(event: Any) -> str:
    if event.type != pjsua2.PJSIP_EVENT_TSX_STATE or event.body.tsxState.type != pjsua2.PJSIP_EVENT_RX_MSG:
        return ""
    return refusal_detail(event.body.tsxState.src.rdata.wholeMsg)
