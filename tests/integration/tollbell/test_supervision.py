"""The supervisor against real child processes: restarting, stopping, and refusing to start."""

import asyncio
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.system import ROOT
from tollbell.part import Part, PartFailed
from tollbell.preflight import (
    KNOWN_SETTINGS,
    UnableToStart,
    check_addresses,
    hold_directory,
    unknown_settings,
)
from tollbell.settings import read_settings

# A child that says its process id and then waits to be told to end.
PATIENT = "import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)"
STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('pid', os.getpid(), flush=True); time.sleep(600)"
)


class Transcript:
    """Collects what parts say."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, part: str, line: str) -> None:
        self.lines.append(line)

    async def pids(self, count: int) -> list[int]:
        """Wait until the child has been started this many times."""
        async with asyncio.timeout(20):
            while len(pids := [int(line[4:]) for line in self.lines if line.startswith("pid ")]) < count:
                await asyncio.sleep(0.01)
        return pids


@pytest.fixture
def said() -> Transcript:
    return Transcript()


def child(tmp_path: Path, said: Transcript, program: str) -> Part:
    (tmp_path / "child.py").write_text(program)
    return Part("child", ("child",), {**os.environ, "PYTHONPATH": str(tmp_path)}, said)


async def test_a_part_that_dies_is_started_again_and_can_be_stopped(tmp_path: Path, said: Transcript) -> None:
    part = child(tmp_path, said, PATIENT)
    await part.start()
    watch = asyncio.create_task(part.watch())
    [first] = await said.pids(1)

    os.kill(first, signal.SIGKILL)
    _, second = await said.pids(2)
    await part.stop()
    await watch

    assert second != first
    assert any("SIGKILL" in line for line in said.lines)
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


async def test_a_part_that_ignores_the_signal_is_killed(
    tmp_path: Path, said: Transcript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollbell.part.STOP_TIMEOUT_S", 0.2)
    part = child(tmp_path, said, STUBBORN)
    await part.start()
    [pid] = await said.pids(1)

    await part.stop()

    assert part.exit_code == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_what_a_part_prints_is_passed_on_whatever_it_is(tmp_path: Path, said: Transcript) -> None:
    part = child(
        tmp_path, said, r"import sys; sys.stdout.buffer.write(b'\xff bad\n' + b'x' * 200_000 + b'\nlast\n')"
    )

    await part.run_once()

    assert said.lines[0] == "\N{REPLACEMENT CHARACTER} bad"
    assert said.lines[-1] == "last"


async def test_a_failed_step_names_its_exit_code(tmp_path: Path, said: Transcript) -> None:
    with pytest.raises(PartFailed, match="exit code 3"):
        await child(tmp_path, said, "raise SystemExit(3)").run_once()


async def test_parts_end_when_the_supervisor_is_killed(tmp_path: Path, said: Transcript) -> None:
    (tmp_path / "grandchild.py").write_text(PATIENT)
    program = (
        "import asyncio, os\n"
        "from tollbell.part import Part\n"
        "async def main():\n"
        "    part = Part('x', ('grandchild',), os.environ, lambda part, line: print(line, flush=True))\n"
        "    await part.start()\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    (tmp_path / "child.py").write_text(program)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    supervisor = Part("child", ("child",), {**os.environ, "PYTHONPATH": path}, said)
    await supervisor.start()
    [grandchild] = await said.pids(1)

    assert supervisor._process is not None
    supervisor._process.kill()
    await supervisor.stop()

    async with asyncio.timeout(10):
        while Path(f"/proc/{grandchild}").exists():
            await asyncio.sleep(0.01)


def test_two_systems_can_not_share_a_directory(tmp_path: Path) -> None:
    with (
        hold_directory(tmp_path / "var"),
        pytest.raises(UnableToStart, match="TOLLBELL_VAR"),
        hold_directory(tmp_path / "var"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("TOLLBELL_ADMIN_HTTP", socket.SOCK_STREAM),
        ("TOLLBELL_SIP_UDP", socket.SOCK_DGRAM),
        ("TOLLBELL_SIP_TCP", socket.SOCK_STREAM),
        ("TOLLBELL_SIP_WS", socket.SOCK_STREAM),
    ],
)
def test_a_taken_port_is_named_with_its_setting(name: str, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        environment = {
            f"TOLLBELL_{part}": f"127.0.0.1:{free_port()}"
            for part in ("BILLING_HTTP", "ADMIN_HTTP", "CONTROL_HTTP", "SIP_UDP", "SIP_TCP", "SIP_WS")
        }
        environment[name] = f"127.0.0.1:{taken.getsockname()[1]}"

        with pytest.raises(UnableToStart, match=name):
            check_addresses(read_settings(environment))


def test_two_settings_with_one_address_are_refused() -> None:
    environment = {
        f"TOLLBELL_{part}": f"127.0.0.1:{free_port()}"
        for part in ("BILLING_HTTP", "CONTROL_HTTP", "SIP_UDP", "SIP_TCP", "SIP_WS")
    }
    environment["TOLLBELL_ADMIN_HTTP"] = environment["TOLLBELL_BILLING_HTTP"]

    with pytest.raises(UnableToStart, match="TOLLBELL_ADMIN_HTTP to an address that no other setting has"):
        check_addresses(read_settings(environment))


def test_an_address_of_another_machine_is_told_apart_from_a_taken_port() -> None:
    with pytest.raises(UnableToStart, match="TOLLBELL_BILLING_HTTP to an address of this machine"):
        check_addresses(read_settings({"TOLLBELL_BILLING_HTTP": f"192.0.2.1:{free_port()}"}))


def test_a_directory_that_can_not_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (Path("/proc/nope"), tmp_path / "file", tmp_path / "file" / "var"):
        with pytest.raises(UnableToStart, match="TOLLBELL_VAR"), hold_directory(path):
            pass


def test_a_mistyped_setting_is_told_with_what_was_meant() -> None:
    known = {"TOLLBELL_VAR": "x", "TOLLBELL_DATABASE_URL_FILE": "x", "PATH": "x"}

    assert unknown_settings(known) == []
    [warning] = unknown_settings({"TOLLBELL_BILING_HTTP": "127.0.0.1:1"})
    assert "did you mean TOLLBELL_BILLING_HTTP?" in warning


def test_every_setting_that_the_readme_tells_of_is_known_and_no_other() -> None:
    told = set(re.findall(r"TOLLBELL_[A-Z_]*[A-Z]", (ROOT / "README.md").read_text()))
    assert {name.removesuffix("_FILE") for name in told} == KNOWN_SETTINGS


async def test_a_part_that_refuses_its_settings_is_not_started_again(
    tmp_path: Path, said: Transcript
) -> None:
    part = child(tmp_path, said, "print('bad setting'); raise SystemExit(2)")
    await part.start()

    await part.watch()

    assert said.lines.count("bad setting") == 1
    await part.stop()
