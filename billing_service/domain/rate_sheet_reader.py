"""Reading rate sheets: everything that is wrong in one is found, and told with its line.

What a rate sheet looks like says `rate_sheet`, which writes them.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.money import Money
from billing_service.domain.plan import (
    Counting,
    Price,
    Tariff,
    Weekday,
    Window,
    check_new_price,
    competing_tariffs,
)
from billing_service.domain.plan_document import parse_time_of_day
from billing_service.domain.rate_sheet import BETWEEN_WINDOWS, COLUMNS, EVERY_DAY, unguarded
from billing_service.domain.wall_clock import instant_of

MOST_ROWS: Final = 200_000
_REQUIRED: Final = ("destination_prefix", "per_minute")
_PRICE_COLUMNS: Final = COLUMNS[5:]
_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DELIMITERS: Final = ",;\t"
_NAMED_DELIMITER: Final = re.compile(r'"?sep=([,;\t])"?', re.IGNORECASE)
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_INSTANT: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_WINDOW: Final = re.compile(
    r"(?P<day>every day|[a-z]+) +(?P<begins>[0-9:]+) *[-–] *(?P<ends>[0-9:]+) +(?P<per_minute>\S+)",
    re.ASCII | re.IGNORECASE,
)
_WEEKDAYS: Final = frozenset(weekday.value for weekday in Weekday)
_TARIFF_NUMBER: Final = re.compile(r"tariffs\[([0-9]+)\]")


def read_rate_sheet(data: bytes, *, zone: tzinfo) -> tuple[Tariff, ...]:
    """The tariffs of a CSV file, in its order. Tariffs of equal prices share one `Price`.

    Dates without a time of day are midnight in `zone`.

    Raises:
        InvalidFields: naming everything that is wrong, each with its line (the first is 1) and column.
    """
    reader = _Reader(_decoded(data), zone)
    tariffs = reader.read()
    if reader.problems:
        raise InvalidFields(reader.problems)
    return tariffs


def _decoded(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            candidates = [encoding]
            break
    else:
        candidates = ["utf-8", "windows-1252"]
    for encoding in candidates:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InvalidFields([FieldProblem("", "the file is no text in UTF-8, UTF-16 or Windows-1252", line=1)])


class _Reader:
    """Reads one file, and goes on after what is wrong in it."""

    def __init__(self, text: str, zone: tzinfo) -> None:
        self.problems: list[FieldProblem] = []
        self._zone = zone
        self._lines = io.StringIO(text, newline="")
        self._skipped = 0
        self._delimiter = self._find_delimiter()
        self._prices: dict[tuple[str, ...], Price] = {}

    def read(self) -> tuple[Tariff, ...]:
        rows = self._rows()
        header = next(rows, None)
        if header is None:
            self.problems.append(FieldProblem("", "the file is empty", line=1))
            return ()
        columns = self._columns(*header)
        if self.problems:
            return ()
        tariffs: list[Tariff] = []
        lines: list[int] = []
        for line, cells in rows:
            if len(lines) == MOST_ROWS:
                self.problems.append(FieldProblem("", f"there are more than {MOST_ROWS} tariffs", line=line))
                break
            tariff = self._tariff(line, columns, cells)
            if tariff is not None:
                tariffs.append(tariff)
                lines.append(line)
        self.problems += (_by_line(problem, lines) for problem in competing_tariffs(tariffs))
        self.problems.sort(key=lambda problem: problem.line or 0)
        return tuple(tariffs)

    def _find_delimiter(self) -> str:
        """What separates cells: as the first line says ("sep=;", a habit of spreadsheets), or as it uses."""
        first = self._lines.readline()
        named = _NAMED_DELIMITER.fullmatch(first.rstrip("\r\n"))
        if named:
            self._skipped = 1
            return named[1]
        self._lines.seek(0)
        return max(_DELIMITERS, key=first.count)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row that has any cell, with the line on which it begins."""
        reader = csv.reader(self._lines, delimiter=self._delimiter, strict=True)
        while True:
            line = self._skipped + reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self.problems.append(FieldProblem("", f"this is no CSV: {error}", line=line))
                return
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield line, stripped

    def _columns(self, line: int, names: Sequence[str]) -> list[str]:
        columns = [re.sub(r"[ -]+", "_", name.lower()) for name in names]
        for place, column in enumerate(columns):
            if column not in COLUMNS:
                known = ", ".join(COLUMNS)
                self.problems.append(
                    FieldProblem(names[place][:100], f"there is no such column; there are {known}", line=line)
                )
            elif column in columns[:place]:
                self.problems.append(FieldProblem(column, "this column is there twice", line=line))
        self.problems += (
            FieldProblem(column, "this column is missing", line=line)
            for column in _REQUIRED
            if column not in columns
        )
        return columns

    def _tariff(self, line: int, columns: Sequence[str], cells: Sequence[str]) -> Tariff | None:
        if len(cells) > len(columns):
            self.problems.append(
                FieldProblem("", f"{len(cells)} cells, but only {len(columns)} columns", line=line)
            )
            return None
        row = dict(zip(columns, cells, strict=False))
        problems: list[FieldProblem] = []
        price = self._price(row, problems)
        instants = {
            name: _collect(problems, name, self._instant, row.get(name, ""))
            for name in ("valid_from", "valid_to")
        }
        tariff = None
        try:
            # Also without a price, so that all that is wrong with the rest is found.
            tariff = Tariff(
                price or _SOME_PRICE,
                row.get("destination_prefix", ""),
                row.get("source_prefix", ""),
                description=unguarded(row.get("description", "")),
                **instants,
            )
        except InvalidFields as error:
            problems += error.problems
        self.problems += (replace(problem, line=line) for problem in problems)
        return None if problems else tariff

    def _price(self, row: Mapping[str, str], problems: list[FieldProblem]) -> Price | None:
        # A sheet has few prices for its many prefixes, and reading one takes far longer than looking it up.
        key = tuple(row.get(column, "") for column in _PRICE_COLUMNS)
        price = self._prices.get(key)
        if price is None:
            found = len(problems)
            values = self._price_values(row, problems)
            if len(problems) > found:
                return None
            try:
                price = self._prices[key] = check_new_price(Price(**values))
            except InvalidFields as error:
                problems += error.problems
        return price

    def _price_values(self, row: Mapping[str, str], problems: list[FieldProblem]) -> dict[str, Any]:
        """The cells that a price is made of; those that are empty are left to their defaults."""
        readers: dict[str, Callable[[str], Any]] = {
            "standing_charge": self._money,
            "per_minute": self._money,
            "initial_increment_s": _whole_number,
            "next_increment_s": _whole_number,
            "counting": _counting,
            "windows": self._windows,
        }
        values = {}
        for column, read in readers.items():
            cell = row.get(column, "")
            if cell or column == "per_minute":
                values[column] = _collect(problems, column, read, cell)
        return values

    def _money(self, cell: str) -> Money:
        if self._delimiter != "," and cell.count(",") == 1 and "." not in cell:
            cell = cell.replace(",", ".")
        return Money.parse(cell)

    def _windows(self, cell: str) -> tuple[Window, ...]:
        return tuple(self._window(part.strip()) for part in cell.split(BETWEEN_WINDOWS))

    def _window(self, text: str) -> Window:
        match = _WINDOW.fullmatch(text)
        if match is None:
            raise ValueError('a window is written like "every day 22:00-06:00 0.05", with | between two')
        day = match["day"].lower()
        if day != EVERY_DAY and day not in _WEEKDAYS:
            raise ValueError(f"{day} is no day of the week")
        return Window(
            None if day == EVERY_DAY else Weekday(day),
            parse_time_of_day(match["begins"]),
            parse_time_of_day(match["ends"]),
            self._money(match["per_minute"]),
        )

    def _instant(self, cell: str) -> datetime | None:
        if not cell:
            return None
        try:
            if _DATE.fullmatch(cell):
                instant = instant_of(datetime.fromisoformat(cell), self._zone)
            elif _INSTANT.fullmatch(cell):
                instant = datetime.fromisoformat(cell).astimezone(UTC)
            else:
                raise ValueError(cell)
        except (ValueError, OverflowError):
            raise ValueError(
                "an instant is written like 2026-11-21T20:00:00Z, or as the date on which it begins"
            ) from None
        if not _EARLIEST <= instant < _LATEST:
            raise ValueError("an instant is between the years 1970 and 2199")
        return instant


_SOME_PRICE: Final = Price(Money(0))


def _collect(problems: list[FieldProblem], column: str, read: Callable[[str], Any], cell: str) -> Any:
    try:
        return read(cell)
    except InvalidFields as error:
        problems += (FieldProblem(column, problem.message) for problem in error.problems)
    except ValueError as error:
        problems.append(FieldProblem(column, str(error)))
    return None


def _whole_number(cell: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(cell):
        raise ValueError("a whole number of seconds is expected")
    return int(cell)


def _counting(cell: str) -> Counting:
    try:
        return Counting(cell.lower())
    except ValueError:
        raise ValueError("increments are counted when started or completed") from None


def _by_line(problem: FieldProblem, lines: Sequence[int]) -> FieldProblem:
    """A problem of a tariff by its place among the tariffs, said by its line."""
    place = _TARIFF_NUMBER.fullmatch(problem.field)
    assert place is not None, "tariffs compete as a whole"
    message = _TARIFF_NUMBER.sub(lambda other: f"line {lines[int(other[1])]}", problem.message)
    return FieldProblem("destination_prefix", message, line=lines[int(place[1])])
