"""Rate sheets as CSV: what is read, and what is said about what can't be."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import Money
from billing_service.domain.plan import Counting, Price, Tariff, Weekday, Window
from billing_service.domain.rate_sheet import write_rate_sheet
from billing_service.domain.rate_sheet_reader import read_rate_sheet

ZURICH = ZoneInfo("Europe/Zurich")
SWISS = Tariff(Price(Money.parse("0.09")), "0041")


def read(*lines: str) -> tuple[Tariff, ...]:
    return read_rate_sheet("\n".join(lines).encode(), zone=ZURICH)


def refused(*lines: str) -> list[tuple[int | None, str, str]]:
    with pytest.raises(InvalidFields) as error:
        read(*lines)
    return [(problem.line, problem.field, problem.message) for problem in error.value.problems]


def test_two_columns_are_enough() -> None:
    assert read("destination_prefix,per_minute", "0041,0.09") == (SWISS,)


def test_every_column_is_read() -> None:
    (tariff,) = read(
        "Per minute,Destination prefix,source-prefix,description,valid_from,valid_to,standing_charge,"
        "initial_increment_s,next_increment_s,counting,windows",
        '0.09,0041,00,"Switzerland, mobile",2026-11-01,2026-12-31T23:00:00Z,0.36,30,6,completed,'
        "every day 22:00-06:00 0.00 | Sunday 00:00–00:00 0.05",
    )
    windows = (
        Window(None, 22 * 60, 6 * 60, Money(0)),
        Window(Weekday.SUNDAY, 0, 0, Money.parse("0.05")),
    )
    price = Price(Money.parse("0.09"), Money.parse("0.36"), 30, 6, Counting.COMPLETED, windows)
    assert tariff == Tariff(
        price,
        "0041",
        "00",
        datetime(2026, 10, 31, 23, tzinfo=UTC),
        datetime(2026, 12, 31, 23, tzinfo=UTC),
        "Switzerland, mobile",
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbfdestination_prefix,per_minute\r\n0041,0.09\r\n",
        b"destination_prefix;per_minute\r\n0041;0,09\r\n",
        b"destination_prefix\tper_minute\n\n0041\t0.09\n\n",
        b"sep=;\r\ndestination_prefix;per_minute\r\n0041;0,09\r\n",
        "destination_prefix,per_minute\n0041,0.09".encode("utf-16"),
        b'"destination_prefix" , "per_minute"\n 0041 , 0.09 \n'.replace(b'" , "', b'","'),
    ],
)
def test_the_forms_that_spreadsheets_give_it_are_read(data: bytes) -> None:
    assert read_rate_sheet(data, zone=UTC) == (SWISS,)


def test_letters_of_old_spreadsheets_are_read() -> None:
    (tariff,) = read_rate_sheet(
        "destination_prefix;per_minute;description\n0049;0,09;München".encode("windows-1252"), zone=UTC
    )
    assert tariff.description == "München"


def test_everything_wrong_is_told_at_once_with_its_line() -> None:
    assert refused(
        "destination_prefix,source_prefix,per_minute,next_increment_s,valid_from,windows",
        "0041,,0.09,60,,",
        "+41,x,dear,0,yesterday,noon",
        "",
        "0043,,-1,1.5,2026-02-30,someday 08:00-09:00 1",
        "0041,,0.10,60,2026-01-01,",
        "1,2,3,4,5,6,7",
        "0044,,,,,every day 08:00-12:00 1 | every day 11:00-13:00 1",
    ) == [
        (3, "per_minute", "'dear' is not an amount of money"),
        (3, "windows", 'a window is written like "every day 22:00-06:00 0.05", with | between two'),
        (
            3,
            "valid_from",
            "an instant is written like 2026-11-21T20:00:00Z, or as the date on which it begins",
        ),
        (3, "destination_prefix", "a prefix is up to 15 digits, or nothing for every number"),
        (5, "next_increment_s", "a whole number of seconds is expected"),
        (5, "windows", "someday is no day of the week"),
        (
            5,
            "valid_from",
            "an instant is written like 2026-11-21T20:00:00Z, or as the date on which it begins",
        ),
        (6, "destination_prefix", "has the same prefixes as line 2 and is in force at the same time"),
        (7, "", "7 cells, but only 6 columns"),
        (8, "per_minute", "'' is not an amount of money"),
    ]


def test_prices_that_make_no_sense_name_their_fields() -> None:
    assert refused(
        "destination_prefix,per_minute,initial_increment_s,windows",
        "0041,-1,0,",
        "0042,1,60,every day 08:00-12:00 1 | every day 11:00-13:00 1",
        "0043,1,60,every day 08:00-12:00 -1",
    ) == [
        (2, "per_minute", "a price cannot be negative"),
        (2, "initial_increment_s", "an increment is 1 to 3600 seconds"),
        (3, "windows[1]", "overlaps with windows[0] in time"),
        (4, "windows", "a price cannot be negative"),
    ]


def test_prices_that_no_bill_could_hold_are_told_by_their_lines() -> None:
    too_large = "a price has at most seven digits before the point"
    assert refused(
        "destination_prefix,per_minute,standing_charge,windows",
        "0041,9999999.999999,9999999.999999,every day 08:00-12:00 9999999.999999",
        "0042,10000000,10000000,",
        "0043,1,,every day 08:00-12:00 10000000",
    ) == [
        (3, "standing_charge", too_large),
        (3, "per_minute", too_large),
        (4, "windows[0].per_minute", too_large),
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([""], (1, "", "the file is empty")),
        (["per_minute", "1"], (1, "destination_prefix", "this column is missing")),
        (
            ["destination_prefix,per_minute,per_minute", "1,1,1"],
            (1, "per_minute", "this column is there twice"),
        ),
        (["destination_prefix,per_minute", '1,"1'], (2, "", "this is no CSV: unexpected end of data")),
    ],
)
def test_a_file_of_another_kind_is_refused(lines: list[str], problem: tuple[int, str, str]) -> None:
    assert refused(*lines) == [problem]


def test_an_unknown_column_is_named() -> None:
    ((line, field, message),) = refused("destination_prefix,per_minute,colour", "1,1,blue")
    assert (line, field) == (1, "colour")
    assert message.startswith("there is no such column")


def test_lines_are_counted_as_an_editor_does() -> None:
    assert refused("destination_prefix,per_minute,description", '1,1,"a\nb"', "2,x,") == [
        (
            2,
            "description",
            "a description is one line of at most 200 characters, no spaces around it",
        ),
        (4, "per_minute", "'x' is not an amount of money"),
    ]


def test_tariffs_of_equal_prices_share_one_price() -> None:
    first, second = read("destination_prefix,per_minute", "0041,0.09", "0043,0.09")
    assert first.price is second.price


def test_a_formula_is_written_as_text() -> None:
    sheet = (Tariff(SWISS.price, "1", description='=HYPERLINK("http://x")'), Tariff(SWISS.price, "2"))
    lines = list(write_rate_sheet(sheet))
    assert "\"'=HYPERLINK(" in lines[1]
    assert read_rate_sheet("".join(lines).encode(), zone=UTC) == sheet
