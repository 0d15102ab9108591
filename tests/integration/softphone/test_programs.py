"""`python -m softphone`, started as a user starts it: without a window, and with one drawn to memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from softphone.engine.events import CallState
from tests.integration.softphone.bare_registrar import BareRegistrar
from tests.support.softphone import phone


class Program:
    """A running phone: its lines are collected as they come."""

    def __init__(self, *arguments: str, environment: dict[str, str]) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "softphone", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._lines.append("(end)")
            self._changed.notify_all()

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, start: str, *, timeout_s: float = 10.0) -> str:
        """The first line that begins like this and was not expected before."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                for index, line in enumerate(self._lines):
                    if line.startswith(start):
                        del self._lines[index]
                        return line
                assert self._changed.wait(deadline - time.monotonic()), f"no {start!r} in {self._lines}"

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@contextmanager
def program(*arguments: str, **environment: str) -> Iterator[Program]:
    running = Program(*arguments, environment={"TOLLBELL_PHONE_PASSWORD": "secret", **environment})
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def registrar() -> Iterator[BareRegistrar]:
    with BareRegistrar(password="secret") as registrar:
        yield registrar


def contact_of(registrar: BareRegistrar) -> str:
    """Where the phone that registered can be called directly."""
    return registrar.accepted()[-1].headers["contact"].split("<")[1].split(">")[0]


def test_a_script_holds_a_conversation(registrar: BareRegistrar, tmp_path: Path) -> None:
    with program("0001", "--headless", "--server", registrar.server) as script, phone("0002") as bob:
        script.expect("started 127.0.0.1:")
        script.expect("registered 0001 for 60 s")
        script.say("call 0009")
        script.expect("call out-1 ended 404 Not Found")
        bob.call(contact_of(registrar))
        script.expect("incoming in-1")
        script.say("answer")
        script.expect("sound in-1 G722/16000")
        script.expect("call in-1 connected 200 OK")
        bob.wait_until_talking()

        script.say("tone 440")
        bob.hear_frequency(440)
        script.say(f"record {tmp_path / 'heard.wav'}")
        script.say("dtmf 12")
        bob.expect_dtmf("12")
        bob.send_dtmf("9")
        script.expect("dtmf in-1 9")
        script.say("stop recording")
        script.expect(f"recorded {tmp_path / 'heard.wav'}")
        script.say("dance")
        script.expect("error commands: call NUMBER")
        script.say("hang up")
        bob.wait_for_end()
        script.expect("call in-1 ended 200")
        script.say("answer")
        script.expect("error there is no call")
        script.say("quit")
        script.expect("stopped")

        assert script.process.wait(10) == 0
    assert registrar.accepted()[-1].expires_s == 0


def test_the_end_of_the_script_is_the_end_of_the_phone(registrar: BareRegistrar) -> None:
    with program("0001", "--headless", "--server", registrar.server) as script:
        script.expect("registered")
        assert script.process.stdin is not None

        script.process.stdin.close()

        assert script.process.wait(10) == 0
    assert registrar.accepted()[-1].expires_s == 0


def test_a_phone_that_answers_by_itself_stays_when_there_is_no_script(registrar: BareRegistrar) -> None:
    with (
        program("0001", "--headless", "--auto-answer", "--server", registrar.server) as machine,
        phone("0002") as bob,
    ):
        machine.expect("registered")
        assert machine.process.stdin is not None
        machine.process.stdin.close()

        bob.call(contact_of(registrar))
        bob.wait_until_talking()

        machine.process.send_signal(signal.SIGTERM)
        assert bob.wait_for_end().status == 200
        assert machine.process.wait(10) == 130


def test_the_death_of_the_engine_is_told_and_ends_the_script(registrar: BareRegistrar) -> None:
    with program("0001", "--headless", "--server", registrar.server) as script:
        script.expect("registered")
        children = Path(f"/proc/{script.process.pid}/task/{script.process.pid}/children").read_text().split()
        (engine_process_id,) = map(int, children)

        os.kill(engine_process_id, signal.SIGKILL)

        assert "SIGKILL" in script.expect("engine failed")
        assert script.process.wait(10) == 1


def test_a_wrong_password_is_told(registrar: BareRegistrar) -> None:
    with program(
        "0001", "--headless", "--server", registrar.server, TOLLBELL_PHONE_PASSWORD="wrong"
    ) as script:
        assert script.expect("registration failed") == "registration failed 0001 401 Unauthorized"


def test_a_phone_without_password_does_not_start(tmp_path: Path) -> None:
    with program("0001", "--headless", TOLLBELL_PHONE_PASSWORD="", TOLLBELL_VAR=str(tmp_path)) as script:
        assert "--password-file" in script.expect("softphone: there is no password for 0001")
        assert script.process.wait(10) == 2


def test_the_window_opens_is_called_and_closes_in_order(registrar: BareRegistrar) -> None:
    with (
        program("0001", "--server", registrar.server, QT_QPA_PLATFORM="offscreen") as window,
        phone("0002") as bob,
    ):
        deadline = time.monotonic() + 10
        while not registrar.accepted():
            assert time.monotonic() < deadline
            time.sleep(0.02)

        bob.call(contact_of(registrar))
        assert bob.wait_until_ringing().status == 180
        window.process.send_signal(signal.SIGTERM)

        # Its caller hears of it, and so does the registrar.
        assert bob.wait_for_state(CallState.ENDED).status == 603
        assert window.process.wait(10) == 0
    assert registrar.accepted()[-1].expires_s == 0
