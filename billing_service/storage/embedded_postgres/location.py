"""Where the embedded server lives and how to reach it, told from `TOLLBELL_VAR` alone."""

import contextlib
import hashlib
import os
import pwd
import stat
from pathlib import Path

from sqlalchemy import URL

from billing_service.errors import UnableToStart
from billing_service.storage.embedded_postgres.host import SYSTEM_USER

ROLE = "tollbell"
DATABASE = "tollbell"
PORT = 5432  # names the socket; no port is opened

_LONGEST_SOCKET_PATH = 107  # bytes; sun_path of unix(7), less its final zero


def server_directory(var: Path) -> Path:
    """Return where the server keeps its data under `TOLLBELL_VAR`."""
    return var.resolve() / "postgres"


def socket_directory(directory: Path) -> Path:
    """Return where the server's socket is: beside its data, or under /tmp when that path is too long."""
    beside = directory / "socket"
    if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH:
        return beside
    # Not the environment's TMPDIR: programs started differently must find the same place.
    return Path("/tmp") / f"tollbell-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]}"


def database_url(var: Path, database: str = DATABASE) -> URL:
    """Return the address of the embedded server of this `TOLLBELL_VAR`, whether it runs or not.

    Raises UnableToStart when somebody else owns the socket's directory.
    """
    sockets = socket_directory(server_directory(var))
    if sockets.exists():
        require_owner(sockets)
    return URL.create(
        "postgresql+psycopg2",
        username=ROLE,
        database=database,
        query={"host": str(sockets), "port": str(PORT)},
    )


def require_owner(path: Path) -> None:
    """Refuse a directory that another user could have put in our way; raise UnableToStart."""
    owner = path.lstat()
    ours = {os.geteuid()}
    if os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            ours.add(pwd.getpwnam(SYSTEM_USER).pw_uid)
    if not stat.S_ISDIR(owner.st_mode) or owner.st_uid not in ours:
        raise UnableToStart(
            f"{path} is not a directory of this user; remove it, start as its owner, "
            "or choose another TOLLBELL_VAR"
        )
