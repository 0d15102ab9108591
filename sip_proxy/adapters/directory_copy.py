"""The last copy of the directory on disk, so that calls are switched while billing is away."""

import json
import os
from pathlib import Path

from sip_proxy.adapters.directory_json import DirectoryUpdate, UnusableDirectory, parse_update


class DirectoryCopy:
    """One file, always whole; it holds password hashes, so only its owner may read it."""

    def __init__(self, path: Path, *, realm: str) -> None:
        self._path = path
        self._realm = realm

    def load(self) -> DirectoryUpdate | None:
        """Return the copy, or None when there is none.

        Raises UnusableDirectory.
        """
        try:
            document = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UnusableDirectory(f"{self._path}: {error}") from error
        return parse_update(document, realm=self._realm)

    def save(self, document: dict[str, object]) -> None:
        """Replace the copy in one step. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_name(f".{self._path.name}.new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, separators=(",", ":"))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
