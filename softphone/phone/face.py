"""What the phone's face shows in each state."""

from __future__ import annotations

from softphone.phone.desk_phone import DeskPhone
from softphone.phone.display import Display, Lamp
from softphone.phone.states import WITH_CALL, PhoneState, Service


def display_of(phone: DeskPhone, now: float) -> Display:
    """The display and lamp of a phone at an instant."""
    return Display(
        status=_status(phone),
        main=_main(phone),
        name=phone.peer_name,
        detail=_detail(phone),
        lamp=_lamp(phone),
        call_seconds=phone.call_seconds(now),
    )


def _status(phone: DeskPhone) -> str:
    match phone.service:
        case Service.STARTING:
            return "Connecting…"
        case Service.REGISTERED:
            return "Ready"
        case Service.REFUSED:
            return phone.service_explanation
        case Service.ENGINE_LOST:
            return "Starting again…"


def _main(phone: DeskPhone) -> str:
    match phone.state:
        case PhoneState.ON_HOOK:
            return phone.dialled or phone.number
        case PhoneState.DIAL_TONE | PhoneState.DIALLING:
            return phone.dialled
        case _:
            return phone.peer_number


def _detail(phone: DeskPhone) -> str:
    match phone.state:
        case PhoneState.ON_HOOK if phone.dialled:
            return "Lift the handset to call"
        case PhoneState.ON_HOOK if phone.missed_calls:
            return f"{phone.missed_calls} missed call{'s' if phone.missed_calls > 1 else ''}"
        case PhoneState.ON_HOOK:
            return "On hook"
        case PhoneState.DIAL_TONE:
            return "Dial a number"
        case PhoneState.DIALLING:
            return "Dialling"
        case PhoneState.CALLING:
            return "Calling…"
        case PhoneState.RINGING_OUT:
            return "Ringing…"
        case PhoneState.RINGING_IN:
            return "Incoming call"
        case PhoneState.ANSWERING:
            return "Connecting…"
        case PhoneState.TALKING:
            return f"Connected  {phone.dialled}".rstrip()
        case PhoneState.BUSY | PhoneState.FAILED | PhoneState.ENDED:
            return phone.explanation


def _lamp(phone: DeskPhone) -> Lamp:
    if phone.state is PhoneState.RINGING_IN:
        return Lamp.RINGING
    if phone.state in WITH_CALL:
        return Lamp.IN_USE
    return Lamp.DARK if phone.service is Service.REGISTERED else Lamp.FAULT
