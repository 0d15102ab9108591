"""Files that only their owner may read, written whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from billing_service.errors import UnableToStart


@contextmanager
def private_file(file: Path) -> Iterator[IO[str]]:
    """Open a text file of mode 0600 that takes its place at the end, unless nothing was written to it.

    Raises UnableToStart, before anything else happens, when it cannot be made.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UnableToStart(f"{file} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            yield opened
        if draft.stat().st_size:
            draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
