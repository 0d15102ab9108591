"""The window, drawn to memory: clicks and keystrokes in, commands and a display out."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QAbstractButton, QApplication

from softphone.engine import commands, events
from softphone.engine.events import CallState, CallStateChanged
from softphone.engine.sound import Side
from softphone.phone.display import Display, Lamp
from softphone.session import PhoneSession
from softphone.ui.window import PhoneWindow
from tests.unit.softphone.fake_engine import SETTINGS, FakeEngine


class Bench:
    """A window on a fake engine, whose clock the test moves and whose socket the test makes readable."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ours, self._theirs = socket.socketpair()
        self.engines: list[FakeEngine] = []
        self.session = PhoneSession(SETTINGS, start_engine=self._start_engine, now=0.0)
        self.window = PhoneWindow(self.session, clock=lambda: self.now)
        self.window.show()

    def _start_engine(self) -> FakeEngine:
        self.engines.append(FakeEngine(descriptor=self._theirs.fileno()))
        return self.engines[-1]

    @property
    def display(self) -> Display:
        assert self.window.lcd.display is not None
        return self.window.lcd.display

    @property
    def last_command(self) -> commands.Command:
        return self.engines[-1].taken[-1]

    def click(self, button: QAbstractButton) -> None:
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)

    def type(self, text: str) -> None:
        QTest.keyClicks(self.window, text)

    def strike(self, key: Qt.Key) -> None:
        QTest.keyClick(self.window, key)

    def tell(self, *told: events.Event) -> None:
        """The engine's events arrive the way they do in earnest: the descriptor becomes readable."""
        engine = self.engines[-1]
        engine.events.extend(told)
        self._ours.send(b"!")
        process_until(lambda: not engine.events)
        self._theirs.recv(1)

    def ring(self) -> None:
        self.tell(events.IncomingCall(call="in-1", number="0002", display_name="Bob Baker", uri="sip:0002@x"))

    def close(self) -> None:
        self.window.close()
        self.window.deleteLater()
        QApplication.processEvents()
        self._ours.close()
        self._theirs.close()


def process_until(condition: Callable[[], bool], *, timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        QApplication.processEvents()


@pytest.fixture(scope="module")
def application() -> QApplication:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    existing = QApplication.instance()
    return existing if isinstance(existing, QApplication) else QApplication(["softphone"])


@pytest.fixture
def bench(application: QApplication) -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_the_display_tells_who_the_phone_is_and_that_it_is_ready(bench: Bench) -> None:
    assert bench.display.status == "Connecting…"

    bench.tell(events.Registered(number="0001", expires_s=120))

    assert (bench.display.main, bench.display.status, bench.display.detail) == ("0001", "Ready", "On hook")
    assert "Ready" in bench.window.lcd.accessibleDescription()
    assert "0001" in bench.window.windowTitle()


def test_every_key_can_be_clicked(bench: Bench) -> None:
    for digit in "1234567890*#":
        bench.click(bench.window.keys[digit])

    assert bench.display.main == "1234567890*#"


def test_clicking_a_call_together(bench: Bench) -> None:
    bench.click(bench.window.handset)
    assert bench.window.handset.is_lifted
    assert isinstance(bench.last_command, commands.PlayTone)
    for digit in "0002":
        bench.click(bench.window.keys[digit])
    bench.click(bench.window.green_key)

    assert bench.last_command == commands.PlaceCall(call="out-1", target="0002")
    assert bench.display.detail == "Calling…"


def test_typing_a_call(bench: Bench) -> None:
    bench.type("00029")
    bench.strike(Qt.Key.Key_Backspace)
    assert bench.display.main == "0002"
    bench.strike(Qt.Key.Key_Return)
    assert bench.last_command == commands.PlaceCall(call="out-1", target="0002")

    bench.strike(Qt.Key.Key_Escape)

    assert commands.HangUp(call="out-1") in bench.engines[0].taken
    assert not bench.window.handset.is_lifted


def test_the_space_bar_is_the_hook(bench: Bench) -> None:
    bench.strike(Qt.Key.Key_Space)
    assert bench.display.detail == "Dial a number"

    bench.strike(Qt.Key.Key_Space)

    assert bench.last_command == commands.StopPlaying(side=Side.EAR)
    assert bench.display.detail == "On hook"


@pytest.mark.parametrize("text", ["a", "+", "x"])
def test_other_keys_of_the_keyboard_do_nothing(bench: Bench, text: str) -> None:
    before = list(bench.engines[0].taken)

    bench.type(text)

    assert bench.display.main == "0001"
    assert bench.engines[0].taken == before


def test_a_call_rings_is_answered_and_timed(bench: Bench) -> None:
    bench.ring()
    assert (bench.display.main, bench.display.name, bench.display.lamp) == ("0002", "Bob Baker", Lamp.RINGING)
    assert (bench.window.green_key.text(), bench.window.red_key.text()) == ("Answer", "Refuse")

    bench.click(bench.window.green_key)
    assert bench.last_command == commands.Answer(call="in-1")
    bench.tell(CallStateChanged(call="in-1", state=CallState.CONNECTED, status=200, reason="OK"))
    assert (bench.window.green_key.text(), bench.window.red_key.text()) == ("Call", "End")
    bench.now = 61.0

    process_until(lambda: bench.display.call_timer == "01:01")  # by the window's own timer
    bench.tell(CallStateChanged(call="in-1", state=CallState.ENDED, status=200, reason="OK"))
    assert bench.display.detail == "Call ended"


def test_a_call_is_refused_with_the_red_key(bench: Bench) -> None:
    bench.ring()

    bench.click(bench.window.red_key)

    assert bench.last_command == commands.Reject(call="in-1", status=486)
    assert bench.display.lamp is not Lamp.RINGING


def test_the_pause_after_dialling_is_kept_by_the_window(bench: Bench) -> None:
    bench.click(bench.window.handset)
    bench.type("9911")
    bench.now = 3.99
    bench.window._timer.start(0)
    process_until(lambda: bench.window._timer.remainingTime() != 0)
    assert bench.display.detail == "Dialling"

    bench.now = 4.0

    process_until(lambda: bench.last_command == commands.PlaceCall(call="out-1", target="9911"))


def test_a_new_engine_is_listened_to(bench: Bench) -> None:
    bench.tell(events.EngineFailed(exit_code=-6, reason="SIGABRT"))
    assert bench.display.status == "Starting again…"
    bench.now = 10.0

    process_until(lambda: len(bench.engines) == 2)
    bench.tell(events.Registered(number="0001", expires_s=120))

    assert bench.display.status == "Ready"


def test_closing_the_window_shuts_the_engine_down(bench: Bench) -> None:
    bench.window.close()

    assert bench.engines[0].was_shut_down


def test_the_face_is_painted_differently_in_different_states(bench: Bench) -> None:
    bench.tell(events.Registered(number="0001", expires_s=120))
    idle = bench.window.grab().toImage()
    assert idle == bench.window.grab().toImage()

    bench.click(bench.window.handset)
    lifted = bench.window.grab().toImage()

    assert idle != lifted
    assert idle.pixelColor(5, 5) == lifted.pixelColor(5, 5)


def test_a_number_too_long_for_the_display_is_painted_all_the_same(bench: Bench) -> None:
    bench.type("1234567890" * 12)

    assert not bench.window.grab().isNull()
    assert len(bench.display.main) == 120
