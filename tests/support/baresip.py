"""baresip as a phone (Debian's baresip-core 1.0): a real SIP stack of another make, with sound.

It is driven over its control connection (`ctrl_tcp`: JSON in netstrings), plays a WAV file as its microphone
and writes what it hears to another.
"""

import contextlib
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.system import eventually
from tests.support.tones import dominant_frequency_hz, read_wav, tone, write_wav

_RATE = 8000
_CONFIG = """
sip_listen 127.0.0.1:0
net_interface 127.0.0.1
call_local_timeout 60
audio_source aufile,{directory}/spoken.wav
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
snd_path {directory}
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports 20000-40000
ctrl_tcp_listen 127.0.0.1:{port}
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
"""


class Baresip:
    """One running baresip with one account."""

    def __init__(
        self,
        directory: Path,
        *,
        number: str,
        password: str,
        server: tuple[str, int],
        transport: str,
        certificate: Path | None = None,
        answers: bool = False,
        tone_hz: int = 440,
    ) -> None:
        """`answers`: takes every call at once. `tone_hz` is what it says.

        `certificate` is what it trusts over TLS.
        """
        directory.mkdir(parents=True)
        self.directory = directory
        port = free_port()
        write_wav(directory / "spoken.wav", tone(tone_hz, seconds=30, rate_hz=_RATE))
        config = _CONFIG.format(directory=directory, port=port)
        if certificate is not None:
            config += f"sip_cafile {certificate}\n"
        (directory / "config").write_text(config)
        (directory / "contacts").write_text("")
        (directory / "accounts").write_text(
            f"<sip:{number}@{server[0]}:{server[1]};transport={transport}>"
            f";auth_user={number};auth_pass={password};regint=60"
            f";answermode={'auto' if answers else 'manual'};audio_codecs=PCMU\n"
        )
        self._screen = (directory / "screen").open("wb")
        self._process = subprocess.Popen(
            ["baresip", "-f", str(directory), "-v"],
            stdin=subprocess.DEVNULL,
            stdout=self._screen,
            stderr=subprocess.STDOUT,
        )
        self.events: list[dict[str, Any]] = []
        self._control = self._connected(port)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _connected(self, port: int) -> socket.socket:
        def connect() -> socket.socket | None:
            with contextlib.suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", port), 5)
            return None

        try:
            control: socket.socket = eventually(connect, "baresip takes commands", 10)
        except AssertionError:
            self._end()
            raise
        control.settimeout(None)
        return control

    def _read(self) -> None:
        buffer = b""
        while data := self._control.recv(65_536):
            buffer += data
            while match := re.match(rb"(\d+):", buffer):
                end = match.end() + int(match[1])
                if len(buffer) <= end:
                    break
                message = json.loads(buffer[match.end() : end])
                buffer = buffer[end + 1 :]
                if message.get("event"):
                    self.events.append(message)

    def command(self, name: str, parameters: str = "") -> None:
        """Give a command of baresip's menu, such as `dial`."""
        text = json.dumps({"command": name, "params": parameters, "token": "test"})
        self._control.sendall(f"{len(text)}:{text},".encode())

    def dial(self, number: str) -> None:
        self.command("dial", number)

    def answer(self) -> None:
        self.command("accept")

    def hang_up(self) -> None:
        self.command("hangup")

    def wait_for(self, event: str, timeout_s: float = 15) -> dict[str, Any]:
        """Wait for an event such as `CALL_ESTABLISHED` or `CALL_CLOSED`; return the first."""
        found: list[dict[str, Any]] = eventually(
            lambda: [one for one in self.events if one["type"] == event],
            f"{event} at baresip; it said: {self.said()}",
            timeout_s,
        )
        return found[0]

    def wait_until_registered(self) -> None:
        """Wait until it has registered. (It may have done so before anybody could hear its events.)"""
        self.wait_until_said("200 OK")

    def wait_until_said(self, text: str) -> None:
        """Wait until this is on its screen."""
        eventually(lambda: text in self.said(), f"baresip says {text!r}", 15)

    def said(self) -> str:
        """The end of its screen."""
        return (self.directory / "screen").read_text(errors="replace")[-3000:]

    def heard_hz(self) -> float:
        """The frequency of what it has heard, once the call is over."""
        (heard,) = self.directory.glob("dump-*-dec.wav")
        return dominant_frequency_hz(read_wav(heard).loudest(0.5))

    def close(self) -> None:
        """End it."""
        self._end()
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._reader.join()
        self._control.close()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._screen.close()


@contextmanager
def baresip(directory: Path, **options: Any) -> Iterator[Baresip]:
    """A baresip for the length of a test."""
    made = Baresip(directory, **options)
    try:
        yield made
    finally:
        made.close()
