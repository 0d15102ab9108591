from datetime import UTC, datetime

from billing_service.domain.money import Money
from billing_service.domain.plan import PlanTerms, Price, Tariff
from billing_service.domain.tariff import TariffTable, choose_price

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
BASE = Price(Money.parse("1"))


def tariff(destination: str, source: str = "", **validity: datetime) -> Tariff:
    return Tariff(Price(Money.parse("0.10")), destination, source, **validity)


def chosen(tariffs: list[Tariff], source: str, destination: str) -> Tariff | None:
    forwards = TariffTable(tariffs).choose(source=source, destination=destination, answered_at=NOON)
    backwards = TariffTable(tariffs[::-1]).choose(source=source, destination=destination, answered_at=NOON)
    assert forwards is backwards, "the order of tariffs must not matter"
    return forwards


def test_the_longest_destination_prefix_wins() -> None:
    tariffs = [tariff("00"), tariff("0041"), tariff("004")]
    assert chosen(tariffs, "0001", "0041441234567") is tariffs[1]
    assert chosen(tariffs, "0001", "0049301234567") is tariffs[2]
    assert chosen(tariffs, "0001", "0012125551234") is tariffs[0]


def test_the_whole_number_is_a_prefix_of_itself_and_a_longer_one_is_not() -> None:
    tariffs = [tariff("0002"), tariff("00021")]
    assert chosen(tariffs, "0001", "0002") is tariffs[0]
    assert chosen(tariffs, "0001", "0003") is None


def test_among_equal_destinations_the_longest_source_prefix_wins() -> None:
    tariffs = [tariff("0041"), tariff("0041", "00"), tariff("0041", "000")]
    assert chosen(tariffs, "0001", "00411") is tariffs[2]
    assert chosen(tariffs, "0101", "00411") is tariffs[0]
    assert chosen(tariffs, "0011", "00411") is tariffs[1]


def test_a_longer_destination_beats_any_source() -> None:
    tariffs = [tariff("004", "0001"), tariff("0041")]
    assert chosen(tariffs, "0001", "00411") is tariffs[1]


def test_a_longer_destination_of_another_source_leaves_the_shorter_one() -> None:
    tariffs = [tariff("004"), tariff("0041", "9")]
    assert chosen(tariffs, "0001", "00411") is tariffs[0]


def test_validity_is_half_open_and_judged_at_the_answer() -> None:
    assert chosen([tariff("00", valid_from=NOON)], "0001", "00411") is not None
    assert chosen([tariff("00", valid_to=NOON)], "0001", "00411") is None


def test_one_that_is_not_valid_leaves_the_next_shorter_prefix() -> None:
    tariffs = [tariff("004"), tariff("0041", valid_to=NOON)]
    assert chosen(tariffs, "0001", "00411") is tariffs[0]


def test_an_empty_prefix_matches_every_number() -> None:
    tariffs = [tariff("")]
    assert chosen(tariffs, "0001", "5") is tariffs[0]


def test_when_none_matches_the_base_price_holds() -> None:
    terms = PlanTerms("Plan", Money(0), BASE, (tariff("0041"),))
    assert choose_price(terms, source="0001", destination="0002", answered_at=NOON) == (BASE, None)
    price, found = choose_price(terms, source="0001", destination="00411", answered_at=NOON)
    assert found is terms.tariffs[0]
    assert price is terms.tariffs[0].price
