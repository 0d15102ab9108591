"""A rate sheet as CSV (RFC 4180): a plan's tariffs as spreadsheets, carriers and operators pass them round.

The first line names the columns, in any order; `destination_prefix` and `per_minute` must be there, cells
that are empty or missing mean what they mean in the REST API. Read are UTF-8 and UTF-16 with or without a
byte order mark and Windows-1252, lines that end in CRLF or LF, and commas, semicolons or tabs between cells;
where the comma isn't the separator, it may be the decimal point. Written are UTF-8, CRLF and commas.

What is written is read as the same tariffs again. A description that a spreadsheet would take for a formula
gets an apostrophe in front, and loses it when read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from billing_service.domain.plan import Tariff, Window
from billing_service.domain.plan_document import format_price, format_time_of_day

COLUMNS: Final = (
    "destination_prefix",
    "source_prefix",
    "description",
    "valid_from",
    "valid_to",
    "standing_charge",
    "per_minute",
    "initial_increment_s",
    "next_increment_s",
    "counting",
    "windows",
)
EVERY_DAY: Final = "every day"
BETWEEN_WINDOWS: Final = "|"
# What spreadsheets take for a formula, in whatever width; or that with apostrophes in front.
_FORMULA: Final = re.compile("'*[=+\\-@\t\r＝＋－＠]")


def write_rate_sheet(tariffs: Iterable[Tariff]) -> Iterator[str]:
    """The lines of a CSV file with these tariffs, the column names first."""
    line = io.StringIO()
    writer = csv.writer(line)
    for cells in (COLUMNS, *map(_cells, tariffs)):
        writer.writerow(cells)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def _cells(tariff: Tariff) -> list[str]:
    price = tariff.price
    return [
        tariff.destination_prefix,
        tariff.source_prefix,
        guarded(tariff.description),
        _written_instant(tariff.valid_from),
        _written_instant(tariff.valid_to),
        format_price(price.standing_charge),
        format_price(price.per_minute),
        str(price.initial_increment_s),
        str(price.next_increment_s),
        price.counting.value,
        f" {BETWEEN_WINDOWS} ".join(map(_written_window, price.windows)),
    ]


def _written_instant(instant: datetime | None) -> str:
    if instant is None:
        return ""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _written_window(window: Window) -> str:
    day = EVERY_DAY if window.weekday is None else window.weekday.value
    begins, ends = format_time_of_day(window.from_minute), format_time_of_day(window.to_minute)
    return f"{day} {begins}-{ends} {format_price(window.per_minute)}"


def guarded(description: str) -> str:
    """The description with an apostrophe in front where a spreadsheet would take it for a formula."""
    return f"'{description}" if _FORMULA.match(description) else description


def unguarded(cell: str) -> str:
    """The description that `guarded` made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
