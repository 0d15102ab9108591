"""A bill in the words in which it is printed: every text that the HTML and the PDF show, the same in both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from babel import Locale

from billing_service.bill_rendering.labels.label import Labels
from billing_service.bill_rendering.wording import Wording, isolated, locale_of, talk_length
from billing_service.domain.bill import LineKind
from billing_service.domain.money import total
from billing_service.use_cases.readable_bill import (
    FeeBasis,
    RateGroup,
    ReadableBill,
    ReadableCall,
    ReadableLine,
    Received,
)

MINUS = "\N{MINUS SIGN}"
# How `domain/bill.py` ends the text of such a line, the only place where a document has these figures.
_INCLUDED_MINUTES: Final = re.compile(
    r"(?P<plan>.*), included minutes: (?P<used>\S+) of (?P<whole>\S+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and what it stands for."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """One amount on the bill; `note` says how it came to be."""

    text: str
    note: str
    tax: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedGroup:
    """The calls at one price."""

    rate: str
    window: str
    calls: str
    charged: str
    amount: str


@dataclass(frozen=True, slots=True)
class PrintedCall:
    """One call."""

    day: str
    time: str
    callee: str
    length: str
    rate: str
    included: str
    """What included minutes paid of the price; empty when nothing."""
    price: str


@dataclass(frozen=True, slots=True)
class PrintedBill:
    """All texts of a bill, in their order."""

    labels: Labels
    title: str
    mark: str
    """What is written across a bill that is none: void, or not closed yet. Empty on others."""
    company: str
    company_lines: tuple[str, ...]
    customer: tuple[str, ...]
    facts: tuple[Fact, ...]
    notices: tuple[str, ...]
    lines: tuple[PrintedLine, ...]
    total: str
    received: tuple[Fact, ...]
    amount_due: str
    payment_instructions: tuple[str, ...]
    groups: tuple[PrintedGroup, ...]
    group_sums: tuple[Fact, ...]
    calls: tuple[PrintedCall, ...]
    late_calls: tuple[PrintedCall, ...]
    call_total: str
    late_total: str
    footer: str


def print_bill(bill: ReadableBill) -> PrintedBill:
    """Put a bill into the words of its locale.

    A locale that is not known is taken for English; so are the labels of a language that has none.
    """
    locale = locale_of(bill.locale) or Locale("en")
    say = Wording(locale, bill.currency, bill.zone)
    labels = say.labels
    title = labels.bill_so_far if bill.number is None else labels.bill.format(number=bill.number)
    marks = {"void": labels.void, "superseded": labels.superseded, "open": labels.not_closed_yet}
    late = [call for call in bill.calls if call.late]
    in_time = [call for call in bill.calls if not call.late]
    return PrintedBill(
        labels=labels,
        title=title,
        mark=marks.get(bill.state, ""),
        company=isolated(bill.company.name),
        company_lines=_company_lines(bill, labels),
        customer=(
            isolated(bill.customer.name),
            *_text_lines(bill.customer.address),
            *_text_lines(bill.customer.email),
        ),
        facts=tuple(_facts(bill, say)),
        notices=tuple(_notices(bill, say)),
        lines=tuple(_line(line, say, in_time=len(in_time), late=len(late)) for line in bill.lines),
        total=say.money(bill.total),
        received=tuple(_received(received, say) for received in bill.received),
        amount_due=say.money(bill.amount_due),
        payment_instructions=_text_lines(bill.company.payment_instructions) if bill.amount_due else (),
        groups=tuple(_group(group, say) for group in bill.rate_groups),
        group_sums=tuple(_group_sums(bill, say)),
        calls=tuple(_call(call, say) for call in in_time),
        late_calls=tuple(_call(call, say) for call in late),
        call_total=say.money(total(call.price for call in in_time)),
        late_total=say.money(total(call.price for call in late)),
        footer=" · ".join(
            part
            for part in (isolated(bill.company.name), title, labels.phone.format(number=bill.account))
            if part
        ),
    )


def _text_lines(text: str) -> tuple[str, ...]:
    return tuple(isolated(line.strip()) for line in text.splitlines() if line.strip())


def _company_lines(bill: ReadableBill, labels: Labels) -> tuple[str, ...]:
    tax_number = bill.company.tax_number
    return (
        *_text_lines(bill.company.address),
        *((labels.tax_number.format(number=isolated(tax_number)),) if tax_number else ()),
    )


def _facts(bill: ReadableBill, say: Wording) -> Iterator[Fact]:
    labels = say.labels
    if bill.number is not None:
        yield Fact(labels.bill_number, bill.number)
    if bill.revision > 1:
        yield Fact(labels.revision, say.count(bill.revision))
    yield Fact(labels.phone_number, bill.account)
    yield Fact(labels.period, say.days(bill.period_start, bill.period_end))
    if bill.closed_at is not None:
        yield Fact(labels.date, say.day(bill.closed_at))
    if bill.due_on is not None and bill.state in ("closed", "paid"):
        yield Fact(labels.due, say.date(bill.due_on))


def _notices(bill: ReadableBill, say: Wording) -> Iterator[str]:
    if bill.is_overdue and bill.due_on is not None:
        yield say.labels.this_is_overdue.format(date=say.date(bill.due_on), amount=say.money(bill.amount_due))
    for other in bill.other_overdue:
        yield say.labels.other_is_overdue.format(
            number=other.number, date=say.date(other.due_on), amount=say.money(other.due)
        )


def _line(line: ReadableLine, say: Wording, *, in_time: int, late: int) -> PrintedLine:
    labels, text, note = say.labels, isolated(line.text), ""
    if line.fee is not None:
        spans = ", ".join(say.days(start, end) for start, end in line.fee.parts)
        text, note = f"{isolated(line.fee.plan)}, {spans}", _explain_fee(line.fee, say)
    elif line.tax is not None:
        text = f"{isolated(line.tax.name)} {say.percent(line.tax.percent)}"
        note = labels.share_of_amount.format(
            percent=say.percent(line.tax.percent), amount=say.money(line.tax.base)
        )
    elif line.kind is LineKind.CALLS:
        text = labels.one_call if in_time == 1 else labels.many_calls.format(count=say.count(in_time))
        note = labels.listed_below
    elif line.kind is LineKind.LATE_CALLS:
        text = labels.one_late_call if late == 1 else labels.many_late_calls.format(count=say.count(late))
        note = labels.listed_below
    elif line.kind is LineKind.ALLOWANCE and (parts := _INCLUDED_MINUTES.fullmatch(line.text)):
        text = labels.included_minutes.format(
            plan=isolated(parts["plan"]), used=parts["used"], whole=parts["whole"]
        )
    percents = " + ".join(map(say.percent, line.tax_percents))
    return PrintedLine(text, note, percents, say.money(line.amount))


def _explain_fee(fee: FeeBasis, say: Wording) -> str:
    monthly = say.labels.fee_a_month.format(price=say.price(fee.monthly_fee))
    if fee.charged_us == fee.whole_us:
        return monthly
    return say.labels.share_of_fee.format(
        fee=monthly, part=say.span(fee.charged_us), whole=say.span(fee.whole_us)
    )


def _received(received: Received, say: Wording) -> Fact:
    labels = say.labels
    kinds = {"payment": labels.payment, "credit": labels.credit}
    kind = labels.released if received.amount.micros < 0 else kinds[received.kind]
    sign = "" if received.amount.micros < 0 else MINUS
    amount = -received.amount if received.amount.micros < 0 else received.amount
    return Fact(kind.format(date=say.day(received.on)), f"{sign}{say.money(amount)}")


def _group(group: RateGroup, say: Wording) -> PrintedGroup:
    return PrintedGroup(
        rate=say.labels.per_minute.format(price=say.price(group.per_minute)),
        window=say.window(group.window),
        calls=say.count(group.calls),
        charged=talk_length(group.charged_s * 1_000_000),
        amount=say.money(group.precise),
    )


def _group_sums(bill: ReadableBill, say: Wording) -> Iterator[Fact]:
    """Below the groups: standing charges, what rounding each call made, and the sum, so that it adds up."""
    if not bill.rate_groups:
        return
    if bill.standing_charges:
        yield Fact(say.labels.standing_charges, say.money(bill.standing_charges))
    shown = total(group.precise.rounded(bill.currency) for group in bill.rate_groups)
    rounding = bill.call_total - shown - bill.standing_charges.rounded(bill.currency)
    if rounding:
        yield Fact(say.labels.rounding_of_each_call, say.money(rounding))
    yield Fact(say.labels.all_calls, say.money(bill.call_total))


def _call(call: ReadableCall, say: Wording) -> PrintedCall:
    rates = list(dict.fromkeys(say.price(part.per_minute) for part in call.parts))
    return PrintedCall(
        day=say.short_day(call.answered_at),
        time=say.time(call.answered_at),
        callee=call.callee,
        length=talk_length(call.duration_us),
        rate=(
            " + ".join(rates)
            if len(rates) <= _MOST_RATES
            else say.labels.several_prices.format(count=say.count(len(rates)))
        ),
        included=say.money(call.included) if call.included else "",
        price=say.money(call.price),
    )


_MOST_RATES = 2
