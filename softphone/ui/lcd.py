"""The display: number large, who and what around it, the call timer at the right."""

from __future__ import annotations

from typing import Final

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QFont, QFontMetricsF, QLinearGradient, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QSizePolicy, QWidget

from softphone.phone.display import Display
from softphone.ui import colours

_PADDING: Final = 14.0
_MAIN_SIZES_PX: Final = (38, 30, 24, 19, 15)


class Lcd(QWidget):
    """Paints a Display. `show_display` replaces it; the text is also there for screen readers."""

    def __init__(self, number: str) -> None:
        super().__init__()
        self._number = number
        self._display: Display | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Display")

    def sizeHint(self) -> QSize:  # noqa: N802  # Qt's name
        return QSize(320, 132)

    @property
    def display(self) -> Display | None:
        return self._display

    def show_display(self, display: Display) -> None:
        if display == self._display:
            return
        self._display = display
        parts = (display.status, display.name, display.main, display.detail, display.call_timer)
        self.setAccessibleDescription(", ".join(part for part in parts if part))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  # Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        glass = QLinearGradient(frame.topLeft(), frame.bottomLeft())
        glass.setColorAt(0, colours.LCD_TOP)
        glass.setColorAt(1, colours.LCD_BOTTOM)
        painter.setPen(QPen(colours.BODY_EDGE, 1))
        painter.setBrush(glass)
        painter.drawRoundedRect(frame, 6, 6)
        if self._display is not None:
            inner = frame.adjusted(_PADDING, _PADDING * 0.7, -_PADDING, -_PADDING * 0.7)
            self._paint_text(painter, inner, self._display)

    def _paint_text(self, painter: QPainter, area: QRectF, display: Display) -> None:
        small = _font(13)
        row = QFontMetricsF(small).height()
        top = QRectF(area.left(), area.top(), area.width(), row)
        bottom = QRectF(area.left(), area.bottom() - row, area.width(), row)
        middle = QRectF(area.left(), top.bottom(), area.width(), bottom.top() - top.bottom())
        left, right = Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight

        painter.setPen(colours.LCD_FAINT)
        painter.setFont(small)
        painter.drawText(top, left, f"Line {self._number}")
        painter.drawText(top, right, _shortened(display.status, small, area.width() * 0.7))
        painter.setPen(colours.LCD_INK)
        timer_width = QFontMetricsF(small).horizontalAdvance(display.call_timer) + 12
        painter.drawText(bottom, left, _shortened(display.detail, small, area.width() - timer_width))
        painter.drawText(bottom, right, display.call_timer)
        if display.name:
            name_row = QRectF(middle.left(), middle.bottom() - row - 1, middle.width(), row)
            painter.drawText(name_row, left, _shortened(display.name, small, middle.width()))
            middle.setBottom(name_row.top())
        font = _fitting_font(display.main, middle.width(), middle.height())
        painter.setFont(font)
        # A number that is still too long keeps its end, where the last key appears.
        text = QFontMetricsF(font).elidedText(display.main, Qt.TextElideMode.ElideLeft, middle.width())
        painter.drawText(middle, left | Qt.AlignmentFlag.AlignVCenter, text)


def _font(pixels: int) -> QFont:
    font = QFont("DejaVu Sans Mono")
    font.setStyleHint(QFont.StyleHint.Monospace)
    font.setPixelSize(pixels)
    return font


def _fitting_font(text: str, width: float, height: float) -> QFont:
    for pixels in _MAIN_SIZES_PX:
        font = _font(pixels)
        metrics = QFontMetricsF(font)
        if metrics.horizontalAdvance(text) <= width and metrics.height() <= height:
            return font
    return _font(_MAIN_SIZES_PX[-1])


def _shortened(text: str, font: QFont, width: float) -> str:
    return QFontMetricsF(font).elidedText(text, Qt.TextElideMode.ElideRight, width)
