"""The life and death of the engine process, seen from its parent and from outside."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from softphone.engine.client import EngineClient, EngineNotRunningError, EngineTimeoutError
from softphone.engine.commands import ShutDown, StartUp
from softphone.engine.events import CommandFailed, EngineFailed, Started, Stopped
from tests.support.softphone import phone


@pytest.fixture
def engine() -> Iterator[EngineClient]:
    with EngineClient() as engine:
        yield engine


def start(engine: EngineClient) -> None:
    engine.send(StartUp(bind_address="127.0.0.1"))
    engine.wait_for(Started)


def is_alive(process_id: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until_gone(process_id: int, *, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while is_alive(process_id):
        assert time.monotonic() < deadline, f"process {process_id} is still there"
        time.sleep(0.02)


def test_shutting_down_ends_the_process_in_order(engine: EngineClient) -> None:
    start(engine)

    assert engine.shut_down() == [Stopped()]

    assert not is_alive(engine.process_id)
    assert engine.receive() == []
    assert engine.shut_down() == []
    with pytest.raises(EngineNotRunningError):
        engine.send(ShutDown())


def test_an_engine_that_was_never_started_up_can_be_shut_down(engine: EngineClient) -> None:
    assert engine.shut_down() == [Stopped()]


def test_a_killed_engine_is_reported_once_with_its_signal(engine: EngineClient) -> None:
    start(engine)

    os.kill(engine.process_id, signal.SIGKILL)

    assert select.select([engine], [], [], 5)[0] == [engine]
    failed = engine.wait_for(EngineFailed)
    assert failed.exit_code == -signal.SIGKILL
    assert "SIGKILL" in failed.reason
    assert engine.receive() == []
    assert not engine.running


def test_waiting_for_an_event_of_a_dead_engine_fails_at_once(engine: EngineClient) -> None:
    start(engine)
    os.kill(engine.process_id, signal.SIGKILL)

    with pytest.raises(EngineNotRunningError):
        engine.wait_for(Stopped, timeout_s=60)


def test_waiting_in_vain_ends_at_the_deadline_and_loses_no_event(engine: EngineClient) -> None:
    engine.send(StartUp(bind_address="127.0.0.1"))

    assert select.select([engine], [], [], 10)[0] == [engine]

    with pytest.raises(EngineTimeoutError, match="Started"):
        engine.wait_for(Stopped, timeout_s=0.05)

    assert isinstance(engine.wait_for(Started), Started)


def test_an_engine_that_hangs_is_killed(engine: EngineClient) -> None:
    start(engine)
    os.kill(engine.process_id, signal.SIGSTOP)

    (failed,) = engine.shut_down(timeout_s=0.3)

    assert isinstance(failed, EngineFailed)
    assert not is_alive(engine.process_id)


def test_the_engine_ends_when_its_parent_is_killed() -> None:
    program = (
        "import time\n"
        "from softphone.engine.client import EngineClient\n"
        "from softphone.engine.commands import StartUp\n"
        "from softphone.engine.events import Started\n"
        "engine = EngineClient()\n"
        "engine.send(StartUp(bind_address='127.0.0.1'))\n"
        "engine.wait_for(Started)\n"
        "print(engine.process_id, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        engine_process_id = int(parent.stdout.readline())
        assert is_alive(engine_process_id)

        parent.kill()

        wait_until_gone(engine_process_id)


def test_the_end_of_the_parent_hangs_up_its_call() -> None:
    with phone("0001") as alice, phone("0002") as bob:
        alice.call(bob.sip_uri)
        bob.wait_for_ring()
        bob.answer()
        alice.wait_until_talking()

        alice.engine._channel.close()  # what the kernel does for a parent that is gone

        assert bob.wait_for_end().status == 200
        wait_until_gone(alice.engine.process_id)


def test_rubbish_on_the_channel_ends_the_engine_with_a_log_entry(tmp_path: Path) -> None:
    log_path = tmp_path / "logs" / "engine.log"
    with EngineClient(log_path=log_path) as engine:
        start(engine)
        engine._channel.send(b'{"type": "Explode"}\n')

        assert engine.wait_for(EngineFailed).exit_code == 1
    assert "no such message: 'Explode'" in log_path.read_text()


def test_an_interrupt_of_the_whole_terminal_leaves_the_ending_to_the_phone(engine: EngineClient) -> None:
    start(engine)

    os.kill(engine.process_id, signal.SIGINT)

    assert engine.shut_down() == [Stopped()]


def test_a_port_that_is_taken_is_told_and_not_fatal(engine: EngineClient) -> None:
    with phone("0001") as holder:
        engine.send(StartUp(bind_address="127.0.0.1", port=holder.started.port))
        assert "Address already in use" in engine.wait_for(CommandFailed).reason

        start(engine)
