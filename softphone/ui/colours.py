"""The phone's materials: dark plastic, a pale green display, two keys of colour."""

from __future__ import annotations

from typing import Final

from PyQt6.QtGui import QColor

DESK: Final = QColor("#e9ebee")
BODY_TOP: Final = QColor("#3a3f47")
BODY_BOTTOM: Final = QColor("#23272d")
BODY_EDGE: Final = QColor("#15181c")
WELL: Final = QColor("#1b1e23")

HANDSET_LIGHT: Final = QColor("#565d68")
HANDSET_DARK: Final = QColor("#2c3138")
CORD: Final = QColor("#14171b")

KEY_TOP: Final = QColor("#f4f5f7")
KEY_BOTTOM: Final = QColor("#d5d9de")
KEY_PRESSED: Final = QColor("#bcc2ca")
KEY_EDGE: Final = QColor("#111418")
KEY_TEXT: Final = QColor("#1d2127")
KEY_LETTERS: Final = QColor("#69717c")

GREEN: Final = QColor("#2f9e5b")
RED: Final = QColor("#c8453b")
GREY_KEY: Final = QColor("#7b838e")

LCD_TOP: Final = QColor("#cfdcc6")
LCD_BOTTOM: Final = QColor("#bccdb3")
LCD_INK: Final = QColor("#1f2b20")
LCD_FAINT: Final = QColor("#5d6f5b")

LAMP_DARK: Final = QColor("#4a1f1d")
LAMP_RED: Final = QColor("#ff4b3e")
LAMP_GREEN: Final = QColor("#35d07f")
LAMP_AMBER: Final = QColor("#f2a93b")
ENGRAVING: Final = QColor("#9aa2ad")
