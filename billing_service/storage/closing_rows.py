"""What closing reads and writes of many accounts at once: a statement for each table, however many accounts.

Values travel a column an array: binding thousands of them one by one would cost more than all else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Text, any_, cast, literal, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from billing_service.domain.bill import CallSum
from billing_service.domain.ledger import EntryKind
from billing_service.domain.money import MICROS_PER_UNIT, Money
from billing_service.domain.period import Period
from billing_service.storage.call_intake import as_array
from billing_service.storage.tables import Customer, PhoneAccount


class DueAccount(NamedTuple):
    """An account as closing needs it; `period_end` is None for a closed one that has its last bill."""

    id: int
    number: str
    customer_id: int
    state: str
    billing_day: int
    period_billing_day: int | None
    closes_on_request: bool
    closed_at: datetime | None
    period_start: datetime
    period_end: datetime | None


class BilledCustomer(NamedTuple):
    """A customer as his bill shows him."""

    id: int
    name: str
    address: str | None
    email: str | None
    locale: str | None


class NewBill(NamedTuple):
    """A bill that is to be stored: all but its number and document."""

    account: DueAccount
    period: Period
    state: str
    total: Money


def plan_by_index(session: Session) -> None:
    """Let the transaction find what belongs to accounts by indexes, one account after the other.

    The planner, which doesn't know how many accounts there are in an array, must not think of reading all
    calls, or all accounts for each chunk of them: closing would take longer the more there are.
    """
    session.execute(_PLAN_BY_INDEX)


def lock_due_accounts(
    session: Session,
    *which: ColumnElement[bool],
    order: Sequence[Any],
    after: tuple[datetime, int] | None,
    limit: int,
    wait: bool,
) -> list[DueAccount]:
    """Take the first accounts after a place in an order, locked against intake and all other changes.

    Those that somebody else holds are passed over, unless `wait`.
    """
    columns = [getattr(PhoneAccount, name) for name in DueAccount._fields]
    query = select(*columns).where(*which).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(tuple_(*order) > after)
    rows = session.execute(query.with_for_update(of=PhoneAccount, skip_locked=not wait))
    return [DueAccount(*row) for row in rows]


def read_customers(session: Session, accounts: Iterable[DueAccount]) -> Mapping[int, BilledCustomer]:
    """The customers of accounts, by their identifiers."""
    columns = [getattr(Customer, name) for name in BilledCustomer._fields]
    ids = {account.customer_id for account in accounts}
    rows = session.execute(select(*columns).where(Customer.id == any_of(ids)))
    return {row[0]: BilledCustomer(*row) for row in rows}


_PLAN_BY_INDEX: Final = text(
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
)
_SUM_CALLS: Final = text(
    "SELECT calls.account_id, calls.ended_at < calls.billable_at AS late, count(*),"
    # As texts of whole micro-units: reading a Decimal costs ten times as much.
    f" CAST(CAST(sum(calls.price_precise) * {MICROS_PER_UNIT} AS numeric(38)) AS text) AS precise,"
    f" CAST(CAST(sum(calls.price) * {MICROS_PER_UNIT} AS numeric(38)) AS text) AS rounded"
    " FROM unnest(CAST(:accounts AS bigint[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))"
    " AS wanted (account_id, period_start, period_end)"
    " JOIN calls ON calls.account_id = wanted.account_id"
    " AND calls.billable_at >= wanted.period_start AND calls.billable_at < wanted.period_end"
    " GROUP BY calls.account_id, late"
)


def sum_calls(session: Session, periods: Mapping[int, Period]) -> dict[tuple[int, bool], CallSum]:
    """The calls on the bills of accounts' periods, by account and whether they are late; none: no entry."""
    rows = session.execute(_SUM_CALLS, period_arrays(periods)).all()
    return {
        (account_id, late): CallSum(count, Money(int(precise)), Money(int(rounded)))
        for account_id, late, count, precise, rounded in rows
    }


_INSERT_BILLS: Final = text(
    "INSERT INTO bills (number, account_id, customer_id, period_start, period_end, state, revision, currency,"
    " total, due_on, closed_at)"
    " SELECT number, account_id, customer_id, period_start, period_end, state, 1, :currency, total, :due_on,"
    " :closed_at FROM unnest(CAST(:numbers AS text[]), CAST(:accounts AS bigint[]),"
    " CAST(:customers AS bigint[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]),"
    " CAST(:states AS text[]), CAST(:totals AS numeric(18,6)[])) WITH ORDINALITY"
    " AS one (number, account_id, customer_id, period_start, period_end, state, total, place) ORDER BY place"
    " RETURNING account_id, id"
)
_INSERT_DOCUMENTS: Final = text(
    "INSERT INTO bill_revisions (bill_id, revision, document)"
    " SELECT bill_id, 1, CAST(document AS jsonb)"
    " FROM unnest(CAST(:bills AS bigint[]), string_to_array(:documents, :between)) AS one (bill_id, document)"
)
# No JSON text contains it, so that, unlike in an array, nothing needs to be escaped.
_BETWEEN_DOCUMENTS: Final = "\x1f"
_CHARGE: Final = text(
    "INSERT INTO ledger_entries (account_id, kind, amount, bill_id, reason, actor, occurred_at)"
    " SELECT account_id, :kind, -total, bill_id, 'Bill ' || number, :actor, :occurred_at"
    " FROM unnest(CAST(:accounts AS bigint[]), CAST(:bills AS bigint[]), CAST(:numbers AS text[]),"
    " CAST(:totals AS numeric(18,6)[])) WITH ORDINALITY AS one (account_id, bill_id, number, total, place)"
    " WHERE total > 0 ORDER BY place"
)
_MOVE_ON: Final = text(
    "UPDATE phone_accounts SET period_start = next.period_start, period_end = next.period_end,"
    " period_billing_day = NULL"
    " FROM unnest(CAST(:accounts AS bigint[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[]))"
    " AS next (account_id, period_start, period_end) WHERE phone_accounts.id = next.account_id"
)


def open_next_periods(session: Session, ends: Iterable[tuple[DueAccount, datetime, datetime | None]]) -> None:
    """Open the next periods of accounts: each begins at an instant, and ends at another or not at all."""
    accounts, starts, ends_of_next = zip(*ends, strict=True)
    session.execute(
        _MOVE_ON,
        {
            "accounts": integer_array(account.id for account in accounts),
            "starts": instant_array(starts),
            "ends": instant_array(ends_of_next),
        },
    )


def store_bills(
    session: Session,
    bills: Sequence[NewBill],
    numbers: Sequence[str],
    documents: Iterable[str],
    *,
    currency: str,
    due_on: date,
    closed_at: datetime,
    actor: str,
) -> list[int]:
    """Store bills under their numbers, and their documents (JSON), and charge the ledger.

    Returns the bills' identifiers in order.
    """
    accounts = integer_array(bill.account.id for bill in bills)
    totals = as_array(bill.total.format_precise() for bill in bills)
    inserted: dict[int, int] = dict(
        session.execute(
            _INSERT_BILLS,
            {
                "numbers": as_array(numbers),
                "accounts": accounts,
                "customers": integer_array(bill.account.customer_id for bill in bills),
                "starts": instant_array(bill.period.start for bill in bills),
                "ends": instant_array(bill.period.end for bill in bills),
                "states": as_array(bill.state for bill in bills),
                "totals": totals,
                "currency": currency,
                "due_on": due_on,
                "closed_at": closed_at,
            },
        ).all()
    )
    bill_ids = [inserted[bill.account.id] for bill in bills]
    bill_array = integer_array(bill_ids)
    session.execute(
        _INSERT_DOCUMENTS,
        {
            "bills": bill_array,
            "documents": _BETWEEN_DOCUMENTS.join(documents),
            "between": _BETWEEN_DOCUMENTS,
        },
    )
    session.execute(
        _CHARGE,
        {
            "accounts": accounts,
            "bills": bill_array,
            "numbers": as_array(numbers),
            "totals": totals,
            "kind": EntryKind.CHARGE.value,
            "actor": actor,
            "occurred_at": closed_at,
        },
    )
    return bill_ids


def count_unpaid_bills(session: Session, account_ids: Iterable[int]) -> Mapping[int, int]:
    """How many closed bills of accounts are not paid in full; accounts without any are left out."""
    return dict(session.execute(_COUNT_UNPAID, {"accounts": integer_array(account_ids)}).all())


_COUNT_UNPAID: Final = text(
    "SELECT account_id, count(*) FROM bills WHERE account_id = ANY(CAST(:accounts AS bigint[]))"
    " AND state = 'closed' GROUP BY account_id"
)


def any_of(ids: Iterable[int]) -> ColumnElement[Any]:
    """A condition's right side that takes thousands of identifiers as one value."""
    return any_(cast(literal(integer_array(ids), Text), ARRAY(BigInteger)))


def period_arrays(periods: Mapping[int, Period]) -> dict[str, str]:
    """Accounts with their periods as the arrays `accounts`, `starts` and `ends`."""
    return {
        "accounts": integer_array(periods),
        "starts": instant_array(period.start for period in periods.values()),
        "ends": instant_array(period.end for period in periods.values()),
    }


def integer_array(values: Iterable[int]) -> str:
    """The values as the text of a PostgreSQL array."""
    return "{" + ",".join(map(str, values)) + "}"


def instant_array(values: Iterable[datetime | None]) -> str:
    """The values as the text of a PostgreSQL array; most are the same few."""
    known: dict[datetime | None, str] = {None: "NULL"}
    texts = []
    for value in values:
        text_of = known.get(value)
        if text_of is None:
            assert value is not None, "nothing is known from the beginning"
            text_of = known[value] = value.isoformat()
        texts.append(text_of)
    return "{" + ",".join(texts) + "}"
