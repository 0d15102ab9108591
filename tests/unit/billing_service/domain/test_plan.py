from datetime import UTC, datetime

import pytest

from billing_service.domain.errors import FieldProblem, InvalidFields
from billing_service.domain.money import LARGEST_MICROS, Money
from billing_service.domain.plan import (
    LARGEST_FEE,
    LARGEST_PRICE,
    PlanTerms,
    Price,
    Tariff,
    Weekday,
    Window,
    check_new_fee,
    check_new_price,
)
from billing_service.domain.plan_document import (
    price_from_document,
    price_to_document,
    tariff_from_document,
    tariff_to_document,
)

TEN_CENTS = Money.parse("0.10")
FIVE_CENTS = Money.parse("0.05")


def window(start: str, end: str, weekday: Weekday | None = None) -> Window:
    def minute(text: str) -> int:
        return int(text[:2]) * 60 + int(text[3:])

    return Window(weekday, minute(start), minute(end), FIVE_CENTS)


def minute_of_week(weekday: Weekday, text: str) -> int:
    return weekday.days_after_monday * 1440 + int(text[:2]) * 60 + int(text[3:])


def wrong_fields(error: InvalidFields) -> list[str]:
    return [problem.field for problem in error.problems]


def test_a_window_is_half_open() -> None:
    morning = window("08:00", "12:00")
    assert not morning.covers(minute_of_week(Weekday.MONDAY, "07:59"))
    assert morning.covers(minute_of_week(Weekday.MONDAY, "08:00"))
    assert morning.covers(minute_of_week(Weekday.SUNDAY, "11:59"))
    assert not morning.covers(minute_of_week(Weekday.MONDAY, "12:00"))


def test_a_window_across_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    monday_night = window("22:00", "06:00", Weekday.MONDAY)
    assert monday_night.covers(minute_of_week(Weekday.MONDAY, "23:00"))
    assert monday_night.covers(minute_of_week(Weekday.TUESDAY, "05:59"))
    assert not monday_night.covers(minute_of_week(Weekday.MONDAY, "05:00"))
    assert not monday_night.covers(minute_of_week(Weekday.TUESDAY, "22:00"))


def test_sunday_night_reaches_into_monday() -> None:
    sunday_night = window("22:00", "06:00", Weekday.SUNDAY)
    assert sunday_night.covers(minute_of_week(Weekday.MONDAY, "05:59"))
    assert not sunday_night.covers(minute_of_week(Weekday.MONDAY, "06:00"))


def test_a_window_that_ends_where_it_begins_is_a_whole_day() -> None:
    sunday = window("00:00", "00:00", Weekday.SUNDAY)
    assert sunday.length_minutes == 1440
    assert sunday.covers(minute_of_week(Weekday.SUNDAY, "00:00"))
    assert sunday.covers(minute_of_week(Weekday.SUNDAY, "23:59"))
    assert not sunday.covers(minute_of_week(Weekday.MONDAY, "00:00"))


def test_a_single_day_beats_every_day_whatever_their_order() -> None:
    every_day, monday = window("08:00", "12:00"), window("10:00", "11:00", Weekday.MONDAY)
    for windows in ((every_day, monday), (monday, every_day)):
        price = Price(TEN_CENTS, windows=windows)
        assert price.window_at(minute_of_week(Weekday.MONDAY, "10:30")) == monday
        assert price.window_at(minute_of_week(Weekday.MONDAY, "09:30")) == every_day
        assert price.window_at(minute_of_week(Weekday.TUESDAY, "10:30")) == every_day
        assert price.window_at(minute_of_week(Weekday.MONDAY, "12:00")) is None


@pytest.mark.parametrize(
    "windows",
    [
        (window("08:00", "12:00"), window("11:59", "13:00")),
        (window("22:00", "06:00"), window("05:00", "07:00")),
        (window("08:00", "12:00", Weekday.MONDAY), window("09:00", "10:00", Weekday.MONDAY)),
        (window("22:00", "06:00", Weekday.MONDAY), window("05:00", "07:00", Weekday.TUESDAY)),
        (window("22:00", "06:00", Weekday.SUNDAY), window("00:00", "01:00", Weekday.MONDAY)),
        (window("00:00", "00:00"), window("12:00", "13:00")),
    ],
)
def test_windows_of_one_kind_may_not_overlap(windows: tuple[Window, ...]) -> None:
    with pytest.raises(InvalidFields) as error:
        Price(TEN_CENTS, windows=windows)
    assert wrong_fields(error.value) == ["windows[1]"]
    assert "windows[0]" in error.value.problems[0].message


@pytest.mark.parametrize(
    "windows",
    [
        (window("08:00", "12:00"), window("12:00", "13:00")),
        (window("08:00", "12:00"), window("09:00", "10:00", Weekday.MONDAY)),
        (window("08:00", "12:00", Weekday.MONDAY), window("08:00", "12:00", Weekday.TUESDAY)),
        (window("22:00", "06:00"), window("06:00", "22:00")),
    ],
)
def test_windows_may_touch_and_a_single_day_may_lie_in_an_every_day_one(windows: tuple[Window, ...]) -> None:
    assert Price(TEN_CENTS, windows=windows).windows == windows


def test_every_wrong_field_of_a_price_is_named() -> None:
    with pytest.raises(InvalidFields) as error:
        Price(Money(-1), standing_charge=Money(-1), initial_increment_s=0, next_increment_s=3601)
    assert wrong_fields(error.value) == [
        "per_minute",
        "standing_charge",
        "initial_increment_s",
        "next_increment_s",
    ]


def test_a_window_needs_times_of_day() -> None:
    with pytest.raises(InvalidFields) as error:
        Window(None, 1440, -1, Money(-1))
    assert wrong_fields(error.value) == ["from", "to", "per_minute"]


def test_tariffs_for_the_same_prefixes_may_follow_on_each_other_but_not_overlap() -> None:
    price = Price(TEN_CENTS)
    new_year = datetime(2027, 1, 1, tzinfo=UTC)
    old = Tariff(price, "0041", valid_to=new_year)
    new = Tariff(price, "0041", valid_from=new_year)
    assert PlanTerms("Plan", TEN_CENTS, price, (new, old)).tariffs == (new, old)
    with pytest.raises(InvalidFields) as error:
        PlanTerms("Plan", TEN_CENTS, price, (old, new, Tariff(price, "0041")))
    assert set(wrong_fields(error.value)) <= {"tariffs[1]", "tariffs[2]"}


def test_a_tariff_must_begin_before_it_ends_and_have_prefixes_of_digits() -> None:
    instant = datetime(2027, 1, 1, tzinfo=UTC)
    for arguments, field in (
        ({"valid_from": instant, "valid_to": instant}, "valid_to"),
        ({"valid_from": datetime(2027, 1, 1)}, "valid_from"),  # noqa: DTZ001 - what is to be refused
        ({"destination_prefix": "+41"}, "destination_prefix"),
        ({"source_prefix": "x"}, "source_prefix"),
    ):
        with pytest.raises(InvalidFields) as error:
            Tariff(Price(TEN_CENTS), **arguments)  # type: ignore[arg-type]
        assert wrong_fields(error.value) == [field]


def test_a_plan_needs_a_name_and_no_negative_fee() -> None:
    with pytest.raises(InvalidFields) as error:
        PlanTerms(" ", Money(-1), Price(TEN_CENTS))
    assert wrong_fields(error.value) == ["name", "monthly_fee"]


def test_new_prices_and_fees_leave_room_on_a_bill() -> None:
    longest_month_in_minutes = 31 * 1440
    assert LARGEST_FEE.micros + 2 * longest_month_in_minutes * LARGEST_PRICE.micros <= LARGEST_MICROS
    check_new_fee(LARGEST_FEE)
    check_new_price(
        Price(LARGEST_PRICE, standing_charge=LARGEST_PRICE, windows=(Window(None, 0, 0, LARGEST_PRICE),))
    )


def test_larger_prices_and_fees_are_refused_by_name() -> None:
    more = Money(LARGEST_PRICE.micros + 1)
    with pytest.raises(InvalidFields) as error:
        check_new_price(Price(more, standing_charge=more, windows=(Window(None, 0, 0, more),)))
    assert wrong_fields(error.value) == ["standing_charge", "per_minute", "windows[0].per_minute"]
    with pytest.raises(InvalidFields) as error:
        check_new_fee(Money(LARGEST_FEE.micros + 1))
    assert wrong_fields(error.value) == ["monthly_fee"]


def test_a_price_survives_the_way_through_its_document() -> None:
    document = {
        "standing_charge": "0.36",
        "per_minute": "0.125",
        "initial_increment_s": 30,
        "next_increment_s": 6,
        "counting": "completed",
        "windows": [
            {"weekday": None, "from": "22:00", "to": "06:00", "per_minute": "0.00"},
            {"weekday": "sunday", "from": "00:00", "to": "00:00", "per_minute": "0.000001"},
        ],
    }
    assert price_to_document(price_from_document(document)) == document


def test_a_tariff_survives_the_way_through_its_document() -> None:
    document = {
        "source_prefix": "",
        "destination_prefix": "0041",
        "valid_from": "2026-12-31T23:00:00.000000Z",
        "valid_to": None,
        "description": "Switzerland, mobile",
        "price": price_to_document(Price(TEN_CENTS)),
    }
    assert tariff_to_document(tariff_from_document(document)) == document


def test_the_defaults_of_a_price_document() -> None:
    assert price_from_document({"per_minute": "0.10"}) == Price(TEN_CENTS)


def test_wrong_values_of_a_document_are_named_with_their_path() -> None:
    with pytest.raises(InvalidFields) as error:
        price_from_document(
            {
                "per_minute": "ten",
                "counting": "some",
                "windows": [
                    {"from": "08:00", "to": "12:00", "per_minute": "0.05"},
                    {"weekday": "someday", "from": "8", "to": "24:00", "per_minute": "0.0000001"},
                ],
            }
        )
    assert set(wrong_fields(error.value)) == {
        "per_minute",
        "counting",
        "windows[1].weekday",
        "windows[1].from",
        "windows[1].to",
        "windows[1].per_minute",
    }


def test_a_problem_is_told_from_where_the_reader_stands() -> None:
    problem = FieldProblem("windows[1]", "overlaps")
    assert problem.under("base_price") == FieldProblem("base_price.windows[1]", "overlaps")
    assert FieldProblem("[2]", "x").under("tariffs") == FieldProblem("tariffs[2]", "x")
    assert FieldProblem("", "x").under("price") == FieldProblem("price", "x")
