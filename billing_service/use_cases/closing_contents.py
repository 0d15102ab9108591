"""Put together the bills of the many accounts whose periods are closed at once.

What bills are made of is the same for many accounts: the fees and their wording are worked out once for all
with the same period, plans and states (`_Shape`). Of the calls only sums are read, but where included minutes
are used up by one call after the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from sqlalchemy.orm import Session

from billing_service.domain.bill import (
    NO_CALLS,
    BillContents,
    BillLine,
    CallSum,
    build_bill,
    build_bill_of_sums,
    fee_lines,
    last_day,
    mark_taxed,
)
from billing_service.domain.money import Currency
from billing_service.domain.period import Period
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import TaxRate, taxes_in_force
from billing_service.storage.closing_rows import DueAccount, sum_calls
from billing_service.use_cases.account_bill import (
    compiled_versions,
    exempt_customers,
    open_periods,
    whole_period,
)
from billing_service.use_cases.bill_heading import read_tax_rates
from billing_service.use_cases.period_facts import calls_of, charged_parts, plans_in_force
from billing_service.use_cases.rate_call import CompiledPlans


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the bills of accounts with the same period, billing day, plans and states have in common."""

    whole: Period
    fees: tuple[BillLine, ...]
    taxes: tuple[TaxRate, ...]


@dataclass(frozen=True, slots=True)
class ClosingContents:
    """Makes the bills of a chunk of accounts."""

    session: Session
    currency: Currency
    zone: tzinfo
    compiled_plans: CompiledPlans
    _shapes: dict[Hashable, _Shape] = field(default_factory=dict)

    def of(self, accounts: Sequence[DueAccount], as_of: datetime) -> list[tuple[DueAccount, BillContents]]:
        """The bills of those of the accounts whose period is over at `as_of`, in their order.

        The accounts must be locked, also against intake.
        """
        periods = open_periods(self.session, accounts, self.zone)
        sums = sum_calls(self.session, periods)
        due = [account for account in accounts if _is_due(account, periods[account.id], sums, as_of)]
        if not due:
            return []
        periods = {account.id: periods[account.id] for account in due}
        charged = charged_parts(self.session, periods)
        plans = plans_in_force(self.session, periods)
        one_by_one = _with_included_minutes(periods, plans)
        calls = calls_of(self.session, one_by_one) if one_by_one else {}
        compiled = compiled_versions(self.session, plans, self.compiled_plans)
        rates = read_tax_rates(self.session)
        exempt = exempt_customers(self.session, due) if rates else frozenset()
        bills = []
        for account in due:
            period, in_force, parts = periods[account.id], plans[account.id], charged[account.id]
            taxes = () if account.customer_id in exempt else rates
            shape = self._shape(account, period, in_force, parts, taxes)
            if account.id in one_by_one:
                contents = build_bill(
                    period=period,
                    whole=shape.whole,
                    charged=parts,
                    plans=in_force,
                    calls=calls[account.id],
                    compiled=compiled.__getitem__,
                    currency=self.currency,
                    zone=self.zone,
                    taxes=taxes,
                )
            else:
                contents = build_bill_of_sums(
                    period=period,
                    whole=shape.whole,
                    fees=shape.fees,
                    in_time=sums.get((account.id, False), NO_CALLS),
                    late=sums.get((account.id, True), NO_CALLS),
                    taxes=shape.taxes,
                    currency=self.currency,
                )
            bills.append((account, contents))
        return bills

    def _shape(
        self,
        account: DueAccount,
        period: Period,
        plans: Sequence[PlanInForce],
        charged: Sequence[Period],
        taxes: Sequence[TaxRate],
    ) -> _Shape:
        day = account.billing_day if account.period_billing_day is None else account.period_billing_day
        # Equal periods and plans are the same objects here (`open_periods`, `plans_in_force`).
        key = (
            (id(period), day, bool(taxes)),
            tuple(map(id, plans)),
            tuple(0 if part is period else (part.start, part.end) for part in charged),
        )
        shape = self._shapes.get(key)
        if shape is None:
            whole = whole_period(account, period, self.zone)
            fees = fee_lines(plans, whole=whole, charged=charged, currency=self.currency, zone=self.zone)
            in_force = taxes_in_force(taxes, last_day(period, self.zone))
            shape = self._shapes[key] = _Shape(whole, tuple(mark_taxed(fees, in_force)), in_force)
        return shape


def _is_due(
    account: DueAccount, period: Period, sums: Mapping[tuple[int, bool], CallSum], as_of: datetime
) -> bool:
    # A closed account with its last bill gets one more only for calls that came after all; another closer
    # may just have billed them.
    if period.end > as_of:
        return False
    return account.period_end is not None or (account.id, False) in sums or (account.id, True) in sums


def _with_included_minutes(
    periods: Mapping[int, Period], plans: Mapping[int, Sequence[PlanInForce]]
) -> dict[int, Period]:
    return {
        account_id: periods[account_id]
        for account_id, some in plans.items()
        if any(plan.allowance.minutes for plan in some)
    }
