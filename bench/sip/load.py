"""The load: SIPp as the phones, with digest authentication, from injection files."""

import contextlib
import csv
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SCENARIOS = Path(__file__).parent / "scenarios"
FIRST_NUMBER = 100000
PASSWORD = "secret"
DOMAIN = "bench.local"
# SIPp counts a call as failed on its own when it gets no answer; this ends a run that hangs altogether.
SLACK_S = 45
_PAUSE_S = 3.0  # between the last registration and the first refresh


@dataclass(frozen=True, slots=True)
class Outcome:
    """What SIPp saw: calls that went through the whole scenario, those that did not, set-up times in ms."""

    successful: int
    failed: int
    seconds: float
    setup_ms: tuple[float, ...] = ()

    def setup_percentile_ms(self, percent: float) -> float:
        """The set-up time that this share of the calls stayed within."""
        ordered = sorted(self.setup_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else float("nan")


class Phones:
    """So many phones with consecutive numbers, all reached at one address (the answering SIPp)."""

    def __init__(self, count: int, directory: Path) -> None:
        self.count = count
        self.directory = directory
        self._registrations = directory / "registrations.csv"
        self._calls = directory / "calls.csv"
        self._registering_port, self._called_port, self._calling_port = free_ports(3)
        self.take_part(range(count))

    def take_part(self, phones: range, *, already: int = 0) -> None:
        """From now on these phones register, from the first on, and call each other.

        `already`: so many before them are registered, and call and are called as well.
        """
        with self._registrations.open("w") as registrations:
            registrations.write("SEQUENTIAL\n")
            for index in phones:
                number = FIRST_NUMBER + index
                registrations.write(f"{number};{_credentials(number)};127.0.0.1:{self._called_port}\n")
        numbers = range(FIRST_NUMBER + phones.start - already, FIRST_NUMBER + phones.stop)
        with self._calls.open("w") as calls:
            calls.write("SEQUENTIAL\n")
            for index, number in enumerate(numbers):
                callee = numbers[(index + len(numbers) // 2) % len(numbers)]
                calls.write(f"{number};{_credentials(number)};{callee}\n")

    def register(self, port: int, *, count: int, rate: int) -> Outcome:
        """Register `count` phones (from the first on), `rate` a second."""
        return self._run("register", port, self._registering_port, self._registrations, count, rate)

    def refresh(self, port: int, *, count: int, rate: int, between: Callable[[], None]) -> Outcome:
        """Register `count` phones anew, and then let each of them say once more that it is there.

        `between` is called when all are registered and none has begun to refresh.
        """
        registering_s = count / rate
        timer = threading.Timer(registering_s + _PAUSE_S / 2, between)
        timer.start()
        hold_ms = int((registering_s + _PAUSE_S) * 1000)
        try:
            return self._run(
                "refresh", port, self._registering_port, self._registrations, count, rate, hold_ms
            )
        finally:
            timer.join()

    def call(self, port: int, *, count: int, rate: int, hold_ms: int = 0) -> Outcome:
        """Make `count` calls, `rate` a second, each held for so long."""
        return self._run("call", port, self._calling_port, self._calls, count, rate, hold_ms)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Let every phone answer its calls meanwhile."""
        with (self.directory / "answer.log").open("w") as log:
            sipp = subprocess.Popen(
                ["sipp", "-sf", SCENARIOS / "answer.xml", *self._common(self._called_port)],
                stdout=log,
                stderr=log,
                cwd=self.directory,
            )
            try:
                time.sleep(0.3)
                yield
            finally:
                sipp.kill()
                sipp.wait()

    def _run(
        self, scenario: str, port: int, own_port: int, injected: Path, count: int, rate: int, hold_ms: int = 0
    ) -> Outcome:
        for old in self.directory.glob(f"{scenario}_*_rtt.csv"):
            old.unlink()
        started = time.monotonic()
        command: list[str | Path] = [
            "sipp",
            f"127.0.0.1:{port}",
            *("-sf", SCENARIOS / f"{scenario}.xml"),
            *("-inf", injected),
            *("-m", str(count), "-r", str(rate), "-d", str(hold_ms), "-l", "100000"),
            *("-trace_rtt", "-rtt_freq", "200"),
            *self._common(own_port),
        ]
        timeout_s = count / rate + hold_ms / 1000 + SLACK_S
        try:
            said = subprocess.run(
                command, capture_output=True, text=True, cwd=self.directory, timeout=timeout_s
            ).stdout
        except subprocess.TimeoutExpired as expired:
            said = (expired.stdout or b"").decode() if isinstance(expired.stdout, bytes) else ""
        return Outcome(
            _last_count(said, "Successful call"),
            count - _last_count(said, "Successful call"),
            time.monotonic() - started,
            tuple(self._setup_ms(scenario)),
        )

    def _setup_ms(self, scenario: str) -> Iterator[float]:
        for file in self.directory.glob(f"{scenario}_*_rtt.csv"):
            with file.open() as lines:
                for row in csv.DictReader(lines, delimiter=";"):
                    yield float(row["response_time_ms"])

    @staticmethod
    def _common(own_port: int) -> list[str]:
        # -aa: answer the exchange when it asks in the middle of a call whether the phone is still there.
        return ["-i", "127.0.0.1", "-p", str(own_port), "-aa", "-nostdin", "-buff_size", "4194304"]


def _credentials(number: int) -> str:
    return f"[authentication username={number} password={PASSWORD}]"


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago for both UDP and TCP."""
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp.bind(("127.0.0.1", 0))
            tcp = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                tcp.bind(udp.getsockname())
                ports.append(udp.getsockname()[1])
        return ports


def _last_count(said: str, label: str) -> int:
    counts = [line.split("|")[2].strip() for line in said.splitlines() if label in line]
    return int(counts[-1]) if counts else 0
