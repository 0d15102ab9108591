"""The plans, customers and phones of the sample data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from billing_service.domain.allowance import Allowance
from billing_service.domain.money import ZERO, Money
from billing_service.domain.plan import Counting, PlanTerms, Price, Tariff, Weekday, Window
from billing_service.domain.plan_document import parse_time_of_day
from billing_service.use_cases.open_account import FilterRule


def _window(start: str, end: str, per_minute: str, weekday: Weekday | None = None) -> Window:
    return Window(weekday, parse_time_of_day(start), parse_time_of_day(end), Money.parse(per_minute))


_EVENING: Final = PlanTerms(
    name="Evening",
    monthly_fee=Money.parse("5.00"),
    base_price=Price(
        Money.parse("0.09"),
        windows=(
            _window("18:00", "08:00", "0.03"),
            _window("00:00", "00:00", "0.02", Weekday.SATURDAY),
            _window("00:00", "00:00", "0.01", Weekday.SUNDAY),
        ),
    ),
    allowance=Allowance(30),
)
_METRO: Final = PlanTerms(
    name="Metro",
    monthly_fee=Money.parse("2.50"),
    base_price=Price(
        Money.parse("0.09"),
        standing_charge=Money.parse("0.36"),
        counting=Counting.COMPLETED,
        windows=(_window("22:00", "06:00", "0"),),
    ),
    tariffs=(
        Tariff(
            Price(Money.parse("0.06"), standing_charge=Money.parse("0.10"), counting=Counting.COMPLETED),
            destination_prefix="2",
            description="Hotel",
        ),
        Tariff(
            Price(Money.parse("0.02"), standing_charge=Money.parse("0.05"), counting=Counting.COMPLETED),
            destination_prefix="2",
            source_prefix="2",
            description="Within the hotel",
        ),
        Tariff(
            Price(Money.parse("0.18"), initial_increment_s=30, next_increment_s=6),
            destination_prefix="30",
            description="Laboratory",
        ),
    ),
)
_FLAT: Final = PlanTerms(name="Flat", monthly_fee=Money.parse("29.90"), base_price=Price(ZERO))
_SERVICE: Final = PlanTerms(name="Service", monthly_fee=ZERO, base_price=Price(ZERO), permits_blocking=False)
# For numbers that nobody has and whose calls are posted or imported.
_BY_THE_CALL: Final = PlanTerms(
    name="By the call",
    monthly_fee=ZERO,
    base_price=Price(
        Money.parse("0.09"),
        standing_charge=Money.parse("0.36"),
        counting=Counting.COMPLETED,
        windows=(_window("22:00", "06:00", "0.00"),),
    ),
)

PLANS: Final = (_EVENING, _METRO, _FLAT, _SERVICE, _BY_THE_CALL)
DEFAULT_PLAN: Final = _BY_THE_CALL.name


@dataclass(frozen=True, slots=True)
class SampleCustomer:
    """Who pays. `name` is unique in the sample data."""

    name: str
    email: str | None = None
    address: str | None = None
    alternative_number: str | None = None


@dataclass(frozen=True, slots=True)
class SampleAccount:
    """A phone of the sample data and how its owner behaves."""

    number: str
    customer: str
    display_name: str
    plan: str
    billing_day: int
    calls_per_week: int
    pays_bills: int = 3
    """How many of the three closed bills get paid, from the oldest on."""
    later_plan: str | None = None
    """The plan that it changes to in the middle of its second period."""
    closes_after_periods: int | None = None
    out_of_service: bool = False
    call_limit: int | None = None
    outgoing_filter: tuple[FilterRule, ...] = ()
    incoming_filter: tuple[FilterRule, ...] = ()
    block_list: tuple[str, ...] = ()


LETTERHEAD: Final = {
    "company_name": "Harbour Town Telephone Cooperative",
    "company_address": "The Exchange\n1 Exchange Square\nHarbour Town",
    "company_tax_number": "HT-12345",
    "payment_instructions": "Please pay at the counter, or to account 12-3456-7 with the bill's number.",
}

CUSTOMERS: Final = (
    SampleCustomer("Alice Example", "alice@example.org", "1 Harbour Street"),
    SampleCustomer("Bruno Sample", "bruno@example.org", "2 Harbour Street", "3001"),
    SampleCustomer("Clara Specimen", "clara@example.org", "3 Harbour Street"),
    SampleCustomer("Dora Delay", "dora@example.org", "4 Mill Lane"),
    SampleCustomer("Emil Empty", None, "5 Mill Lane"),
    SampleCustomer("Harbour Hotel", "desk@hotel.example", "1 Pier Square\nHarbour Town"),
    SampleCustomer("Open Laboratory", "lab@example.edu", "The Old Mill"),
    SampleCustomer("Town Exchange", "office@exchange.example", "The Exchange"),
)

ACCOUNTS: Final = (
    SampleAccount("0001", "Alice Example", "Alice Example", "Evening", 1, 18),
    SampleAccount("0002", "Bruno Sample", "Bruno Sample", "Metro", 1, 15),
    SampleAccount("0003", "Clara Specimen", "Clara Specimen", "Flat", 11, 14),
    SampleAccount("0004", "Dora Delay", "Dora Delay", "Evening", 11, 10, pays_bills=1),
    SampleAccount("0005", "Emil Empty", "Emil Empty", "Metro", 1, 8, pays_bills=0),
    SampleAccount(
        "0006", "Clara Specimen", "Clara's cabin", "Metro", 31, 3, block_list=("0004", "0005"), call_limit=1
    ),
    SampleAccount("0007", "Bruno Sample", "Bruno's old phone", "Metro", 1, 5, closes_after_periods=2),
    SampleAccount("2001", "Harbour Hotel", "Hotel reception", "Metro", 21, 25, call_limit=4),
    SampleAccount(
        "2002",
        "Harbour Hotel",
        "Hotel room 2",
        "Metro",
        21,
        6,
        outgoing_filter=(FilterRule("30*", "deny"),),
        incoming_filter=(FilterRule("2*", "allow"), FilterRule("*", "deny")),
    ),
    SampleAccount("3001", "Open Laboratory", "Laboratory", "Flat", 21, 12, later_plan="Evening"),
    SampleAccount("3002", "Open Laboratory", "Laboratory workshop", "Evening", 21, 2, out_of_service=True),
    SampleAccount("9911", "Town Exchange", "Emergency desk", "Service", 1, 2),
)
