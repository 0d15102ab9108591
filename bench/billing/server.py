"""A PostgreSQL for the benchmark alone, as the product runs it, and programs of the product on it."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import URL

from billing_service.storage.embedded_postgres import EmbeddedPostgres, database_url, server_directory
from billing_service.storage.engine import make_engine
from billing_service.storage.migrations import migrate
from billing_service.storage.patience import wait_for_ever, wait_with_patience
from billing_service.storage.unit_of_work import Database
from tests.support.ports import free_port

TOKEN = "a-token-for-the-benchmark"
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL with a migrated database."""

    var: Path
    url: URL
    pid: int

    @property
    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "TOLLBELL_VAR": str(self.var), "TOLLBELL_LOG": "json"}

    def cpu_s(self) -> float:
        """Seconds of CPU that PostgreSQL has used so far."""
        return cpu_s(self.pid)

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run statements as one transaction, without the product's limits of time."""
        connection = self._connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET timezone = 'UTC'; SET statement_timeout = 0")
                cursor.execute(statement, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def timed(self, statement: str) -> float:
        """How many seconds statements take, as one transaction with its commit."""
        started = time.perf_counter()
        self.sql(statement)
        return time.perf_counter() - started

    def copy(self, statement: str, file: Path, mode: str) -> float:
        """COPY out into a file or in from one, as psql does; how many seconds it took, with the commit."""
        wait_for_ever()  # psycopg2 can't COPY otherwise
        connection = self._connect()
        try:
            with file.open(mode) as stream, connection, connection.cursor() as cursor:
                cursor.execute("SET timezone = 'UTC'; SET statement_timeout = 0")
                started = time.perf_counter()
                cursor.copy_expert(statement, stream)
                connection.commit()
                return time.perf_counter() - started
        finally:
            connection.close()
            wait_with_patience()

    def _connect(self) -> Any:
        return psycopg2.connect(host=self.url.query["host"], user=self.url.username, dbname=self.url.database)

    def analyse(self) -> None:
        """What autovacuum would have done by now, and a checkpoint, so that no phase pays for another."""
        connection = self._connect()
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
            cursor.execute("CHECKPOINT")
        connection.close()

    def run(self, *arguments: str) -> "Finished":
        """Run a command of the billing service to its end."""
        with tempfile.TemporaryFile("w+") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "billing_service", *arguments],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            peak_bytes = 0
            while process.poll() is None:
                peak_bytes = max(peak_bytes, _peak_bytes(process.pid))
                time.sleep(0.02)
            took_s = time.perf_counter() - started
            output.seek(0)
            said = output.read()
        if process.returncode:
            raise SystemExit(f"billing_service {' '.join(arguments)} failed:\n{said[-3000:]}")
        return Finished(took_s, peak_bytes, said)


def _peak_bytes(pid: int) -> int:
    """The most memory that a process or one of its children has had so far."""
    try:
        own = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return 0
    return max([int(own[1]) * 1024 if own else 0, *(_peak_bytes(int(child)) for child in children)])


@dataclass(frozen=True)
class Finished:
    """A command that has ended: how long it took, and the most memory that any of its processes had."""

    seconds: float
    peak_bytes: int
    output: str


@contextmanager
def running_server() -> Iterator[Server]:
    """A PostgreSQL with the product's own options, in a temporary directory."""
    var = Path(tempfile.mkdtemp(prefix="bench-billing-"))
    server = EmbeddedPostgres(server_directory(var))
    server.start()
    try:
        url = database_url(var)
        engine = make_engine(url, connections=1)
        migrate(engine)
        engine.dispose()
        assert server.process is not None, "it runs"
        yield Server(var, url, server.process.pid)
    finally:
        server.stop()
        shutil.rmtree(var, ignore_errors=True)
        shutil.rmtree(server.sockets, ignore_errors=True)


@contextmanager
def units_of_work(server: Server) -> Iterator[Database]:
    """The product's own way to the database."""
    database = Database.at(server.url, threads=1)
    try:
        yield database
    finally:
        database.close()


@dataclass(frozen=True)
class Service:
    """A running billing service."""

    port: int
    pid: int

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used so far."""
        return cpu_s(self.pid)


@contextmanager
def running_service(server: Server, **environment: str) -> Iterator[Service]:
    """A service on this server that has closed what was due at its start."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "billing_service", "serve"],
        env={
            **server.environment,
            "TOLLBELL_BILLING_HTTP": f"127.0.0.1:{port}",
            "TOLLBELL_SERVICE_TOKEN": TOKEN,
            **environment,
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_it_works(port)
        _wait_until_it_has_closed(server)
        yield Service(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_works(port: int) -> None:
    """With all that it is configured with: without its broker it is degraded."""
    deadline = time.monotonic() + 120
    while True:
        with contextlib.suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health")
            if json.load(connection.getresponse())["status"] == "ok":
                return
        assert time.monotonic() < deadline, "the service does not work"
        time.sleep(0.1)


def _wait_until_it_has_closed(server: Server) -> None:
    deadline = time.monotonic() + 900
    while not server.sql("SELECT 1 FROM closing_runs HAVING count(*) > 0 AND count(*) = count(finished_at)"):
        assert time.monotonic() < deadline, "the service does not start"
        time.sleep(0.5)


def cpu_s(pid: int) -> float:
    """Seconds of CPU of a process, its children that have ended, and those that live."""
    try:
        # After the name, which may hold anything: the state is the third field of proc(5).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has just ended
        return 0.0
    own = sum(int(ticks) for ticks in fields[11:15]) / _TICKS_A_SECOND
    return own + sum(cpu_s(int(child)) for child in children)
