"""Secrets that several programs share through a file, made by whichever comes first."""

import os
import secrets
from pathlib import Path

_TOKEN_BYTES = 32


def read_or_create_secret(path: Path) -> str:
    """Return the secret in the file; when there is no such file, make one that only its owner can read.

    Safe when several programs start at once: the file appears whole, and the first one wins.

    Raises:
        OSError: the file can't be read, or not be made.
        ValueError: the file is empty.
    """
    if not path.exists():
        _create(path)
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise ValueError(f"{path} is empty; write the secret into it or delete it")
    return secret


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # A random name: programs in different containers may have the same process id.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        # Unlike a rename, a link never replaces what another program put there a moment ago.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
