"""The whole system as its users start it: `python -m tollbell` on free ports in a directory of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.environment import clean_environment
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 90
STOP_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP answer with a JSON body."""

    status: int
    body: Any


@dataclass(slots=True)
class System:
    """A running system and what a test needs to use it."""

    var: Path
    ports: dict[str, int]
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @property
    def billing_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['BILLING_HTTP']}"

    @property
    def control_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['CONTROL_HTTP']}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['ADMIN_HTTP']}"

    def sip_server(self, transport: str) -> str:
        """`host:port` for phones that use this transport (`udp` or `tcp`)."""
        return f"127.0.0.1:{self.ports['SIP_' + transport.upper()]}"

    @property
    def token(self) -> str:
        return (self.var / "service-token").read_text().strip()

    @property
    def sample_credentials(self) -> dict[str, Any]:
        credentials: dict[str, Any] = json.loads((self.var / "sample-credentials.json").read_text())
        return credentials

    def billing(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        """Call the billing API with the service token."""
        return self._request(method, self.billing_url + path, body, headers)

    def control(self, method: str, path: str, body: object = None) -> Response:
        """Call the control API of the exchange."""
        return self._request(method, self.control_url + path, body, {})

    def _request(self, method: str, url: str, body: object, headers: dict[str, str]) -> Response:
        request = urllib.request.Request(
            url,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read()
                return Response(answer.status, json.loads(text) if text else None)
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            return Response(error.code, json.loads(text) if text else None)

    def close_ahead(self, as_of: str) -> None:
        """Close bills as if it were later, by the command line: the API closes only what is over."""
        environment = clean_environment()
        subprocess.run(
            [sys.executable, "-m", "billing_service", "close-bills", "--as-of", as_of],
            cwd=ROOT,
            env={**environment, "TOLLBELL_VAR": str(self.var)},
            check=True,
            capture_output=True,
            timeout=60,
        )

    def pid_of(self, part: str) -> int:
        """The process id of a running part: `postgres`, `billing`, `proxy` or `admin`."""
        wanted = {
            "postgres": "billing_service\0postgres",
            "billing": "billing_service\0serve",
            "proxy": "-m\0sip_proxy",
            "admin": "-m\0admin_web",
        }[part]
        pids = [
            pid
            for pid, command in _processes_of(self.var)
            if wanted in command and _parent(pid) == self.process.pid
        ]
        assert len(pids) == 1, f"{part} runs {len(pids)} times"
        return pids[0]

    def kill(self, part: str) -> None:
        """`kill -9` a part; the supervisor starts it again."""
        os.kill(self.pid_of(part), signal.SIGKILL)

    def postmaster_pid(self) -> int:
        """The process id of the PostgreSQL server itself."""
        return int((self.var / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])

    def wait_until_healthy(self, timeout_s: float = 60) -> None:
        """Wait until every part answers its health check."""
        for url in (self.billing_url, self.control_url, self.admin_url):
            eventually(lambda url=url: _is_healthy(url), f"{url} is healthy", timeout_s)

    def said(self, pattern: str) -> list[str]:
        """The lines of output so far that match."""
        return [line for line in self.lines if re.search(pattern, line)]


def eventually(condition: Any, what: str, timeout_s: float = 20) -> Any:
    """Poll until the condition gives something true, and return that.

    Raises `AssertionError` that says what was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.02)


@contextlib.contextmanager
def running_system(var: Path, **settings: str) -> Iterator[System]:
    """Start a system, stop it with SIGINT as a person would, and see that nothing stays behind."""
    names = ("BILLING_HTTP", "CONTROL_HTTP", "ADMIN_HTTP", "SIP_UDP", "SIP_TCP", "SIP_WS")
    ports = {name: free_port() for name in names}
    environment = {
        **clean_environment(),
        **{f"TOLLBELL_{name}": f"127.0.0.1:{port}" for name, port in ports.items()},
        "TOLLBELL_VAR": str(var),
        **settings,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tollbell"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    system = System(var, ports, process)
    reader = threading.Thread(target=_read_lines, args=(process, system.lines))
    reader.start()
    try:
        eventually(
            lambda: "Tollbell is ready" in system.lines or process.poll() is not None,
            "the system starts",
            START_TIMEOUT_S,
        )
        assert "Tollbell is ready" in system.lines, "\n".join(system.lines)
        yield system
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_TIMEOUT_S) == 0, "\n".join(system.lines[-50:])
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        left_over = _processes_of(var)
        for pid, _ in left_over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        reader.join()
        process.stdout.close()  # type: ignore[union-attr]
    assert not left_over, f"processes stayed behind: {left_over}"


def _read_lines(process: subprocess.Popen[str], lines: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line.rstrip("\n"))  # noqa: PERF401 (other threads read the list as it grows)


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _processes_of(var: Path) -> list[tuple[int, str]]:
    """The processes that were started with this TOLLBELL_VAR, with their command lines."""
    marker = f"TOLLBELL_VAR={var}\0".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if marker in (entry / "environ").read_bytes() + b"\0" and _state(int(entry.name)) != "Z":
                    found.append((int(entry.name), (entry / "cmdline").read_text()))
    return found


def _state(pid: int) -> str:
    return _stat_fields(pid)[0]


def _parent(pid: int) -> int:
    return int(_stat_fields(pid)[1])


def _stat_fields(pid: int) -> list[str]:
    # The second field, the command, may hold spaces and brackets; what counts stands behind its last one.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
