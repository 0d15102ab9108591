"""Where the phone's parts are put together."""

from __future__ import annotations

import signal
import sys
import time
from types import TracebackType

from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication

from softphone.engine.client import EngineClient
from softphone.session import PhoneSession
from softphone.settings import Settings
from softphone.ui.window import PhoneWindow


def run_window(settings: Settings) -> int:
    """Open the phone's window and run until it is closed. Returns an exit code."""
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Tollbell phone")
    _end_in_order_after_a_fault(application)
    session = PhoneSession(
        settings, start_engine=lambda: EngineClient(log_path=settings.log_path), now=time.monotonic()
    )
    try:
        window = PhoneWindow(session, clock=time.monotonic)
        _close_on_signals(window)
        window.show()
        return application.exec()
    finally:
        session.close()


def _end_in_order_after_a_fault(application: QApplication) -> None:
    """Without this, PyQt aborts the process at the first exception that leaves a slot."""

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.__excepthook__(kind, error, trace)
        application.exit(1)

    sys.excepthook = end


def _close_on_signals(window: PhoneWindow) -> None:
    """Ctrl-C and a plain kill close the window, which hangs up and unregisters."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())
    # Python runs signal handlers between its own instructions, of which an idle Qt loop executes none.
    ticker = QTimer(window)
    ticker.timeout.connect(lambda: None)
    ticker.start(200)
