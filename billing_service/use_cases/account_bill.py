"""Put together the bill of an account from what is stored: of its open period, or a closed one once more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from billing_service.domain.bill import BillContents, UnbilledCall, build_bill
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.money import Currency
from billing_service.domain.period import BillingCalendar, Period
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import TaxRate
from billing_service.storage.billed_calls import waits_for_a_bill
from billing_service.storage.closing_rows import DueAccount, any_of
from billing_service.storage.plan_queries import load_terms
from billing_service.storage.tables import Bill, Call, Customer, PhoneAccount
from billing_service.use_cases.bill_heading import read_tax_rates
from billing_service.use_cases.period_facts import calls_of, charged_parts, plans_in_force
from billing_service.use_cases.rate_call import CompiledPlans

AnyAccount = PhoneAccount | DueAccount


@dataclass(frozen=True, slots=True)
class BillFacts:
    """All that the bill of an account's open period is made of.

    `charged` are the parts of the period so far for which the fee is due, `entitled` those of the whole
    period. `compiled` are the plan versions with included minutes among those in force.
    """

    period: Period
    whole: Period
    charged: Sequence[Period]
    entitled: Sequence[Period]
    plans: Sequence[PlanInForce]
    calls: Sequence[UnbilledCall]
    compiled: Mapping[int, CompiledPlan] = field(default_factory=dict)
    taxes: Sequence[TaxRate] = ()

    def build(self, *, currency: Currency, zone: tzinfo) -> BillContents:
        """The bill, be it open or closed again."""
        return build_bill(
            period=self.period,
            whole=self.whole,
            charged=self.charged,
            entitled=self.entitled,
            plans=self.plans,
            calls=self.calls,
            compiled=self.compiled.__getitem__,
            currency=currency,
            zone=zone,
            taxes=self.taxes,
        )


def open_period(session: Session, account: PhoneAccount, zone: tzinfo) -> Period:
    """The period that the account's next bill is for; see `open_periods`."""
    return open_periods(session, [account], zone)[account.id]


def open_periods(session: Session, accounts: Sequence[AnyAccount], zone: tzinfo) -> dict[int, Period]:
    """The period of each account's next bill, by the account's identifier.

    A closed account with its last bill has no open period left. A call that arrives after all goes on one
    more bill, for the time up to the end of the period in which it ended.
    """
    finished = [account.id for account in accounts if account.period_end is None]
    last_at: dict[int, datetime | None] = {}
    if finished:
        last_at = dict(
            session.execute(
                select(PhoneAccount.id, func.max(Call.billable_at))
                .join(Call, waits_for_a_bill())
                .where(PhoneAccount.id.in_(finished))
                .group_by(PhoneAccount.id)
            ).all()
        )
    periods = {}
    # Most accounts have one of the same few periods, which then is the same object.
    known: dict[tuple[datetime, datetime], Period] = {}
    for account in accounts:
        end = account.period_end
        if end is None:
            until = last_at.get(account.id) or account.period_start
            end = BillingCalendar(zone, account.billing_day).period_containing(until).end
        key = (account.period_start, end)
        if key not in known:
            known[key] = Period(account.period_start, end)
        periods[account.id] = known[key]
    return periods


def assemble_bill(
    session: Session,
    account: PhoneAccount,
    *,
    as_of: datetime,
    currency: Currency,
    zone: tzinfo,
    compiled_plans: CompiledPlans | None = None,
) -> BillContents:
    """The bill of the open period with the fee up to `as_of`, and every call that has arrived for it."""
    periods = open_periods(session, [account], zone)
    period = periods[account.id]
    entitled = charged_parts(session, periods)[account.id]
    plans = plans_in_force(session, periods)
    facts = BillFacts(
        period=period,
        whole=whole_period(account, period, zone),
        charged=_up_to(as_of, entitled),
        entitled=entitled,
        plans=plans[account.id],
        calls=calls_of(session, periods)[account.id],
        compiled=compiled_versions(session, plans, compiled_plans or CompiledPlans()),
        taxes=_taxes(session, account),
    )
    return facts.build(currency=currency, zone=zone)


def _up_to(as_of: datetime, parts: Sequence[Period]) -> Sequence[Period]:
    return [Period(part.start, min(part.end, as_of)) for part in parts if part.start < as_of]


def compiled_versions(
    session: Session, plans: Mapping[int, Sequence[PlanInForce]], known: CompiledPlans
) -> dict[int, CompiledPlan]:
    """The plan versions with included minutes among plans in force, by their identifiers."""
    versions = {plan.plan_version_id for some in plans.values() for plan in some if plan.allowance.minutes}
    return {version: known.get(version, lambda wanted: load_terms(session, wanted)) for version in versions}


def load_facts_again(
    session: Session,
    account: PhoneAccount,
    bill: Bill,
    *,
    whole: Period,
    with_waiting: bool,
    compiled_plans: CompiledPlans,
) -> BillFacts:
    """What a closed bill is made of, as it is stored now; `whole` is the period that its fee is a share of.

    `with_waiting` adds the calls that have arrived for its period since and are on no bill yet.
    """
    periods = {account.id: Period(bill.period_start, bill.period_end)}
    calls = calls_of(session, periods, waiting_since=account.period_start if with_waiting else None)
    plans = plans_in_force(session, periods)
    charged = charged_parts(session, periods)[account.id]
    return BillFacts(
        period=periods[account.id],
        whole=whole,
        charged=charged,
        entitled=charged,
        plans=plans[account.id],
        calls=calls[account.id],
        compiled=compiled_versions(session, plans, compiled_plans),
        taxes=_taxes(session, account),
    )


def whole_period(account: AnyAccount, period: Period, zone: tzinfo) -> Period:
    """The calendar period that the fee of the open period is a share of."""
    day = account.billing_day if account.period_billing_day is None else account.period_billing_day
    return BillingCalendar(zone, day).period_containing(period.start)


def _taxes(session: Session, account: PhoneAccount) -> Sequence[TaxRate]:
    """The tax rates for an account: none for that of an exempt customer."""
    rates = read_tax_rates(session)
    return () if rates and exempt_customers(session, [account]) else rates


def exempt_customers(session: Session, accounts: Iterable[AnyAccount]) -> frozenset[int]:
    """The customers of accounts who pay no taxes."""
    customers = {account.customer_id for account in accounts}
    exempt = select(Customer.id).where(Customer.id == any_of(customers), Customer.tax_exempt)
    return frozenset(session.scalars(exempt))
