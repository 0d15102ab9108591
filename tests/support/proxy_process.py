"""The exchange as a process of its own: `python -m sip_proxy` on free ports."""

import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.environment import clean_environment
from tests.support.fake_billing import SERVICE_TOKEN, FakeBilling
from tests.support.ports import free_port
from tests.support.system import ROOT, Response, eventually

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 15.0


_LISTENING = ("TOLLBELL_SIP_UDP", "TOLLBELL_SIP_TCP", "TOLLBELL_SIP_WS", "TOLLBELL_CONTROL_HTTP")


class ProxyProcess:
    """An exchange that can be stopped, killed and started again on the same ports and journal."""

    def __init__(self, var: Path, billing: FakeBilling, **settings: str) -> None:
        self.var = var
        self._settings = {
            **{name: f"127.0.0.1:{free_port()}" for name in _LISTENING},
            "TOLLBELL_BILLING_HTTP": billing.address,
            "TOLLBELL_SERVICE_TOKEN": SERVICE_TOKEN,
            "TOLLBELL_VAR": str(var),
            "TOLLBELL_LOG": "json",
            "PYTHONWARNINGS": "error",
            **settings,
        }
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self.lines: list[str] = []

    def start(self, *, wait: bool = True) -> None:
        """Start, and wait until phones are answered."""
        self.lines.clear()
        environment = clean_environment()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sip_proxy"],
            cwd=ROOT,
            env={**environment, **self._settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,))
        self._reader.start()
        if wait:
            self.wait_until_listening()

    def wait_until_listening(self) -> None:
        """Wait for the line that says where it listens, and keep those ports for the next start."""
        eventually(
            lambda: self.events("listening") or self.exit_code is not None,
            "the exchange listens",
            START_TIMEOUT_S,
        )
        assert self.events("listening"), "\n".join(self.lines)
        listening = self.events("listening")[0]
        for address in listening["sip"].split():
            transport, _, where = address.partition(":")
            self._settings[f"TOLLBELL_SIP_{transport.upper()}"] = where
        self._settings["TOLLBELL_CONTROL_HTTP"] = listening["control"]

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    def address(self, transport: str) -> tuple[str, int]:
        """Where phones reach it over `udp`, `tcp`, `tls` or `ws`."""
        host, _, port = self._settings[f"TOLLBELL_SIP_{transport.upper()}"].rpartition(":")
        return host.strip("[]"), int(port)

    def stop(self) -> None:
        """Stop as an operator does, and see that it ends well."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(STOP_TIMEOUT_S)
        self._finish()
        assert code == 0, "\n".join(self.lines)

    def kill(self) -> None:
        """`kill -9`."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._finish()

    def wait_for_end(self) -> int:
        """Wait until it ends by itself; return the exit code."""
        assert self._process is not None
        code = self._process.wait(START_TIMEOUT_S)
        self._finish()
        return code

    def _finish(self) -> None:
        if self._process is not None and self._reader is not None:
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()

    def events(self, name: str, **fields: Any) -> list[dict[str, Any]]:
        """The log lines of this kind, that have these fields."""
        found = []
        for line in list(self.lines):
            if line.startswith("{"):
                event = json.loads(line)
                if event["event"] == name and fields.items() <= event.items():
                    found.append(event)
        return found

    def control(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = SERVICE_TOKEN,
        timeout_s: float = 10.0,
    ) -> Response:
        """Call the control API."""
        url = f"http://{self._settings['TOLLBELL_CONTROL_HTTP']}{path}"
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, method=method, headers=headers, data=data)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return _response(answer.status, answer.headers["Content-Type"], answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _response(error.code, error.headers["Content-Type"], error.read())

    @property
    def control_address(self) -> tuple[str, int]:
        host, _, port = self._settings["TOLLBELL_CONTROL_HTTP"].rpartition(":")
        return host, int(port)


def _response(status: int, content_type: str | None, body: bytes) -> Response:
    is_json = content_type is not None and "json" in content_type and body
    return Response(status, json.loads(body) if is_json else body.decode())


@contextmanager
def running_proxy(var: Path, billing: FakeBilling, **settings: str) -> Iterator[ProxyProcess]:
    """Run an exchange; whatever the test did, nothing stays behind."""
    proxy = ProxyProcess(var, billing, **settings)
    try:
        proxy.start()
        yield proxy
        if proxy.exit_code is None:
            proxy.stop()
    finally:
        proxy.kill()
