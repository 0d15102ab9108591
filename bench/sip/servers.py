"""The servers under test, each started fresh with so many accounts and stopped at the end."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import psycopg2

from bench.sip.load import DOMAIN, FIRST_NUMBER, PASSWORD, free_ports
from bench.sip.processes import descendants
from billing_service.storage.embedded_postgres import DATABASE, ROLE, EmbeddedPostgres

ROOT = Path(__file__).parents[2]
KAMAILIO_TABLES = Path("/usr/share/kamailio/postgres")
START_TIMEOUT_S = 60
TOLLBELL = "Tollbell"
TOLLBELL_INTERPRETED = "Tollbell, core interpreted"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, and its processes by what they do."""

    name: str
    port: int
    switch: tuple[int, ...]
    billing: tuple[int, ...]
    database: EmbeddedPostgres | None
    count_records: str
    control_port: int = 0

    def database_pids(self) -> tuple[int, ...]:
        """The processes of PostgreSQL now; they come and go with connections."""
        if self.database is None or self.database.process is None:
            return ()
        return tuple(descendants(self.database.process.pid))

    @property
    def keeps_records(self) -> bool:
        """Whether calls get a record in a database."""
        return self.database is not None

    def records(self) -> int:
        """How many calls have their record in the database."""
        return int(_query(self.database, self.count_records))


@contextlib.contextmanager
def database(directory: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL server of its own, with its stock settings."""
    server = EmbeddedPostgres(directory / "postgres")
    server.start()
    try:
        yield server
    finally:
        server.stop()


class Work(Enum):
    """How much Kamailio is to do, see `kamailio/exchange.cfg`: a name, and what is defined for it there."""

    IN_MEMORY = "Kamailio, in memory", ()
    ACCOUNTING = "Kamailio, PostgreSQL accounting", ("WITH_ACCOUNTING",)
    STATE = "Kamailio, PostgreSQL accounting and state", ("WITH_ACCOUNTING", "WITH_STATE")

    def __init__(self, title: str, defines: tuple[str, ...]) -> None:
        self.title = title
        self.defines = defines


@contextlib.contextmanager
def kamailio(directory: Path, *, accounts: int, work: Work) -> Iterator[Server]:
    """Kamailio with one worker process."""
    [port] = free_ports(1)
    with contextlib.ExitStack() as stack:
        store = None if work is Work.IN_MEMORY else stack.enter_context(database(directory))
        defines = [
            f"LISTEN_ON=udp:127.0.0.1:{port}",
            f'SIP_DOMAIN="{DOMAIN}"',
            f'PASSWORD="{PASSWORD}"',
            f"FIRST_NUMBER={FIRST_NUMBER}",
            f"PAST_LAST_NUMBER={FIRST_NUMBER + accounts}",
            f'DATABASE="postgres://{ROLE}@/{DATABASE}"',
            *work.defines,
        ]
        environment = dict(os.environ)
        if store is not None:
            _make_kamailio_tables(store, accounts)
            # Its database URL has no room for a socket's directory; libpq takes it from here.
            environment |= {"PGHOST": str(store.sockets)}
        process = stack.enter_context(
            _running(
                [
                    *("kamailio", "-f", str(ROOT / "bench/sip/kamailio/exchange.cfg"), "-DD", "-E"),
                    *("-m", "1024", "-M", "64", "-Y", str(directory)),
                    *(part for define in defines for part in ("-A", define)),
                ],
                directory / "kamailio.log",
                environment,
            )
        )
        _wait_for_udp(port, process, directory / "kamailio.log")
        yield Server(
            work.title,
            port,
            tuple(descendants(process.pid)),
            (),
            store,
            "SELECT count(*) FROM acc_cdrs",
        )


@contextlib.contextmanager
def tollbell(directory: Path, *, accounts: int, is_compiled: bool = True) -> Iterator[Server]:
    """The proxy with its journal, and the billing service that stores and prices every call beside it.

    `is_compiled`: with the core that `make compiled` makes, not its sources.
    """
    port, billing_port, control_port = free_ports(3)
    with database(directory) as store, contextlib.ExitStack() as stack:
        environment = {
            **os.environ,
            "TOLLBELL_VAR": str(directory),
            "TOLLBELL_BILLING_HTTP": f"127.0.0.1:{billing_port}",
            "TOLLBELL_CONTROL_HTTP": f"127.0.0.1:{control_port}",
            "TOLLBELL_SIP_UDP": f"127.0.0.1:{port}",
            "TOLLBELL_SIP_TCP": f"127.0.0.1:{port}",
            "TOLLBELL_SIP_WS": "127.0.0.1:0",
            "TOLLBELL_SIP_DOMAIN": DOMAIN,
            "TOLLBELL_COMPILED": "yes" if is_compiled else "no",
        }
        log = directory / "tollbell.log"
        subprocess.run(
            [sys.executable, "-m", "billing_service", "migrate"], cwd=ROOT, env=environment, check=True
        )
        _make_tollbell_accounts(store, accounts)
        billing = stack.enter_context(
            _running([sys.executable, "-m", "billing_service", "serve"], log, environment)
        )
        _wait_for_http(f"http://127.0.0.1:{billing_port}/health", billing, log)
        proxy = stack.enter_context(_running([sys.executable, "-m", "sip_proxy"], log, environment))
        _wait_for_http(f"http://127.0.0.1:{control_port}/health", proxy, log)
        yield Server(
            TOLLBELL if is_compiled else TOLLBELL_INTERPRETED,
            port,
            (proxy.pid,),
            (billing.pid,),
            store,
            "SELECT count(*) FROM calls WHERE price IS NOT NULL",
            control_port,
        )


@contextlib.contextmanager
def _running(
    command: list[str], log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_udp(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    wanted = f":{port:04X} "
    deadline = time.monotonic() + START_TIMEOUT_S
    while wanted not in Path("/proc/net/udp").read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on UDP port {port}: {_last_words(log)}")
        time.sleep(0.05)
    time.sleep(0.5)


def _wait_for_http(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{url} never became healthy: {_last_words(log)}") from None
        time.sleep(0.1)


def _last_words(log: Path) -> str:
    """The end of a server's log, which is gone with its directory when the benchmark stops."""
    return log.read_text(errors="replace")[-1000:]


def _make_kamailio_tables(store: EmbeddedPostgres, accounts: int) -> None:
    for name in ("standard", "auth_db", "acc", "dialog", "usrloc"):
        _execute(store, (KAMAILIO_TABLES / f"{name}-create.sql").read_text())
    _execute(
        store,
        "ALTER TABLE acc_cdrs ADD caller varchar(64), ADD callee varchar(64), ADD callid varchar(255);"
        "INSERT INTO subscriber (username, domain, ha1)"
        f" SELECT n::text, '{DOMAIN}', md5(n || ':{DOMAIN}:{PASSWORD}')"
        f" FROM generate_series({FIRST_NUMBER}, {FIRST_NUMBER + accounts - 1}) n",
    )


def _make_tollbell_accounts(store: EmbeddedPostgres, accounts: int) -> None:
    """The accounts as the REST API would make them, in one statement for the sake of 50,000."""
    _execute(store, (Path(__file__).parent / "tollbell_accounts.sql").read_text(), accounts=accounts)


def _execute(store: EmbeddedPostgres, statements: str, **parameters: object) -> None:
    with contextlib.closing(_connect(store)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statements, parameters or None)


def _query(store: EmbeddedPostgres | None, query: str) -> int:
    assert store is not None
    with contextlib.closing(_connect(store)) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _connect(store: EmbeddedPostgres) -> "psycopg2.extensions.connection":
    return psycopg2.connect(host=str(store.sockets), user=ROLE, dbname=DATABASE)
