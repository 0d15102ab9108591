"""SIPp as a phone (https://sipp.readthedocs.io): it registers, calls and is called, over UDP or TCP."""

import subprocess
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import free_port

SCENARIOS = Path(__file__).parents[1] / "interop" / "scenarios"
TIMEOUT_S = 40
_MODES = {"udp": "u1", "tcp": "t1"}


@dataclass(slots=True)
class Sipp:
    """One run of SIPp."""

    process: subprocess.Popen[bytes]
    directory: Path
    name: str
    _log: Path = field(repr=False)

    def wait(self, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until every call went as the scenario says; fail with what SIPp said if not."""
        try:
            code = self.process.wait(timeout_s)
        finally:
            self.stop()
        assert code == 0, f"SIPp {self.name} ended with {code}:\n{self.report()}"

    def report(self) -> str:
        """What SIPp said of its errors, and the end of its screen."""
        errors = self.directory / f"{self.name}.errors"
        said = errors.read_text(errors="replace")[-4000:] if errors.exists() else ""
        return said + self._log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def start_sipp(
    scenario: str,
    *,
    directory: Path,
    server: tuple[str, int],
    transport: str,
    called: str,
    number: str,
    password: str,
    port: int = 0,
    calls: int = 1,
    rate: int = 10,
    out_of_call: str | None = None,
    bad_network: bool = False,
    **values: str,
) -> Sipp:
    """Start SIPp with a scenario of `tests/interop/scenarios`.

    `called` is the number to call or register, `values` replace the capital words in the scenario, `port` is
    SIPp's own (0: any), and `out_of_call` names a scenario for calls that come in meanwhile. On a
    `bad_network` a message out of order doesn't fail the call, and each call answers copies for a while after
    its end.
    """
    port = port or free_port()
    name = f"{scenario}-{transport}-{port}"
    command = [
        *(
            "sipp",
            f"{server[0]}:{server[1]}",
            "-sf",
            str(_prepared(scenario, directory, name, values, bad_network)),
        ),
        *("-t", _MODES[transport], "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1"),
        *("-s", called, "-au", number, "-ap", password),
        *("-m", str(calls), "-r", str(rate), "-l", str(calls)),
        *("-nostdin", "-timeout", str(TIMEOUT_S), "-timeout_error", "-recv_timeout", "15000"),
        *("-trace_err", "-error_file", str(directory / f"{name}.errors"), "-cp", str(free_port())),
    ]
    if bad_network:
        command += ["-default_behaviors", "all,-abortunexp"]
    if out_of_call is not None:
        command += [
            "-oocsf",
            str(_prepared(out_of_call, directory, f"{name}-out-of-call", values, bad_network)),
        ]
    log = directory / f"{name}.screen"
    with log.open("wb") as screen:
        process = subprocess.Popen(command, cwd=directory, stdout=screen, stderr=subprocess.STDOUT)
    return Sipp(process, directory, name, log)


def _prepared(scenario: str, directory: Path, name: str, values: dict[str, str], bad_network: bool) -> Path:
    text = (SCENARIOS / f"{scenario}.xml").read_text()
    for word, value in values.items():
        text = text.replace(word.upper(), value)
    if bad_network:
        text = text.replace("</scenario>", '<timewait milliseconds="8000"/></scenario>')
    path = directory / f"{name}.xml"
    path.write_text(text)
    return path


def stop_all(runs: list[Sipp]) -> None:
    """End every run."""
    for run in runs:
        with suppress(ProcessLookupError):
            run.stop()
