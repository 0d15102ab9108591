"""What the phone shows. Values only: how they look is the window's business."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Lamp(Enum):
    """The lamp above the display."""

    DARK = "dark"
    RINGING = "ringing"  # flashing
    IN_USE = "in use"  # steady
    FAULT = "fault"  # not registered


@dataclass(frozen=True, slots=True)
class Display:
    """Four lines of text, the lamp and the call timer. `call_seconds` is None outside a call."""

    status: str
    main: str
    name: str
    detail: str
    lamp: Lamp
    call_seconds: int | None = None

    @property
    def call_timer(self) -> str:
        """As minutes and seconds, with hours from an hour on; "" outside a call."""
        if self.call_seconds is None:
            return ""
        minutes, seconds = divmod(self.call_seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
