"""Lines of comma-separated values: one row a line, so that a damaged line harms no other."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from billing_service.call_files.lines import Line

DELIMITERS: Final = (",", ";", "\t", "|")


class Row(NamedTuple):
    """The values of a line; or the fault of a line that has none."""

    line: Line
    values: list[str]
    fault: str | None = None


def read_rows(lines: Sequence[Line], *, delimiter: str = ",", padded: bool = False) -> Iterator[Row]:
    """Read lines as rows; empty lines are left out. With `padded`, blanks after a delimiter don't count."""
    if all(line.fault is None for line in lines):
        try:
            rows = list(_reader([line.text for line in lines], delimiter, padded))
        except csv.Error:
            rows = []
        # A quotation mark that is not closed would swallow the lines after it.
        if len(rows) == len(lines):
            for line, values in zip(lines, rows, strict=True):
                if values:
                    yield Row(line, values)
            return
    for line in lines:
        if line.fault is not None:
            yield Row(line, [], line.fault)
        elif line.text:
            yield _read_alone(line, delimiter, padded)


def guess_delimiter(header: str) -> str:
    """The delimiter of a header: the one that it has most of."""
    return max(DELIMITERS, key=header.count)


def _read_alone(line: Line, delimiter: str, padded: bool) -> Row:
    try:
        rows = list(_reader([line.text], delimiter, padded))
    except csv.Error as error:
        return Row(line, [], f"the line is no row of values: {error}")
    if len(rows) != 1:
        return Row(line, [], "the line is no row of values")
    return Row(line, rows[0])


def _reader(texts: list[str], delimiter: str, padded: bool) -> Iterator[list[str]]:
    return csv.reader(texts, delimiter=delimiter, skipinitialspace=padded, strict=True)
