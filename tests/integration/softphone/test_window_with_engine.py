"""The window with a real engine behind it: painting and talking at the same time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from PyQt6.QtCore import Qt
from PyQt6.QtTest import QTest
from PyQt6.QtWidgets import QApplication

from softphone.engine.client import EngineClient
from softphone.engine.commands import Transport
from softphone.phone.display import Display, Lamp
from softphone.session import PhoneSession
from softphone.settings import Settings
from softphone.ui.window import PhoneWindow
from tests.integration.softphone.bare_registrar import BareRegistrar
from tests.support.softphone import phone


@pytest.fixture
def registrar() -> Iterator[BareRegistrar]:
    with BareRegistrar(
        password="secret",
        refuse_calls_with=("SIP/2.0 404 Not Found", 'Reason: Q.850;cause=1;text="No number 0009"'),
    ) as registrar:
        yield registrar


@pytest.fixture
def window(registrar: BareRegistrar) -> Iterator[PhoneWindow]:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QApplication.instance() or QApplication(["softphone"])
    settings = Settings(
        number="0001",
        password="secret",
        server=registrar.server,
        domain="tollbell.local",
        transport=Transport.UDP,
    )
    session = PhoneSession(settings, start_engine=EngineClient, now=time.monotonic())
    window = PhoneWindow(session, clock=time.monotonic)
    window.show()
    process_until(lambda: shown(window).status == "Ready")
    yield window
    window.close()
    window.deleteLater()
    application.processEvents()


def shown(window: PhoneWindow) -> Display:
    assert window.lcd.display is not None
    return window.lcd.display


def process_until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        QApplication.processEvents()
        time.sleep(0.005)


def click(window: PhoneWindow, keys: str) -> None:
    for key in keys:
        QTest.mouseClick(window.keys[key], Qt.MouseButton.LeftButton)


def test_a_call_is_answered_heard_timed_and_ended(window: PhoneWindow, registrar: BareRegistrar) -> None:
    with phone("0002") as bob:
        bob.call(registrar.accepted()[-1].headers["contact"].split("<")[1].split(">")[0])
        process_until(lambda: shown(window).lamp is Lamp.RINGING)
        assert shown(window).detail == "Incoming call"
        bob.wait_until_ringing()

        QTest.mouseClick(window.handset, Qt.MouseButton.LeftButton)
        bob.wait_until_talking()
        process_until(lambda: shown(window).call_timer == "00:01")
        click(window, "5#")
        process_until(lambda: shown(window).detail == "Connected  5#")
        bob.expect_dtmf("5#")
        QTest.mouseClick(window.red_key, Qt.MouseButton.LeftButton)

        assert bob.wait_for_end().status == 200
        assert shown(window).detail == "On hook"


def test_a_number_that_does_not_exist_is_explained_in_the_display(window: PhoneWindow) -> None:
    click(window, "0009")
    QTest.mouseClick(window.green_key, Qt.MouseButton.LeftButton)

    process_until(lambda: shown(window).detail == "No number 0009")
    assert window.handset.is_lifted


def test_an_engine_that_is_killed_is_replaced_and_registers_again(
    window: PhoneWindow, registrar: BareRegistrar
) -> None:
    engine = window._session._engine
    assert isinstance(engine, EngineClient)
    before = len(registrar.accepted())

    os.kill(engine.process_id, signal.SIGKILL)

    process_until(lambda: shown(window).status == "Starting again…")
    process_until(lambda: shown(window).status == "Ready")
    assert len(registrar.accepted()) > before
