"""The bearer token that Tollbell's programs show each other."""

import os
import secrets
from pathlib import Path

from billing_service.errors import UnableToStart


def read_or_make_token(file: Path) -> str:
    """Return the token in a file, making the file (mode 0600) when there is none.

    Safe while other programs do the same: whoever is first wins, and nobody ever sees half a token.
    Raises UnableToStart when the file cannot be read or made, or is empty.
    """
    try:
        if not file.exists():
            _make(file)
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnableToStart(f"the service token in {file} cannot be used: {error}") from error
    if not token:
        raise UnableToStart(f"{file} is empty; remove it and start again")
    return token


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(draft, file)  # fails, other than a rename, when another program was faster
        except FileExistsError:
            return
    finally:
        draft.unlink()
