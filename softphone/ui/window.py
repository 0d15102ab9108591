"""The phone on the screen: turns clicks and keystrokes into the phone's inputs, and shows its face."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from PyQt6.QtCore import QRectF, QSocketNotifier, Qt, QTimer
from PyQt6.QtGui import QCloseEvent, QColor, QFont, QKeyEvent, QLinearGradient, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from PyQt6.sip import voidptr

from softphone.phone.desk_phone import KEYS
from softphone.phone.face import display_of
from softphone.phone.states import PhoneState
from softphone.session import PhoneSession
from softphone.ui import colours
from softphone.ui.handset import Handset
from softphone.ui.keys import ActionKey, DigitKey
from softphone.ui.lamp import LampBar
from softphone.ui.lcd import Lcd

_CALL_TIMER_S: Final = 0.25


class PhoneWindow(QWidget):
    """One phone. It reads the engine's events when they arrive, so painting never waits for the engine."""

    def __init__(self, session: PhoneSession, *, clock: Callable[[], float]) -> None:
        super().__init__()
        self._session = session
        self._clock = clock
        self._notifier: QSocketNotifier | None = None
        self._watched_generation = -1
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._on_timer)
        self.setWindowTitle(f"{session.phone.number} – Tollbell phone")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

        self.lamp = LampBar()
        self.lcd = Lcd(session.phone.number)
        self.handset = Handset()
        self.keys = {digit: DigitKey(digit) for digit in KEYS}
        self.green_key = ActionKey("Call", "Call or answer (Enter)", colours.GREEN)
        self.red_key = ActionKey("End", "Hang up or refuse (Escape)", colours.RED)
        self.erase_key = ActionKey("⌫", "Erase the last digit (Backspace)", colours.GREY_KEY)
        self._lay_out()
        self._connect()
        self._refresh()
        self.setFixedSize(self.sizeHint())

    def _lay_out(self) -> None:
        keypad = QGridLayout()
        keypad.setSpacing(8)
        for index, key in enumerate(self.keys.values()):
            keypad.addWidget(key, index // 3, index % 3)
        for column, action in enumerate((self.green_key, self.erase_key, self.red_key)):
            keypad.addWidget(action, 4, column)
        brand = QLabel("tollbell")
        brand_font = QFont("DejaVu Sans")
        brand_font.setPixelSize(13)
        brand_font.setLetterSpacing(QFont.SpacingType.AbsoluteSpacing, 2)
        brand.setFont(brand_font)
        brand.setStyleSheet(f"color: {colours.ENGRAVING.name()}")
        header = QHBoxLayout()
        header.addWidget(brand)
        header.addStretch()
        header.addWidget(self.lamp)
        face = QVBoxLayout()
        face.setSpacing(12)
        face.addLayout(header)
        face.addWidget(self.lcd)
        face.addSpacing(4)
        face.addLayout(keypad)
        whole = QHBoxLayout(self)
        whole.setContentsMargins(30, 36, 46, 44)
        whole.setSpacing(14)
        whole.addWidget(self.handset)
        whole.addLayout(face)

    def _connect(self) -> None:
        for digit, key in self.keys.items():
            key.pressed.connect(lambda digit=digit: self._press(digit))
        self.green_key.clicked.connect(self._press_green)
        self.red_key.clicked.connect(self._press_red)
        self.erase_key.clicked.connect(self._press_erase)
        self.handset.clicked.connect(self._toggle_hook)

    # -- inputs --

    def _press(self, digit: str) -> None:
        self._session.phone.press_key(digit, self._clock())
        self._refresh()

    def _press_green(self) -> None:
        self._session.phone.press_green_key(self._clock())
        self._refresh()

    def _press_red(self) -> None:
        self._session.phone.press_red_key()
        self._refresh()

    def _press_erase(self) -> None:
        self._session.phone.press_erase(self._clock())
        self._refresh()

    def _toggle_hook(self) -> None:
        if self._session.phone.is_off_hook:
            self._session.phone.replace_handset()
        else:
            self._session.phone.lift_handset(self._clock())
        self._refresh()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802  # Qt's name
        if event is None or event.isAutoRepeat():
            return
        actions: dict[int, Callable[[], None]] = {
            Qt.Key.Key_Return: self._press_green,
            Qt.Key.Key_Enter: self._press_green,
            Qt.Key.Key_Escape: self._press_red,
            Qt.Key.Key_Backspace: self._press_erase,
            Qt.Key.Key_Space: self._toggle_hook,
        }
        if action := actions.get(event.key()):
            action()
        elif event.text() and event.text() in KEYS:
            self._press(event.text())
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  # Qt's name
        self._timer.stop()
        self._unwatch()
        self._session.close()
        super().closeEvent(event)

    # -- the engine and the clock --

    def _on_readable(self) -> None:
        self._session.handle_readable(self._clock())
        self._refresh()

    def _on_timer(self) -> None:
        self._session.handle_timer(self._clock())
        self._refresh()

    def _refresh(self) -> None:
        """After every input: carry out what it meant, show it, and be woken for what comes next."""
        self._session.flush()
        now = self._clock()
        phone = self._session.phone
        display = display_of(phone, now)
        self.lcd.show_display(display)
        self.lamp.show_lamp(display.lamp)
        self.handset.set_lifted(lifted=phone.is_off_hook)
        self.green_key.setText("Answer" if phone.state is PhoneState.RINGING_IN else "Call")
        self.red_key.setText("Refuse" if phone.state is PhoneState.RINGING_IN else "End")
        self._watch()
        deadline = self._session.next_deadline()
        if phone.state is PhoneState.TALKING:
            deadline = min(now + _CALL_TIMER_S, deadline if deadline is not None else float("inf"))
        if deadline is None:
            self._timer.stop()
        else:
            self._timer.start(max(0, round((deadline - now) * 1000)))

    def _watch(self) -> None:
        """Follow the session from engine to engine."""
        if self._watched_generation == self._session.generation:
            return
        self._unwatch()
        self._watched_generation = self._session.generation
        descriptor = self._session.fileno()
        if descriptor is not None:
            self._notifier = QSocketNotifier(voidptr(descriptor), QSocketNotifier.Type.Read, self)
            self._notifier.activated.connect(self._on_readable)

    def _unwatch(self) -> None:
        if self._notifier is not None:
            self._notifier.setEnabled(False)
            self._notifier.deleteLater()
            self._notifier = None

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802  # Qt's name
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), colours.DESK)
        body = QRectF(self.rect()).adjusted(18, 14, -18, -24)
        painter.setPen(Qt.PenStyle.NoPen)
        shadow = QColor(colours.BODY_EDGE)
        shadow.setAlpha(4)
        painter.setBrush(shadow)
        for spread in range(1, 18):
            painter.drawRoundedRect(
                body.adjusted(-spread, 6 - spread, spread, 6 + spread), 24 + spread, 24 + spread
            )
        plastic = QLinearGradient(body.topLeft(), body.bottomLeft())
        plastic.setColorAt(0, colours.BODY_TOP)
        plastic.setColorAt(1, colours.BODY_BOTTOM)
        painter.setPen(QPen(colours.BODY_EDGE, 1))
        painter.setBrush(plastic)
        painter.drawRoundedRect(body, 24, 24)
