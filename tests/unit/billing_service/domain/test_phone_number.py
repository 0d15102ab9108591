import pytest

from billing_service.domain.errors import InvalidFields
from billing_service.domain.phone_number import (
    check_filter_pattern,
    check_number,
    check_number_pattern,
    check_prefix,
    draw_free_number,
    is_pattern,
    matches_filter_pattern,
)


@pytest.mark.parametrize("number", ["1", "0001", "9911", "123456789012345"])
def test_one_to_fifteen_digits_are_a_number(number: str) -> None:
    assert check_number(number) == number


@pytest.mark.parametrize("text", ["", "1234567890123456", "+41", "12 34", "12\n", "٠٠٠١", "00#1", "abc"])
def test_anything_else_is_no_number_and_the_field_is_named(text: str) -> None:
    with pytest.raises(InvalidFields) as error:
        check_number(text, field="caller")
    assert [problem.field for problem in error.value.problems] == ["caller"]


def test_a_prefix_may_be_empty() -> None:
    assert check_prefix("", field="destination_prefix") == ""
    with pytest.raises(InvalidFields):
        check_prefix("00 41", field="destination_prefix")


def test_a_pattern_leaves_digits_to_the_system() -> None:
    assert is_pattern(check_number_pattern("####"))
    assert not is_pattern(check_number_pattern("0001"))
    for bad in ("", "#######", "#a", "1" * 16):
        with pytest.raises(InvalidFields):
            check_number_pattern(bad)


def lowest(count: int) -> int:
    return 0


def highest(count: int) -> int:
    return count - 1


def never(count: int) -> int:
    raise AssertionError("there is nothing to draw")


def test_any_free_number_that_fits_may_be_drawn() -> None:
    assert draw_free_number("####", [], lowest) == "0000"
    assert draw_free_number("####", [], highest) == "9999"
    assert draw_free_number("####", [], lambda count: 4711) == "4711"
    assert draw_free_number("####", ["0000", "0001", "0003"], lowest) == "0002"
    assert draw_free_number("####", ["9999", "9998"], highest) == "9997"
    assert draw_free_number("2#5#", ["2050", "2051"], lowest) == "2052"


def test_every_free_number_is_drawn_and_no_other() -> None:
    taken = ["120", "125", "129", "999", "12", "1255"]
    free = ["121", "122", "123", "124", "126", "127", "128"]

    def choose(wanted: int) -> str | None:
        def draw(count: int) -> int:
            assert count == len(free)
            return wanted

        return draw_free_number("12#", taken, draw)

    assert [choose(number) for number in range(len(free))] == free


def test_the_last_free_number_is_found_and_none_when_all_are_taken() -> None:
    taken = [f"{number:06d}" for number in range(10**6) if number != 123456]
    assert draw_free_number("######", taken, highest) == "123456"
    assert draw_free_number("1#", [f"1{digit}" for digit in range(10)], never) is None


def test_a_number_that_is_no_pattern_is_not_drawn() -> None:
    assert draw_free_number("0007", ["0007"], never) is None
    assert draw_free_number("0007", [], never) == "0007"


@pytest.mark.parametrize(
    ("pattern", "number", "covered"),
    [
        ("0001", "0001", True),
        ("0001", "00011", False),
        ("0001", "000", False),
        ("9#*", "911", True),
        ("9#*", "91", True),
        ("9#*", "9", False),
        ("*", "1234", True),
        ("####", "1234", True),
        ("####", "12345", False),
        ("00*", "0041", True),
        ("00*", "041", False),
    ],
)
def test_filter_patterns(pattern: str, number: str, covered: bool) -> None:
    assert check_filter_pattern(pattern) == pattern
    assert matches_filter_pattern(pattern, number) is covered


@pytest.mark.parametrize("pattern", ["", "9*1", "**", "a", "9 1", "1" * 16])
def test_what_is_no_filter_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidFields):
        check_filter_pattern(pattern)
