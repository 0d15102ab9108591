"""Customers, their phone accounts, and what was in force for an account at any instant."""

from datetime import datetime

from sqlalchemy import CheckConstraint, FetchedValue, ForeignKey, Index, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Identifier, RowVersion

UNASSIGNED = "unassigned"
BUILT_IN_CUSTOMERS = (UNASSIGNED,)
LOCALE_NAME = "locale ~ '^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$'"
ACCOUNT_STATES = ("active", "suspended", "closed", "out_of_service")


def one_of(column: str, values: tuple[str, ...]) -> str:
    """SQL of a check that allows only these values (a check is easier to extend than an enum type)."""
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{column} IN ({listed})"


def _no_overlap(name: str) -> ExcludeConstraint:
    # int8range(id, id, '[]') stands for "the same account": plain equality in a GiST index would need the
    # btree_gist extension, which not every PostgreSQL has.
    return ExcludeConstraint(
        (text("int8range(account_id, account_id, '[]'::text)"), "&&"),
        (text("tstzrange(valid_from, valid_to)"), "&&"),
        name=name,
        using="gist",
    )


class Customer(Base):
    """Who pays: a person or an organisation with any number of phone accounts.

    `built_in` is set on the one customer that the system made itself: whom numbers belong to that have made
    calls elsewhere and are nobody's here.
    """

    __tablename__ = "customers"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name_given"),
        CheckConstraint(one_of("built_in", BUILT_IN_CUSTOMERS), name="built_in_known"),
        CheckConstraint(LOCALE_NAME, name="locale_name"),
    )

    id: Mapped[Identifier]
    name: Mapped[str]
    email: Mapped[str | None]
    address: Mapped[str | None]
    alternative_number: Mapped[str | None]
    tax_exempt: Mapped[bool] = mapped_column(server_default=text("false"))
    locale: Mapped[str | None]
    built_in: Mapped[str | None] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    row_version: Mapped[RowVersion]


class PhoneAccount(Base):
    """A phone number with its plan, rules and open billing period.

    `period_start` and `period_end` are the open period; `period_end` is null once a closed account has its
    last bill. The passwords themselves are nowhere: `ha1_*` are `HASH(number ":" realm ":" password)`;
    without them the account can't register and is not in the exchange's directory. The daily closing passes
    over accounts that close on request.
    """

    __tablename__ = "phone_accounts"
    __table_args__ = (
        CheckConstraint("number ~ '^[0-9]{1,15}$'", name="number_is_digits"),
        CheckConstraint(one_of("state", ACCOUNT_STATES), name="state_known"),
        CheckConstraint("billing_day BETWEEN 1 AND 31", name="billing_day_in_month"),
        CheckConstraint("period_billing_day BETWEEN 1 AND 31", name="period_billing_day_in_month"),
        CheckConstraint("call_limit >= 0", name="call_limit_not_negative"),
        CheckConstraint("ha1_md5 ~ '^[0-9a-f]{32}$'", name="ha1_md5_is_hex"),
        CheckConstraint("ha1_sha256 ~ '^[0-9a-f]{64}$'", name="ha1_sha256_is_hex"),
        CheckConstraint("(ha1_md5 IS NULL) = (ha1_sha256 IS NULL)", name="password_whole"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_has_instant"),
        CheckConstraint("period_end > period_start", name="period_not_empty"),
        Index("ix_phone_accounts_customer_id", "customer_id"),
        Index("ix_phone_accounts_directory_version", "directory_version"),
        # The order in which accounts are closed.
        Index(
            "ix_phone_accounts_period_end_id",
            "period_end",
            "id",
            postgresql_where=text("period_end IS NOT NULL"),
        ),
    )

    id: Mapped[Identifier]
    number: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    display_name: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="active")
    realm: Mapped[str]
    ha1_md5: Mapped[str | None]
    ha1_sha256: Mapped[str | None]
    call_limit: Mapped[int | None]
    outgoing_filter: Mapped[list[dict[str, str]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    incoming_filter: Mapped[list[dict[str, str]]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    block_list: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'::text[]"))
    # What the plan in force says; the exchange gets the block list only where this is true.
    blocking_permitted: Mapped[bool] = mapped_column(server_default=text("true"))
    billing_day: Mapped[int] = mapped_column(SmallInteger)
    # That of the open period, when it is another one because the billing day was changed meanwhile.
    period_billing_day: Mapped[int | None] = mapped_column(SmallInteger)
    closes_on_request: Mapped[bool] = mapped_column(server_default=text("false"))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    period_start: Mapped[datetime]
    period_end: Mapped[datetime | None]
    # Set by a trigger, together with the directory clock (see `administration.DirectoryClock`).
    directory_version: Mapped[int] = mapped_column(
        server_default=text("0"), server_onupdate=FetchedValue(), nullable=False
    )
    row_version: Mapped[RowVersion]


class AccountPlanHistory(Base):
    """Which plan version was in force for an account, from when to when (half-open; null end: still)."""

    __tablename__ = "account_plan_history"
    __table_args__ = (
        CheckConstraint("valid_to > valid_from", name="not_empty"),
        _no_overlap("ex_account_plan_history_no_overlap"),
        Index("ix_account_plan_history_plan_version_id", "plan_version_id"),
        Index("ix_account_plan_history_valid_from", "valid_from"),
        Index("ix_account_plan_history_account_id_valid_from", "account_id", "valid_from"),
    )

    id: Mapped[Identifier]
    account_id: Mapped[int] = mapped_column(ForeignKey("phone_accounts.id"))
    plan_version_id: Mapped[int] = mapped_column(ForeignKey("plan_versions.id"))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]


class AccountStateHistory(Base):
    """Which state an account was in, from when to when, why and by whom (half-open; null end: still)."""

    __tablename__ = "account_state_history"
    __table_args__ = (
        CheckConstraint(one_of("state", ACCOUNT_STATES), name="state_known"),
        CheckConstraint("valid_to > valid_from", name="not_empty"),
        _no_overlap("ex_account_state_history_no_overlap"),
        Index("ix_account_state_history_account_id_valid_from", "account_id", "valid_from"),
    )

    id: Mapped[Identifier]
    account_id: Mapped[int] = mapped_column(ForeignKey("phone_accounts.id"))
    state: Mapped[str]
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str] = mapped_column(server_default="")
