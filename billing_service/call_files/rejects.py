"""The lines of a file that were not taken in, with their reasons, in a file beside it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TextIO

from billing_service.call_files.lines import Line

HEADER = ("line", "reason", "text")
# What a spreadsheet would take for a formula; no exchange begins a line so.
_FORMULA = ("=", "+", "-", "@", "\t")


class RejectsFile:
    """Writes a CSV of line numbers, reasons and lines. There is no file while nothing was rejected."""

    def __init__(self, path: Path) -> None:
        """What an earlier run rejected is of no interest any more."""
        self.path = path
        self._file: TextIO | None = None
        path.unlink(missing_ok=True)

    def add(self, line: Line, reason: str) -> None:
        """Write one line."""
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8", newline="")
            csv.writer(self._file).writerow(HEADER)
        text = f"'{line.text}" if line.text.startswith(_FORMULA) else line.text
        csv.writer(self._file).writerow((line.number, reason, text))

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
