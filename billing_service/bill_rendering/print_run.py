"""One PDF of many bills: set in parts, each by a process of its own, and joined on the disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from billing_service.bill_rendering.isolated import run_isolated
from billing_service.bill_rendering.pdf import bills_as_pdf
from billing_service.use_cases.readable_bill import ReadableBill

JOINER: Final = Path(__file__).with_name("joiner.py")


class PrintRun:
    """Parts of a print run in a temporary directory, which goes when the run ends.

    Memory holds one part at a time, here and in the processes that set and join them, which hold what the
    pages are made of: 130 MB for 5,000 bills. Its methods block.
    """

    def __init__(self) -> None:
        self._directory = TemporaryDirectory(prefix="tollbell-print-")
        self._parts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._directory.cleanup()

    def add(self, bills: Sequence[ReadableBill]) -> None:
        """Set bills, which come after those that were added before.

        Raises:
            UnableToSetBills: see `bills_as_pdf`.
        """
        part = Path(self._directory.name) / f"{len(self._parts)}.pdf"
        # Tags tell of a whole document; joined ones would tell of parts that are no more.
        part.write_bytes(bills_as_pdf(bills, tagged=False))
        self._parts.append(str(part))

    def join(self, title: str) -> Path:
        """The file of all bills. The same bills in the same parts give the same bytes.

        Raises:
            UnableToSetBills: see `run_isolated`.
        """
        whole = Path(self._directory.name) / "whole.pdf"
        wish = json.dumps({"title": title, "parts": self._parts, "whole": str(whole)})
        run_isolated(JOINER, wish.encode(), doing=f"joining {len(self._parts)} parts")
        return whole
