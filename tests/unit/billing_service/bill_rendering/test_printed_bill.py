from datetime import UTC, date, datetime

from billing_service.bill_rendering.printed_bill import Fact, print_bill
from billing_service.domain.money import Money
from billing_service.use_cases.readable_bill import OverdueBill, Received
from tests.support.bill_documents import call, plan, readable


def test_the_head_says_who_bills_whom_for_what_and_until_when() -> None:
    printed = print_bill(readable())
    assert (printed.title, printed.company) == ("Bill 2026-000042", "Lakeside Telephone")
    assert printed.company_lines == ("1 Harbour Street", "8001 Zürich", "Tax number CHE-123")
    assert printed.customer == ("Alice Example", "12 Station Road", "Oxford", "alice@example.org")
    assert printed.facts == (
        Fact("Bill number", "2026-000042"),
        Fact("Phone number", "0001"),
        Fact("Period", "1–30 Nov 2026"),
        Fact("Date", "1 December 2026"),
        Fact("Due", "15 December 2026"),
    )


def test_a_fee_says_how_it_was_prorated_and_a_tax_what_it_is_on() -> None:
    fee, _, tax = print_bill(readable()).lines
    assert (fee.text, fee.note) == ("Evening, 2–30 Nov 2026", "US$20.00 a month × 29 d of 30 d")
    assert (fee.tax, fee.amount) == ("8.1 %", "US$19.33")
    assert (tax.text, tax.note, tax.tax, tax.amount) == ("VAT 8.1 %", "8.1 % of US$19.73", "", "US$1.60")


def test_calls_show_their_rates_and_the_rates_add_up_to_them() -> None:
    # In Zurich: 11:30 to 12:30 across the end of the morning, and 12:30 to 12:32.
    calls = [call(1, price="4.55", minutes=60), call(2, price="0.25")]
    printed = print_bill(readable(calls))
    assert [(row.time, row.length, row.rate, row.price) for row in printed.calls] == [
        ("11:30:00", "1:00:00", "US$0.05 + US$0.10", "US$4.55"),
        ("12:30:00", "2:00", "US$0.10", "US$0.25"),
    ]
    assert [(g.rate, g.window, g.calls, g.charged, g.amount) for g in printed.groups] == [
        ("US$0.10 a minute", "", "2", "32:00", "US$3.20"),
        ("US$0.05 a minute", "every day 08:00–12:00", "1", "30:00", "US$1.50"),
    ]
    assert printed.group_sums == (Fact("Standing charges", "US$0.10"), Fact("All calls", "US$4.80"))


def test_what_rounding_each_call_made_is_shown_so_that_the_groups_add_up() -> None:
    free_of_charge = plan(standing_charge=Money(0), windows=(), per_minute=Money.parse("0.005"))
    printed = print_bill(readable([call(n, price="0.02", minutes=3) for n in range(3)], of=free_of_charge))
    assert [group.amount for group in printed.groups] == ["US$0.05"]
    assert printed.group_sums == (
        Fact("Rounding of each call", "US$0.01"),
        Fact("All calls", "US$0.06"),
    )


def test_a_bill_is_worded_in_the_language_of_its_locale() -> None:
    printed = print_bill(
        readable(
            [call(1), call(2, late=True)],
            locale="de_CH",
            currency="CHF",
            is_overdue=True,
            received=[Received("payment", datetime(2026, 12, 3, tzinfo=UTC), Money.parse("10"))],
        )
    )
    assert (printed.title, printed.company_lines[-1]) == ("Rechnung 2026-000042", "Steuernummer CHE-123")
    assert printed.facts[-1] == Fact("Zahlbar bis", "15. Dezember 2026")
    assert printed.notices == (
        "Diese Rechnung war am 15. Dezember 2026 fällig; offen sind CHF\N{NO-BREAK SPACE}21.33.",
    )
    fee, calls, tax = printed.lines
    assert (fee.text, fee.note) == (
        "Evening, 2.–30. Nov. 2026",
        "CHF\N{NO-BREAK SPACE}20.00 im Monat × 29 d von 30 d",
    )
    assert (calls.text, calls.note) == ("1 Anruf", "unten aufgeführt")
    assert (tax.text, tax.note) == ("VAT 8.1 %", "8.1 % von CHF\N{NO-BREAK SPACE}19.73")
    assert printed.received[0].label == "Zahlung, 3. Dezember 2026"
    assert {group.window for group in printed.groups} == {"täglich 08:00–12:00", ""}
    assert printed.footer == "Lakeside Telephone · Rechnung 2026-000042 · Telefon 0001"


def test_percentages_have_the_decimal_sign_of_the_locale() -> None:
    assert print_bill(readable(locale="fr_FR")).lines[-1].text == "VAT 8,1 %"


def test_lines_of_calls_and_included_minutes_are_worded_by_what_they_count() -> None:
    def line(kind: str, text: str) -> dict[str, object]:
        return {"kind": kind, "text": text, "amount": "0.20", "tax_percents": []}

    lines = [
        line("calls", "2 calls"),
        line("late_calls", "1 call of earlier periods"),
        line("allowance", "Plan {name}, included minutes: 62:30 of 100"),
        line("allowance", "of an older form"),
    ]
    calls = [call(1), call(2), call(3, late=True)]
    assert [line.text for line in print_bill(readable(calls, lines=lines)).lines] == [
        "2 calls",
        "1 call of earlier periods",
        "Plan {name}, included minutes: 62:30 of 100",
        "of an older form",
    ]
    assert [line.text for line in print_bill(readable(calls, lines=lines, locale="es")).lines] == [
        "2 llamadas",
        "1 llamada de períodos anteriores",
        "Plan {name}, minutos incluidos: 62:30 de 100",
        "of an older form",
    ]


def test_late_calls_are_listed_apart() -> None:
    printed = print_bill(readable([call(1, late=True), call(2)]))
    assert ([c.callee[-1] for c in printed.late_calls], [c.callee[-1] for c in printed.calls]) == (
        ["1"],
        ["2"],
    )
    assert (printed.late_total, printed.call_total) == ("US$0.20", "US$0.20")


def test_a_call_without_a_known_plan_version_has_a_price_but_no_rate() -> None:
    printed = print_bill(readable([{**call(1), "plan_version_id": None}]))
    assert [(row.rate, row.price) for row in printed.calls] == [("", "US$0.20")]
    assert (printed.groups, printed.group_sums) == ((), ())


def test_money_that_came_and_went_stands_between_total_and_amount_due() -> None:
    received = [
        Received("payment", datetime(2026, 12, 3, tzinfo=UTC), Money.parse("10")),
        Received("credit", datetime(2026, 12, 4, tzinfo=UTC), Money.parse("2")),
        Received("payment", datetime(2026, 12, 5, tzinfo=UTC), Money.parse("-1")),
    ]
    printed = print_bill(readable(received=received, amount_due="10.33"))
    assert printed.received == (
        Fact("Payment, 3 December 2026", "−US$10.00"),
        Fact("Credit, 4 December 2026", "−US$2.00"),
        Fact("Released, 5 December 2026", "US$1.00"),
    )
    assert (printed.total, printed.amount_due) == ("US$21.33", "US$10.33")


def test_overdue_bills_are_named_with_what_is_due() -> None:
    other = OverdueBill("2026-000012", date(2026, 11, 15), Money.parse("12.5"))
    printed = print_bill(readable(is_overdue=True, other_overdue=[other]))
    assert printed.notices == (
        "This bill was due on 15 December 2026: US$21.33 is not paid.",
        "Bill 2026-000012 was due on 15 November 2026: US$12.50 is not paid.",
    )
    assert print_bill(readable()).notices == ()


def test_nobody_is_told_how_to_pay_what_is_paid() -> None:
    assert print_bill(readable()).payment_instructions == ("Please pay to CH93 0076 2011 6238 5295 7",)
    assert print_bill(readable(state="paid", amount_due="0.00")).payment_instructions == ()


def test_what_is_no_bill_to_pay_is_marked() -> None:
    void = print_bill(readable(state="void", amount_due="0.00"))
    assert (void.mark, [fact.label for fact in void.facts if fact.label == "Due"]) == ("VOID", [])
    assert print_bill(readable(state="superseded", amount_due="0.00")).mark == "SUPERSEDED"
    so_far = print_bill(readable(state="open", number=None, closed_at=None, due_on=None))
    assert (so_far.mark, so_far.title) == ("NOT CLOSED YET", "Bill so far")
    assert print_bill(readable()).mark == ""


def test_a_revision_is_named_and_an_unknown_locale_is_english() -> None:
    printed = print_bill(readable(revision=2, locale="xx"))
    assert Fact("Revision", "2") in printed.facts
    assert Fact("Date", "December 1, 2026") in printed.facts


def test_what_included_minutes_paid_of_a_call_stands_beside_its_price() -> None:
    printed = print_bill(readable([{**call(1), "included_s": 60, "included": "0.10"}, call(2)]))
    assert [(row.included, row.price) for row in printed.calls] == [("US$0.10", "US$0.20"), ("", "US$0.20")]
