"""A real RabbitMQ for tests, as a process of our own with files, ports and a name that no other has.

One per test run, with one scheduler and little memory; the tests that use it are all in one process. Each
test finds the queues empty.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import pytest
import pytest_asyncio

from billing_service.broker import CALL_EVENTS, CLOSE_REQUESTS, DEAD_LETTERS, EVENTS
from tests.support.distribution import make_once
from tests.support.ports import free_port
from tests.support.tcp_relay import TcpRelay

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
START_TIMEOUT_S = 90.0
_ERLANG_OPTIONS = (
    "+S 1:1 +SDcpu 1:1 +SDio 2 +sbwt none +sbwtdcpu none +sbwtdio none"
    " -kernel inet_dist_use_interface {127,0,0,1}"
)


class RabbitServer:
    """`rabbitmq-server` in a directory of its own."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="tollbell-rabbitmq-"))
        self.port = free_port()
        self._epmd_port = free_port()
        self._distribution_port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def pids(self) -> list[int]:
        """The processes of it that run."""
        return [process.pid for process in self._processes]

    def start(self) -> None:
        """Return when it accepts connections."""
        self._write(
            "rabbitmq.conf",
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "vm_memory_high_watermark.absolute = 256MB\n"
            "disk_free_limit.absolute = 10MB\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n",
        )
        self._write("enabled_plugins", "[].\n")
        self._write("environment", "")
        # Erlang would start this name server itself, as a daemon that outlives us all.
        self._spawn("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        self._spawn(str(SERVER))
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._accepts():
            assert self._processes[-1].poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and what it has started, by their process group; remove its files."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()
        shutil.rmtree(self.directory)

    def said(self) -> str:
        """What it has said so far."""
        return (self.directory / "output").read_text()

    def _write(self, name: str, content: str) -> None:
        (self.directory / name).write_text(content)

    def _spawn(self, *command: str) -> None:
        with (self.directory / "output").open("ab") as output:
            self._processes.append(
                subprocess.Popen(
                    # It dies with us, however we die.
                    ("setpriv", "--pdeathsig", "KILL", *command),
                    cwd=self.directory,
                    env=self._environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )

    def _environment(self) -> dict[str, str]:
        files = self.directory
        own = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
        return {
            **own,
            "HOME": str(files),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tollbell-{os.getpid()}@localhost",
            "RABBITMQ_CONFIG_FILE": str(files / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(files / "environment"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(files / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(files / "mnesia"),
            "RABBITMQ_LOG_BASE": str(files / "log"),
            "RABBITMQ_PID_FILE": str(files / "pid"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(files / "generated"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_OPTIONS,
            # The script then becomes the server instead of waiting for it.
            "RUNNING_UNDER_SYSTEMD": "yes",
        }

    def _accepts(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(probe.recv(1))
        except OSError:
            return False


@pytest.fixture(scope="session")
def rabbit_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """The broker that all tests share."""
    make_once(tmp_path_factory, "the broker")
    assert SERVER.exists(), "Debian's rabbitmq-server is missing: bin/install-system-packages test"
    server = RabbitServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest_asyncio.fixture
async def broker_url(rabbit_server: RabbitServer) -> AsyncIterator[str]:
    """The address of a broker without any queue."""
    yield rabbit_server.url
    connection = await aio_pika.connect(rabbit_server.url)
    channel = await connection.channel()
    for name in (CALL_EVENTS, CLOSE_REQUESTS, DEAD_LETTERS):
        await channel.queue_delete(name)
    await channel.exchange_delete(EVENTS)
    await connection.close()


@pytest_asyncio.fixture
async def broker_relay(rabbit_server: RabbitServer, broker_url: str) -> AsyncIterator[TcpRelay]:
    """An open way to the broker that the test can cut."""
    relay = TcpRelay(rabbit_server.port)
    await relay.open()
    yield relay
    await relay.cut()
