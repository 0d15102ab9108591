"""A rate sheet that is exported and imported again is the same, whatever a spreadsheet does to its form."""

import csv
import io
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.plan import Tariff
from billing_service.domain.rate_sheet import write_rate_sheet
from billing_service.domain.rate_sheet_reader import read_rate_sheet
from tests.property.billing_service.plan_strategies import prices
from tests.support.examples import examples

prefixes = st.text("0123456789", max_size=15)
instants = st.none() | st.integers(0, 4 * 10**9 * 10**6).map(
    lambda us: datetime(1970, 1, 2, tzinfo=UTC) + timedelta(microseconds=us)
)
ordinary = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30)
descriptions = st.builds(
    lambda start, rest: (start + rest).strip(),
    st.sampled_from(["", "=", "'=", "''@", "-", "+41", '"']),
    ordinary,
)


@st.composite
def sheets(draw: st.DrawFn) -> tuple[Tariff, ...]:
    """Tariffs, of which no two have the same prefixes."""
    tariffs = []
    for source, destination in draw(st.lists(st.tuples(prefixes, prefixes), max_size=5, unique=True)):
        valid_from, valid_to = draw(instants), draw(instants)
        if valid_from is not None and valid_to is not None and valid_to <= valid_from:
            valid_to = None
        tariffs.append(Tariff(draw(prices()), destination, source, valid_from, valid_to, draw(descriptions)))
    return tuple(tariffs)


def in_the_form_of(text: str, delimiter: str, line_end: str, encoding: str) -> bytes:
    """The file as another program would write it."""
    written = io.StringIO()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if delimiter != ",":
        rows = [
            [cell.replace(".", ",") if column in (5, 6) else cell for column, cell in enumerate(row)]
            for row in rows
        ]
    csv.writer(written, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    return written.getvalue().encode(encoding)


@given(
    sheets(),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=examples(80))
def test_a_rate_sheet_survives_the_way_out_and_in(
    sheet: tuple[Tariff, ...], delimiter: str, line_end: str, encoding: str
) -> None:
    text = "".join(write_rate_sheet(sheet))
    assert read_rate_sheet(text.encode(), zone=UTC) == sheet
    assert read_rate_sheet(in_the_form_of(text, delimiter, line_end, encoding), zone=UTC) == sheet


@given(sheets())
@settings(max_examples=examples(40))
def test_no_cell_is_a_formula(sheet: tuple[Tariff, ...]) -> None:
    for row in csv.reader(io.StringIO("".join(write_rate_sheet(sheet)), newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: ("per_minute\n" + text).encode()))
@settings(max_examples=examples(150))
def test_whatever_is_sent_is_read_or_refused_with_lines(data: bytes) -> None:
    problems: tuple[FieldProblem, ...] = ()
    try:
        read_rate_sheet(data, zone=UTC)
    except InvalidFields as error:
        problems = error.problems or (FieldProblem("", "refused without a reason"),)
    assert all(problem.line is not None for problem in problems)
