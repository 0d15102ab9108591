"""Billing plans, their immutable versions, and the rate sheets with tariffs that versions share."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Document, Identifier, Money, RowVersion


class BillingPlan(Base):
    """What a plan is called and whether new accounts may take it. Its prices are in its versions."""

    __tablename__ = "billing_plans"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name_given"),
        Index("uq_billing_plans_name_lower", func.lower(text("name")), unique=True),
    )

    id: Mapped[Identifier]
    name: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    row_version: Mapped[RowVersion]


class PlanVersion(Base):
    """One immutable version of a plan: a trigger refuses to change or delete it."""

    __tablename__ = "plan_versions"
    __table_args__ = (
        UniqueConstraint("plan_id", "version"),
        CheckConstraint("version >= 1", name="version_positive"),
        CheckConstraint("monthly_fee >= 0", name="monthly_fee_not_negative"),
        CheckConstraint("included_minutes BETWEEN 0 AND 1000000", name="included_minutes_in_range"),
    )

    id: Mapped[Identifier]
    plan_id: Mapped[int] = mapped_column(ForeignKey("billing_plans.id"))
    version: Mapped[int]
    monthly_fee: Mapped[Money]
    base_price: Mapped[Document]
    rate_sheet_id: Mapped[int] = mapped_column(ForeignKey("rate_sheets.id"))
    included_minutes: Mapped[int] = mapped_column(server_default=text("0"))
    included_prefixes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'::text[]"))
    permits_blocking: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[str] = mapped_column(server_default="")


class RateSheet(Base):
    """The tariffs of a plan version, and of later ones until an edit changes them. Never changed itself."""

    __tablename__ = "rate_sheets"
    __table_args__ = (CheckConstraint("tariff_count >= 0", name="tariff_count_not_negative"),)

    id: Mapped[Identifier]
    tariff_count: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Tariff(Base):
    """A price for calls between these prefixes; a row each, as rate sheets are long."""

    __tablename__ = "tariffs"
    __table_args__ = (
        CheckConstraint("source_prefix ~ '^[0-9]{0,15}$'", name="source_prefix_is_digits"),
        CheckConstraint("destination_prefix ~ '^[0-9]{0,15}$'", name="destination_prefix_is_digits"),
        CheckConstraint("valid_to > valid_from", name="validity_not_empty"),
        Index(
            "ix_tariffs_rate_sheet_id_destination_prefix",
            "rate_sheet_id",
            "destination_prefix",
            "source_prefix",
            "id",
        ),
    )

    id: Mapped[Identifier]
    rate_sheet_id: Mapped[int] = mapped_column(ForeignKey("rate_sheets.id"))
    source_prefix: Mapped[str] = mapped_column(server_default="")
    destination_prefix: Mapped[str] = mapped_column(server_default="")
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    price: Mapped[Document]
    description: Mapped[str] = mapped_column(server_default="")
