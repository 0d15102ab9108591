"""The billing service's programs as processes, as an operator runs them."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.billing import TOKEN
from tests.support.environment import clean_environment
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0


def eventually(condition: Callable[[], bool], what: str, *, within_s: float = DEADLINE_S) -> None:
    """Return as soon as a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.02)


class BillingPrograms:
    """Runs `python -m billing_service …` on one `TOLLBELL_VAR`; stops everything at the end."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.port = free_port()
        self._started: list[subprocess.Popen[str]] = []

    @property
    def environment(self) -> dict[str, str]:
        own = clean_environment()
        return {
            **own,
            "TOLLBELL_VAR": str(self.var),
            "TOLLBELL_BILLING_HTTP": f"127.0.0.1:{self.port}",
            "TOLLBELL_SERVICE_TOKEN": TOKEN,
        }

    def start(self, command: str, **environment: str) -> "subprocess.Popen[str]":
        """Start a program that goes on running; what it says goes to `<command>.log` under var."""
        with (self.var / f"{command}.log").open("a") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "billing_service", command],
                cwd=ROOT,
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
            )
        self._started.append(process)
        return process

    def start_command(self, *command: str) -> "subprocess.Popen[str]":
        """Start a program that comes to an end by itself, whose output is wanted."""
        process = subprocess.Popen(
            [sys.executable, "-m", "billing_service", *command],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def run(self, *command: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end."""
        return subprocess.run(
            [sys.executable, "-m", "billing_service", *command],
            cwd=ROOT,
            env={**self.environment, **environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def said(self, command: str) -> str:
        """What a started program has said so far."""
        return (self.var / f"{command}.log").read_text()

    def request(self, method: str, path: str, body: Any = None, *, timeout_s: float = 30) -> tuple[int, Any]:
        """Send a request to the service; status 0 when nobody answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (urllib.error.URLError, ConnectionError):
            return 0, None

    def health(self) -> int:
        return self.request("GET", "/health")[0]

    def postmaster(self) -> int:
        """The process number of the database server."""
        return int((self.var / "postgres/data/postmaster.pid").read_text().split("\n")[0])

    def stop_all(self) -> None:
        for process in reversed(self._started):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
            if process.poll() is None:
                process.kill()
                process.wait()


def process_runs(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def billing_programs() -> Iterator[BillingPrograms]:
    """The billing service's programs on a directory of the test's own."""
    var = Path(tempfile.mkdtemp(prefix="tollbell-test-"))
    programs = BillingPrograms(var)
    yield programs
    programs.stop_all()
    shutil.rmtree(var)
