"""What a language's labels are: every text of a printed bill that is no name, number, amount or date.

What stands in braces is filled in. A language has all of them or it doesn't type-check.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The labels of a printed bill in one language, in the order in which they stand on it."""

    language: str
    """ISO 639-1, for readers that speak: the page's language."""
    bill: str
    bill_so_far: str
    void: str
    superseded: str
    not_closed_yet: str
    phone: str
    tax_number: str
    page: str

    billed_to: str
    bill_number: str
    revision: str
    phone_number: str
    period: str
    date: str
    due: str

    payment_overdue: str
    this_is_overdue: str
    other_is_overdue: str

    description: str
    tax: str
    amount: str
    fee_a_month: str
    share_of_fee: str
    """Of `fee_a_month`."""
    day_unit: str
    """After a number of days; hours and minutes are `h` and `min` everywhere."""
    one_call: str
    many_calls: str
    one_late_call: str
    many_late_calls: str
    listed_below: str
    included_minutes: str
    share_of_amount: str
    total: str
    payment: str
    credit: str
    released: str
    """Money that is taken off the bill again, after it was made again for less."""
    amount_due: str
    how_to_pay: str

    calls_by_price: str
    price: str
    when: str
    every_day: str
    calls: str
    charged_time: str
    per_minute: str
    standing_charges: str
    """What calls cost for being answered."""
    rounding_of_each_call: str
    all_calls: str

    late_calls: str
    time: str
    number_called: str
    length: str
    price_a_minute: str
    several_prices: str
    """Of a call that went across more windows than there is room for."""
    included: str
    sum: str
