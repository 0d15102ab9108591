"""The bar of light above the display, to be seen from across the room."""

from __future__ import annotations

from typing import Final

from PyQt6.QtCore import QRectF, QSize, Qt, QTimer
from PyQt6.QtGui import QColor, QPainter, QPaintEvent, QPen, QRadialGradient
from PyQt6.QtWidgets import QWidget

from softphone.phone.display import Lamp
from softphone.ui import colours

_FLASH_MS: Final = 350
_COLOURS: Final = {
    Lamp.DARK: colours.LAMP_DARK,
    Lamp.RINGING: colours.LAMP_RED,
    Lamp.IN_USE: colours.LAMP_GREEN,
    Lamp.FAULT: colours.LAMP_AMBER,
}


class LampBar(QWidget):
    """Steady, dark, or flashing while the phone rings."""

    def __init__(self) -> None:
        super().__init__()
        self._lamp = Lamp.DARK
        self._flash_is_on = True
        self._timer = QTimer(self)
        self._timer.setInterval(_FLASH_MS)
        self._timer.timeout.connect(self._flash)
        self.show_lamp(Lamp.DARK)

    def sizeHint(self) -> QSize:  # noqa: N802  # Qt's name
        return QSize(64, 14)

    def show_lamp(self, lamp: Lamp) -> None:
        self._lamp = lamp
        self.setAccessibleName(f"Lamp: {lamp.value}")
        self._flash_is_on = True
        if lamp is Lamp.RINGING and not self._timer.isActive():
            self._timer.start()
        elif lamp is not Lamp.RINGING:
            self._timer.stop()
        self.update()

    def _flash(self) -> None:
        self._flash_is_on = not self._flash_is_on
        self.update()

    def _colour(self) -> QColor:
        return _COLOURS[self._lamp] if self._flash_is_on else colours.LAMP_DARK

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  # Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        bar = QRectF(self.rect()).adjusted(1, 3, -1, -3)
        light = QRadialGradient(bar.center(), bar.width() / 2)
        light.setColorAt(0, self._colour().lighter(130))
        light.setColorAt(1, self._colour())
        painter.setPen(QPen(colours.BODY_EDGE, 1))
        painter.setBrush(light)
        painter.drawRoundedRect(bar, bar.height() / 2, bar.height() / 2)
        painter.setPen(Qt.PenStyle.NoPen)
