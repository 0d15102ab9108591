from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from billing_service.domain.bill import BillContents, LineKind, UnbilledCall, build_bill, describe_days
from billing_service.domain.money import Currency, Money, total
from billing_service.domain.period import Period
from billing_service.domain.proration import PlanInForce, fee_for, prorate

USD = Currency.of("USD")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOVEMBER = Period(at("2026-11-01"), at("2026-12-01"))


def plan(name: str, fee: str, start: datetime = NOVEMBER.start, end: datetime | None = None) -> PlanInForce:
    return PlanInForce(sum(map(ord, name)), name, Money.parse(fee), start, end)


def call(record_id: str, ended_at: datetime, price: str) -> UnbilledCall:
    precise = Money.parse(price)
    return UnbilledCall(
        record_id,
        "0002",
        ended_at - timedelta(minutes=1),
        ended_at,
        60_000_000,
        precise,
        precise.rounded(USD),
    )


def bill(
    plans: list[PlanInForce], *, charged: list[Period] | None = None, calls: tuple[UnbilledCall, ...] = ()
) -> BillContents:
    return build_bill(
        period=NOVEMBER,
        whole=NOVEMBER,
        charged=[NOVEMBER] if charged is None else charged,
        plans=plans,
        calls=calls,
        currency=USD,
        zone=UTC,
    )


def test_a_plan_in_force_for_the_whole_period_costs_its_fee() -> None:
    contents = bill([plan("Evening", "5.00")])
    assert [(line.kind, line.text, line.amount) for line in contents.lines] == [
        (LineKind.FEE, "Evening, 1–30 November 2026", Money.parse("5.00"))
    ]
    assert contents.total == contents.fee_total == Money.parse("5.00")


def test_a_change_of_plan_gives_a_line_for_each_plan_by_its_time() -> None:
    change = at("2026-11-11")
    contents = bill([plan("Evening", "30.00", end=change), plan("Flat", "60.00", start=change)])
    assert [(line.text, line.amount) for line in contents.lines] == [
        ("Evening, 1–10 November 2026", Money.parse("10.00")),
        ("Flat, 11–30 November 2026", Money.parse("40.00")),
    ]


def test_time_under_suspension_is_not_charged_and_the_plan_keeps_one_line() -> None:
    charged = [Period(NOVEMBER.start, at("2026-11-07")), Period(at("2026-11-16"), NOVEMBER.end)]
    contents = bill([plan("Evening", "30.00")], charged=charged)
    assert [(line.text, line.amount) for line in contents.lines] == [
        ("Evening, 1–6 November 2026, 16–30 November 2026", Money.parse("21.00"))
    ]


def test_an_account_that_was_suspended_throughout_owes_no_fee() -> None:
    assert bill([plan("Evening", "30.00")], charged=[]).lines == ()
    assert bill([plan("Evening", "30.00")], charged=[]).total == Money(0)


def test_a_fee_is_counted_to_the_second_on_the_wall_clock() -> None:
    opened_at = at("2026-11-30T23:59:00")
    share = fee_for(Money.parse("43200"), Period(opened_at, NOVEMBER.end), whole=NOVEMBER, zone=UTC)
    assert share == Money.parse("1")


def test_a_clock_change_makes_no_day_dearer() -> None:
    zurich = ZoneInfo("Europe/Zurich")
    october = Period(at("2026-09-30T22:00"), at("2026-10-31T23:00"))
    long_day = Period(at("2026-10-24T22:00"), at("2026-10-25T23:00"))
    assert fee_for(Money.parse("31"), long_day, whole=october, zone=zurich) == Money.parse("1")


def test_thirds_of_a_fee_add_up_to_the_fee() -> None:
    borders = [NOVEMBER.start, at("2026-11-11"), at("2026-11-21"), NOVEMBER.end]
    shares = prorate(
        [
            plan(name, "10.00", start, end)
            for name, start, end in zip("abc", borders, borders[1:], strict=False)
        ],
        whole=NOVEMBER,
        charged=[NOVEMBER],
        zone=UTC,
    )
    assert [share.precise.micros for share in shares] == [3_333_333, 3_333_333, 3_333_334]
    assert total(share.precise for share in shares) == Money.parse("10.00")


def test_a_call_belongs_to_the_period_in_which_it_ends() -> None:
    last_instant = NOVEMBER.end - timedelta(microseconds=1)
    contents = bill(
        [],
        calls=(
            call("in", last_instant, "1"),
            call("next", NOVEMBER.end, "2"),
            call("first", NOVEMBER.start, "4"),
        ),
    )
    assert [billed.record_id for billed in contents.calls] == ["first", "in"]
    assert contents.call_total == Money.parse("5")


def test_a_call_of_an_earlier_period_is_a_late_call_on_a_line_of_its_own() -> None:
    contents = bill(
        [],
        calls=(
            call("late", NOVEMBER.start - timedelta(seconds=1), "0.10"),
            call("in", NOVEMBER.start, "0.20"),
        ),
    )
    assert [(line.kind, line.text, line.amount) for line in contents.lines] == [
        (LineKind.CALLS, "1 call", Money.parse("0.20")),
        (LineKind.LATE_CALLS, "1 call of earlier periods", Money.parse("0.10")),
    ]
    assert [(billed.record_id, billed.late) for billed in contents.calls] == [("late", True), ("in", False)]
    assert contents.call_total == Money.parse("0.30")


def test_the_calls_line_is_the_sum_of_the_prices_that_the_bill_shows() -> None:
    contents = bill([], calls=tuple(call(str(index), NOVEMBER.start, "0.005") for index in range(3)))
    (line,) = contents.lines
    assert line.text == "3 calls"
    assert line.precise == Money.parse("0.015")
    assert line.amount == Money.parse("0.03") == total(billed.rounded for billed in contents.calls)


def test_days_are_told_as_people_write_them() -> None:
    assert describe_days(NOVEMBER, UTC) == "1–30 November 2026"
    assert describe_days(Period(at("2026-11-21"), at("2026-12-21")), UTC) == "21 November – 20 December 2026"
    assert (
        describe_days(Period(at("2026-12-21"), at("2027-01-21")), UTC) == "21 December 2026 – 20 January 2027"
    )
    assert describe_days(Period(at("2026-11-21T08:00"), at("2026-11-21T09:00")), UTC) == "21 November 2026"
