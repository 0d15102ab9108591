"""The embedded server's process: initialised, started, watched and stopped by this one."""

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import structlog

from billing_service.errors import UnableToStart
from billing_service.storage.embedded_postgres.host import (
    binaries,
    end_with_parent,
    environment,
    growing_pauses,
    let_pass,
    server_user,
    working_directory,
)
from billing_service.storage.embedded_postgres.location import (
    DATABASE,
    PORT,
    ROLE,
    require_owner,
    socket_directory,
)

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30

_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """One server process on one directory, owned by this process.

    `start` and `stop` belong to the same thread, which has to outlive the server: the kernel stops the server
    when the thread that started it ends (so that `kill -9` of this process leaves nothing behind).
    """

    def __init__(self, directory: Path, *, options: Mapping[str, str] = _NO_OPTIONS) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.sockets = socket_directory(self.directory)
        self.process: subprocess.Popen[bytes] | None = None
        self._options = options
        # The system user that the server runs as; none of its own unless we are root.
        self._owner: pwd.struct_passwd | None = None
        self._user: int | None = None
        self._group: int | None = None
        self._extra_groups: list[int] | None = None
        self._lock: int | None = None
        self._stopping = False
        self._impatience: threading.Timer | None = None

    def start(self) -> None:
        """Start the server, creating its data on the first run, and return once it accepts connections.

        A server that lost its parent is stopped first. Raises UnableToStart when another process runs a
        server on this directory, or the server does not come up.
        """
        self._owner = server_user()
        if self._owner is not None:
            self._user, self._group, self._extra_groups = self._owner.pw_uid, self._owner.pw_gid, []
        try:
            self._prepare_directories()
            self._take_lock()
            self._stop_orphan()
            if not self.data.exists():
                self._initialise()
            self._spawn_until_ready()
        except PermissionError as error:
            raise UnableToStart(
                f"{error.filename} is not accessible to {self._user_name()}; "
                "give it to that user or choose another TOLLBELL_VAR"
            ) from error
        finally:
            if self.process is None:
                self._release_lock()

    def request_stop(self) -> None:
        """Ask for a fast shutdown (clients are disconnected, data is safe); a signal handler may call it."""
        self._stopping = True
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self._impatience = threading.Timer(STOP_TIMEOUT_S, self._stop_at_once)
            self._impatience.daemon = True
            self._impatience.start()

    def wait(self) -> int:
        """Wait until the server ends by itself or by `request_stop`; return its exit status."""
        assert self.process is not None
        status = self.process.wait()
        self.process = None
        if self._impatience is not None:
            self._impatience.cancel()
        self._release_lock()
        return status

    def stop(self) -> None:
        """Stop the server and wait until it has ended."""
        if self.process is not None:
            self.request_stop()
            self.wait()

    def _stop_at_once(self) -> None:
        if self.process is not None:
            log.warning("postgres_stop_slow", hint="stopped at once; the next start recovers from its log")
            self.process.send_signal(signal.SIGQUIT)

    def _user_name(self) -> str:
        return self._owner.pw_name if self._owner else str(os.geteuid())

    def _prepare_directories(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in (self.directory, self.sockets):
            path.mkdir(mode=0o700, exist_ok=True)
            require_owner(path)
            path.chmod(0o700)
            if self._owner is not None:
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        if self._owner is not None:
            for path in (self.directory, self.sockets, binaries()):
                let_pass(self._owner, path)

    def _take_lock(self) -> None:
        # Held by this process, not by the server: it tells "already running" from "running without a parent".
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UnableToStart(
                f"a database server already runs on {self.directory}; stop it, or choose another TOLLBELL_VAR"
            ) from None

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _stop_orphan(self) -> None:
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n")[0])
        except FileNotFoundError:
            return
        except ValueError:
            # Cut off by a power failure; PostgreSQL would refuse to start for ever.
            pid_file.unlink()
            return
        home = working_directory(pid)
        if home is None:
            return  # a dead server, or a system without /proc: PostgreSQL sees to its own lock file
        if home != self.data:
            # The number now belongs to another program; PostgreSQL would refuse to start for ever.
            pid_file.unlink()
            return
        log.warning("postgres_orphan", pid=pid, hint="a server without a parent is stopped first")
        for request in (signal.SIGINT, signal.SIGQUIT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, request)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            while working_directory(pid) == self.data:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            else:
                return

    def _initialise(self) -> None:
        # Built beside its place and moved there when whole, so that a crash leaves no half database.
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        log.info("postgres_initialise", directory=str(self.data))
        self._run(
            "initdb",
            f"--pgdata={fresh}",
            f"--username={ROLE}",
            "--auth=trust",
            "--encoding=UTF8",
            # Sorting by code point on every machine: an index never depends on an operating system's locale.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(["--no-sync"] if self._options.get("fsync") == "off" else []),
        )
        self._run(
            "postgres",
            "--single",
            "-D",
            str(fresh),
            "postgres",
            statement=f"CREATE DATABASE {DATABASE} OWNER {ROLE}",
        )
        fresh.rename(self.data)

    def _run(self, program: str, *arguments: str, statement: str = "") -> None:
        finished = subprocess.run(
            [binaries() / program, *arguments],
            input=statement.encode(),
            capture_output=True,
            check=False,
            cwd=self.directory,
            env=environment(),
            user=self._user,
            group=self._group,
            extra_groups=self._extra_groups,
        )
        if finished.returncode != 0:
            raise UnableToStart(f"{program} failed: {finished.stderr.decode(errors='replace').strip()}")

    def _spawn_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        for pause_ms in growing_pauses():
            failure = self._spawn()
            if failure is None:
                return
            # Left by a server that was killed: its last processes need a moment to notice.
            may_pass = "pre-existing shared memory" in failure or "already exists" in failure
            if self._stopping or not may_pass or time.monotonic() > deadline:
                raise UnableToStart(f"the database server did not start: {failure}")
            log.info("postgres_start_again", reason=failure.splitlines()[0], pause_ms=pause_ms)
            time.sleep(pause_ms / 1000)

    def _spawn(self) -> str | None:
        """Start the server once; return None when it is ready, else what it said."""
        said = self.directory / "startup.log"
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.sockets),
            "port": str(PORT),
            "timezone": "UTC",
            "log_timezone": "UTC",
            # A file for each weekday, begun afresh after a week.
            "logging_collector": "on",
            "log_directory": str(self.directory / "log"),
            "log_filename": "postgresql-%a.log",
            "log_truncate_on_rotation": "on",
            "log_rotation_age": "1d",
            **self._options,
        }
        with said.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    binaries() / "postgres",
                    "-D",
                    str(self.data),
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env=environment(),
                start_new_session=True,  # Ctrl-C in a terminal must not stop it before its clients
                preexec_fn=end_with_parent,  # noqa: PLW1509 - nothing but one system call
                user=self._user,
                group=self._group,
                extra_groups=self._extra_groups,
            )
        if self._stopping:
            self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.process.poll() is None:
            if self._is_ready(self.process.pid):
                return None
            if time.monotonic() > deadline:
                self.process.send_signal(signal.SIGQUIT)
                self.process.wait()
                break
            time.sleep(0.02)
        self.process = None
        return said.read_text(errors="replace").strip() or "it said nothing"

    def _is_ready(self, pid: int) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text().split("\n")
        except FileNotFoundError:
            return False
        return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"
