"""The keys: twelve pale ones with letters, and wide ones in colour."""

from __future__ import annotations

from typing import Final

from PyQt6.QtCore import QRectF, QSize, Qt
from PyQt6.QtGui import QColor, QFont, QLinearGradient, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QAbstractButton, QWidget

from softphone.ui import colours

# ITU-T E.161.
LETTERS: Final = {
    "2": "ABC",
    "3": "DEF",
    "4": "GHI",
    "5": "JKL",
    "6": "MNO",
    "7": "PQRS",
    "8": "TUV",
    "9": "WXYZ",
    "0": "+",
}


class _Key(QAbstractButton):
    """A rounded cap that sinks by a pixel when it is pressed."""

    def __init__(
        self, name: str, *, size: QSize, top: QColor, bottom: QColor, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._size, self._top, self._bottom = size, top, bottom
        self.setAccessibleName(name)
        self.setToolTip(name)
        self.setFocusPolicy(
            Qt.FocusPolicy.NoFocus
        )  # digits typed on the keyboard must not depend on the focus
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:  # noqa: N802  # Qt's name
        return self._size

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  # Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cap = QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -3.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colours.KEY_EDGE)
        painter.drawRoundedRect(cap.translated(0, 2), 8, 8)
        top, bottom = self._top, self._bottom
        if self.isDown():
            cap.translate(0, 1.5)
            top = bottom
        elif self.underMouse():
            top, bottom = top.lighter(104), bottom.lighter(104)
        gradient = QLinearGradient(cap.topLeft(), cap.bottomLeft())
        gradient.setColorAt(0, top)
        gradient.setColorAt(1, bottom)
        painter.setPen(QPen(bottom.darker(135), 1))
        painter.setBrush(gradient)
        painter.drawRoundedRect(cap, 8, 8)
        self.paint_cap(painter, cap)

    def paint_cap(self, painter: QPainter, cap: QRectF) -> None:
        raise NotImplementedError


class DigitKey(_Key):
    """A key of the keypad, with its letters under the digit."""

    def __init__(self, digit: str) -> None:
        super().__init__(
            {"*": "star", "#": "hash"}.get(digit, digit),
            size=QSize(72, 50),
            top=colours.KEY_TOP,
            bottom=colours.KEY_BOTTOM,
        )
        self.digit = digit

    def paint_cap(self, painter: QPainter, cap: QRectF) -> None:
        letters = LETTERS.get(self.digit, "")
        upper = QRectF(cap.left(), cap.top() + 3, cap.width(), cap.height() * (0.62 if letters else 0.92))
        painter.setPen(colours.KEY_TEXT)
        painter.setFont(_font(22 if self.digit != "*" else 26, bold=True))
        painter.drawText(upper, Qt.AlignmentFlag.AlignCenter, self.digit if self.digit != "*" else "∗")
        if letters:
            lower = QRectF(cap.left(), upper.bottom() - 2, cap.width(), cap.bottom() - upper.bottom())
            painter.setPen(colours.KEY_LETTERS)
            painter.setFont(_font(10))
            painter.drawText(lower, Qt.AlignmentFlag.AlignCenter, letters)


class ActionKey(_Key):
    """A coloured key with a word on it."""

    def __init__(self, text: str, name: str, colour: QColor) -> None:
        super().__init__(name, size=QSize(72, 44), top=colour.lighter(112), bottom=colour.darker(108))
        self.setText(text)

    def paint_cap(self, painter: QPainter, cap: QRectF) -> None:
        painter.setPen(Qt.GlobalColor.white)
        painter.setFont(_font(13, bold=True))
        painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, self.text())


def _font(pixels: int, *, bold: bool = False) -> QFont:
    font = QFont("DejaVu Sans")
    font.setStyleHint(QFont.StyleHint.SansSerif)
    font.setPixelSize(pixels)
    font.setBold(bold)
    return font
