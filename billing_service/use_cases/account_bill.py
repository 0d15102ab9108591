"""Put together the bills of accounts' open periods from what is stored: one query a table, however many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Final

from sqlalchemy import BigInteger, DateTime, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import TableValuedAlias

from billing_service.domain.allowance import NO_ALLOWANCE, Allowance
from billing_service.domain.bill import BillContents, UnbilledCall, build_bill
from billing_service.domain.compiled_plan import CompiledPlan
from billing_service.domain.dunning import AccountState
from billing_service.domain.money import MICROS_PER_UNIT, Currency, Money
from billing_service.domain.period import BillingCalendar, Period
from billing_service.domain.proration import PlanInForce
from billing_service.domain.tax import TaxRate
from billing_service.storage.billed_calls import waits_for_a_bill
from billing_service.storage.plan_queries import load_terms
from billing_service.storage.tables import (
    AccountPlanHistory,
    AccountStateHistory,
    Bill,
    BillingPlan,
    Call,
    Customer,
    PhoneAccount,
    PlanVersion,
)
from billing_service.use_cases.bill_heading import read_tax_rates
from billing_service.use_cases.rate_call import CompiledPlans

# A phone that is out of service still has its number and its plan; a suspended or closed one has neither.
_CHARGED_STATES: Final = (AccountState.ACTIVE.value, AccountState.OUT_OF_SERVICE.value)


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
        """The bill; the only way to one, be it open, closed or closed again."""
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


def open_periods(session: Session, accounts: Sequence[PhoneAccount], zone: tzinfo) -> dict[int, Period]:
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
    for account in accounts:
        end = account.period_end
        if end is None:
            until = last_at.get(account.id) or account.period_start
            end = BillingCalendar(zone, account.billing_day).period_containing(until).end
        periods[account.id] = Period(account.period_start, end)
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
    facts = load_bill_facts(session, [account], as_of=as_of, zone=zone, compiled_plans=compiled_plans)[
        account.id
    ]
    return facts.build(currency=currency, zone=zone)


def load_bill_facts(
    session: Session,
    accounts: Sequence[PhoneAccount],
    *,
    as_of: datetime | None,
    zone: tzinfo,
    compiled_plans: CompiledPlans | None = None,
) -> dict[int, BillFacts]:
    """What the bills of the open periods are made of, by the accounts' identifiers.

    Fees are charged up to `as_of`, or the whole period when it is None. When closing, lock the accounts
    first, so that nothing else bills their calls. Plans with included minutes are looked for in
    `compiled_plans` before they are loaded.
    """
    periods = open_periods(session, accounts, zone)
    entitled = _charged_parts(session, periods)
    plans = _plans_in_force(session, periods)
    calls = _calls_of(session, periods)
    compiled = _compiled(session, plans, compiled_plans or CompiledPlans())
    taxes = _taxes(session, accounts)
    return {
        account.id: BillFacts(
            period=periods[account.id],
            whole=_whole_period(account, periods[account.id], zone),
            charged=_up_to(as_of, entitled[account.id]),
            entitled=entitled[account.id],
            plans=plans[account.id],
            calls=calls[account.id],
            compiled=compiled,
            taxes=taxes[account.id],
        )
        for account in accounts
    }


def _up_to(as_of: datetime | None, parts: Sequence[Period]) -> Sequence[Period]:
    if as_of is None:
        return parts
    return [Period(part.start, min(part.end, as_of)) for part in parts if part.start < as_of]


def _compiled(
    session: Session, plans: Mapping[int, Sequence[PlanInForce]], known: CompiledPlans
) -> dict[int, CompiledPlan]:
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
    calls = _calls_of(session, periods, waiting_since=account.period_start if with_waiting else None)
    plans = _plans_in_force(session, periods)
    charged = _charged_parts(session, periods)[account.id]
    return BillFacts(
        period=periods[account.id],
        whole=whole,
        charged=charged,
        entitled=charged,
        plans=plans[account.id],
        calls=calls[account.id],
        compiled=_compiled(session, plans, compiled_plans),
        taxes=_taxes(session, [account])[account.id],
    )


def _whole_period(account: PhoneAccount, period: Period, zone: tzinfo) -> Period:
    """The calendar period that the fee of the open period is a share of."""
    day = account.billing_day if account.period_billing_day is None else account.period_billing_day
    return BillingCalendar(zone, day).period_containing(period.start)


def _taxes(session: Session, accounts: Sequence[PhoneAccount]) -> Mapping[int, Sequence[TaxRate]]:
    """The tax rates for each account: none for those of exempt customers."""
    rates = read_tax_rates(session)
    exempt: set[int] = set()
    if rates:
        customers = {account.customer_id for account in accounts}
        exempt.update(
            session.scalars(select(Customer.id).where(Customer.id.in_(customers), Customer.tax_exempt))
        )
    return {account.id: () if account.customer_id in exempt else rates for account in accounts}


def _wanted(periods: Mapping[int, Period]) -> TableValuedAlias:
    """The accounts with their periods as a table to join with."""
    return (
        func.unnest(
            cast(list(periods), ARRAY(BigInteger)),
            cast([period.start for period in periods.values()], ARRAY(DateTime(timezone=True))),
            cast([period.end for period in periods.values()], ARRAY(DateTime(timezone=True))),
        )
        .table_valued("account_id", "period_start", "period_end", name="wanted")
        .render_derived()
    )


def _charged_parts(session: Session, periods: Mapping[int, Period]) -> Mapping[int, Sequence[Period]]:
    wanted = _wanted(periods)
    rows = session.execute(
        select(AccountStateHistory.account_id, AccountStateHistory.valid_from, AccountStateHistory.valid_to)
        .join(wanted, wanted.c.account_id == AccountStateHistory.account_id)
        .where(
            AccountStateHistory.state.in_(_CHARGED_STATES),
            AccountStateHistory.valid_from < wanted.c.period_end,
            or_(
                AccountStateHistory.valid_to.is_(None),
                AccountStateHistory.valid_to > wanted.c.period_start,
            ),
        )
        .order_by(AccountStateHistory.account_id, AccountStateHistory.valid_from)
    )
    parts: defaultdict[int, list[Period]] = defaultdict(list)
    for account_id, valid_from, valid_to in rows:
        part = periods[account_id].overlap(valid_from, valid_to)
        if part is not None:
            parts[account_id].append(part)
    return parts


def _plans_in_force(session: Session, periods: Mapping[int, Period]) -> Mapping[int, Sequence[PlanInForce]]:
    wanted = _wanted(periods)
    rows = session.execute(
        select(
            AccountPlanHistory.account_id,
            PlanVersion.id,
            BillingPlan.name,
            PlanVersion.monthly_fee,
            AccountPlanHistory.valid_from,
            AccountPlanHistory.valid_to,
            PlanVersion.plan_id,
            PlanVersion.included_minutes,
            PlanVersion.included_prefixes,
        )
        .join(wanted, wanted.c.account_id == AccountPlanHistory.account_id)
        .join(PlanVersion, PlanVersion.id == AccountPlanHistory.plan_version_id)
        .join(BillingPlan, BillingPlan.id == PlanVersion.plan_id)
        .where(
            AccountPlanHistory.valid_from < wanted.c.period_end,
            or_(
                AccountPlanHistory.valid_to.is_(None),
                AccountPlanHistory.valid_to > wanted.c.period_start,
            ),
        )
        .order_by(AccountPlanHistory.account_id, AccountPlanHistory.valid_from)
    )
    plans: defaultdict[int, list[PlanInForce]] = defaultdict(list)
    for account_id, version_id, name, fee, valid_from, valid_to, plan_id, minutes, prefixes in rows:
        allowance = Allowance(minutes, tuple(prefixes)) if minutes else NO_ALLOWANCE
        plans[account_id].append(
            PlanInForce(version_id, name, Money.from_decimal(fee), valid_from, valid_to, plan_id, allowance)
        )
    return plans


def _calls_of(
    session: Session, periods: Mapping[int, Period], *, waiting_since: datetime | None = None
) -> Mapping[int, Sequence[UnbilledCall]]:
    """The calls on the bills of periods, and those that have ended by then and waited for one since."""
    wanted = _wanted(periods)
    which = and_(Call.billable_at >= wanted.c.period_start, Call.billable_at < wanted.c.period_end)
    if waiting_since is not None:
        which = or_(which, and_(Call.billable_at >= waiting_since, Call.ended_at < wanted.c.period_end))
    # Micro-units as integers: reading a Decimal costs as much as all else in a row.
    rows = session.execute(
        select(
            wanted.c.account_id,
            Call.record_id,
            Call.callee,
            Call.answered_at,
            Call.ended_at,
            Call.duration_us,
            cast(Call.price_precise * MICROS_PER_UNIT, BigInteger),
            cast(Call.price * MICROS_PER_UNIT, BigInteger),
            Call.plan_version_id,
            Call.caller,
        )
        .select_from(wanted)
        .join(Call, Call.account_id == wanted.c.account_id)
        .where(which)
    )
    calls: defaultdict[int, list[UnbilledCall]] = defaultdict(list)
    for account_id, record_id, callee, answered, ended, duration_us, precise, price, *plan_and_caller in rows:
        calls[account_id].append(
            UnbilledCall(
                record_id,
                callee,
                answered,
                ended,
                duration_us,
                Money(precise),
                Money(price),
                *plan_and_caller,
            )
        )
    return calls
