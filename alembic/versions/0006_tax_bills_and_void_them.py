"""Tax bills, let them be voided and replaced, money be refunded, and the company's head stand on them.

Revision: 0006, after 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
MONEY = sa.Numeric(precision=18, scale=6)
LOCALE = "locale ~ '^[A-Za-z]{2,3}([_-][A-Za-z0-9]{2,8})*$'"

KINDS = "kind IN ('charge', 'payment', 'credit', 'refund')"
KINDS_WITH_REVERSAL = "kind IN ('charge', 'reversal', 'payment', 'credit', 'refund')"
SIGNS = "CASE WHEN kind IN ('payment', 'credit') THEN amount >= 0 ELSE amount <= 0 END"
SIGNS_WITH_REVERSAL = (
    "CASE WHEN kind IN ('payment', 'credit', 'reversal') THEN amount >= 0 ELSE amount <= 0 END"
)


def upgrade() -> None:
    """Apply."""
    _add_taxes_and_letterhead()
    _let_bills_be_voided()
    _let_money_go_back()
    op.add_column("phone_accounts", sa.Column("period_billing_day", sa.SmallInteger()))
    op.create_check_constraint(
        op.f("ck_phone_accounts_period_billing_day_in_month"),
        "phone_accounts",
        "period_billing_day BETWEEN 1 AND 31",
    )


def _add_taxes_and_letterhead() -> None:
    op.create_table(
        "tax_rates",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("percent", sa.Numeric(precision=7, scale=4), nullable=False),
        sa.Column("on_fees", sa.Boolean(), nullable=False),
        sa.Column("on_calls", sa.Boolean(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("created_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("name <> ''", name=op.f("ck_tax_rates_name_given")),
        sa.CheckConstraint("on_fees OR on_calls", name=op.f("ck_tax_rates_on_something")),
        sa.CheckConstraint("percent BETWEEN 0 AND 100", name=op.f("ck_tax_rates_percent_sensible")),
        sa.CheckConstraint("valid_to > valid_from", name=op.f("ck_tax_rates_validity_not_empty")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tax_rates")),
    )
    for column in ("company_name", "company_address", "company_tax_number", "payment_instructions"):
        op.add_column("system_settings", sa.Column(column, sa.Text(), server_default="", nullable=False))
    op.add_column("system_settings", sa.Column("locale", sa.Text(), server_default="en", nullable=False))
    op.create_check_constraint(op.f("ck_system_settings_locale_name"), "system_settings", LOCALE)
    op.add_column(
        "customers",
        sa.Column("tax_exempt", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("customers", sa.Column("locale", sa.Text()))
    op.create_check_constraint(op.f("ck_customers_locale_name"), "customers", LOCALE)


def _let_bills_be_voided() -> None:
    op.add_column("bills", sa.Column("voided_at", INSTANT))
    op.add_column("bills", sa.Column("void_reason", sa.Text(), server_default="", nullable=False))
    op.add_column("bills", sa.Column("replaces_id", sa.BigInteger()))
    op.create_foreign_key(op.f("fk_bills_replaces_id"), "bills", "bills", ["replaces_id"], ["id"])
    op.create_unique_constraint(op.f("uq_bills_replaces_id"), "bills", ["replaces_id"])
    op.create_check_constraint(
        op.f("ck_bills_void_has_instant"), "bills", "(state = 'void') = (voided_at IS NOT NULL)"
    )
    op.drop_constraint(op.f("uq_bills_account_id_period_start"), "bills", type_="unique")
    op.create_index(
        "uq_bills_account_id_period_start",
        "bills",
        ["account_id", "period_start"],
        unique=True,
        postgresql_where=sa.text("state <> 'void'"),
    )
    op.create_index("ix_bills_account_id_period_start", "bills", ["account_id", "period_start"], unique=False)


def _let_money_go_back() -> None:
    op.drop_constraint(op.f("ck_ledger_entries_kind_known"), "ledger_entries", type_="check")
    op.create_check_constraint(op.f("ck_ledger_entries_kind_known"), "ledger_entries", KINDS_WITH_REVERSAL)
    op.drop_constraint(op.f("ck_ledger_entries_sign_of_kind"), "ledger_entries", type_="check")
    op.create_check_constraint(op.f("ck_ledger_entries_sign_of_kind"), "ledger_entries", SIGNS_WITH_REVERSAL)
    op.alter_column("bill_settlements", "bill_id", nullable=True)
    op.add_column("bill_settlements", sa.Column("refund_id", sa.BigInteger()))
    op.create_foreign_key(
        op.f("fk_bill_settlements_refund_id"), "bill_settlements", "ledger_entries", ["refund_id"], ["id"]
    )
    op.drop_constraint(op.f("ck_bill_settlements_amount_positive"), "bill_settlements", type_="check")
    for name, rule in (
        ("amount_not_zero", "amount <> 0"),
        ("bill_or_refund", "num_nonnulls(bill_id, refund_id) = 1"),
        ("refund_positive", "amount > 0 OR refund_id IS NULL"),
    ):
        op.create_check_constraint(op.f(f"ck_bill_settlements_{name}"), "bill_settlements", rule)


def downgrade() -> None:
    """Undo. Refused by the database when a bill was voided or money refunded: history can't be taken back."""
    op.drop_constraint(op.f("ck_phone_accounts_period_billing_day_in_month"), "phone_accounts", type_="check")
    op.drop_column("phone_accounts", "period_billing_day")
    for name in ("amount_not_zero", "bill_or_refund", "refund_positive"):
        op.drop_constraint(op.f(f"ck_bill_settlements_{name}"), "bill_settlements", type_="check")
    op.create_check_constraint(op.f("ck_bill_settlements_amount_positive"), "bill_settlements", "amount > 0")
    op.drop_column("bill_settlements", "refund_id")
    op.alter_column("bill_settlements", "bill_id", nullable=False)
    op.drop_constraint(op.f("ck_ledger_entries_sign_of_kind"), "ledger_entries", type_="check")
    op.create_check_constraint(op.f("ck_ledger_entries_sign_of_kind"), "ledger_entries", SIGNS)
    op.drop_constraint(op.f("ck_ledger_entries_kind_known"), "ledger_entries", type_="check")
    op.create_check_constraint(op.f("ck_ledger_entries_kind_known"), "ledger_entries", KINDS)
    op.drop_index("ix_bills_account_id_period_start", table_name="bills")
    op.drop_index("uq_bills_account_id_period_start", table_name="bills")
    op.create_unique_constraint(
        op.f("uq_bills_account_id_period_start"), "bills", ["account_id", "period_start"]
    )
    op.drop_constraint(op.f("ck_bills_void_has_instant"), "bills", type_="check")
    op.drop_constraint(op.f("uq_bills_replaces_id"), "bills", type_="unique")
    for column in ("replaces_id", "void_reason", "voided_at"):
        op.drop_column("bills", column)
    op.drop_constraint(op.f("ck_customers_locale_name"), "customers", type_="check")
    for column in ("locale", "tax_exempt"):
        op.drop_column("customers", column)
    op.drop_constraint(op.f("ck_system_settings_locale_name"), "system_settings", type_="check")
    for column in (
        "locale",
        "payment_instructions",
        "company_tax_number",
        "company_address",
        "company_name",
    ):
        op.drop_column("system_settings", column)
    op.drop_table("tax_rates")
