"""Administrators, what they may change, what they changed, and the directory's clock."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, SmallInteger, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from billing_service.storage.base import Base, Document, Identifier, RowVersion
from billing_service.storage.tables.accounts import LOCALE_NAME, one_of

ROLES = ("viewer", "operator", "administrator")


class Administrator(Base):
    """Who may use the admin console. `password_hash` is Argon2id in its own text form."""

    __tablename__ = "administrators"
    __table_args__ = (
        CheckConstraint(one_of("role", ROLES), name="role_known"),
        CheckConstraint("login = lower(login) AND login <> ''", name="login_is_lower_case"),
    )

    id: Mapped[Identifier]
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="administrator")
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    row_version: Mapped[RowVersion]


class ApiToken(Base):
    """What a program may do who shows the text with this SHA-256. Never removed: the audit log names it."""

    __tablename__ = "api_tokens"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name_given"),
        CheckConstraint("octet_length(digest) = 32", name="digest_is_sha256"),
        # One that was withdrawn leaves its name to the next.
        Index(
            "uq_api_tokens_name_lower",
            func.lower(text("name")),
            unique=True,
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[Identifier]
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class SystemSettings(Base):
    """What an administrator may change at run time: a table of exactly one row."""

    __tablename__ = "system_settings"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("concurrent_call_limit >= 0", name="concurrent_call_limit_not_negative"),
        CheckConstraint("ring_time_s BETWEEN 5 AND 600", name="ring_time_sensible"),
        CheckConstraint("unpaid_bill_limit >= 1", name="unpaid_bill_limit_positive"),
        CheckConstraint("payment_term_days BETWEEN 0 AND 365", name="payment_term_sensible"),
        CheckConstraint(LOCALE_NAME, name="locale_name"),
        CheckConstraint("phone_test_interval_s BETWEEN 0 AND 86400", name="phone_test_interval_sensible"),
    )

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"))
    concurrent_call_limit: Mapped[int | None]
    emergency_numbers: Mapped[list[str]] = mapped_column(
        ARRAY(Text), server_default=text("'{9911,4911}'::text[]")
    )
    ring_time_s: Mapped[int] = mapped_column(server_default=text("60"))
    unpaid_bill_limit: Mapped[int] = mapped_column(server_default=text("3"))
    payment_term_days: Mapped[int] = mapped_column(server_default=text("14"))
    company_name: Mapped[str] = mapped_column(server_default="")
    company_address: Mapped[str] = mapped_column(server_default="")
    company_tax_number: Mapped[str] = mapped_column(server_default="")
    payment_instructions: Mapped[str] = mapped_column(server_default="")
    locale: Mapped[str] = mapped_column(server_default="en")
    phone_test_interval_s: Mapped[int] = mapped_column(server_default=text("0"))
    row_version: Mapped[RowVersion]
    default_plan_id: Mapped[int | None] = mapped_column(ForeignKey("billing_plans.id"))


class DirectoryClock(Base):
    """The version of the directory: a table of exactly one row.

    Triggers on the accounts and the settings add one in the transaction that makes a change. The row's lock
    lasts until that transaction ends, so versions are committed in order and a reader that has seen version
    N has seen all changes up to N. `first_version` is the oldest version that changes can be told since; it
    starts at the second of creation, so that a new database never continues an old one's count.
    """

    __tablename__ = "directory_clock"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, server_default=text("1"))
    version: Mapped[int] = mapped_column(server_default=text("EXTRACT(epoch FROM now())::bigint"))
    first_version: Mapped[int] = mapped_column(server_default=text("EXTRACT(epoch FROM now())::bigint"))


class DirectoryRemoval(Base):
    """A number that no longer exists, and the directory version at which it went."""

    __tablename__ = "directory_removals"
    __table_args__ = (Index("ix_directory_removals_version", "version"),)

    number: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class IdempotencyKey(Base):
    """The answer that a write with this `Idempotency-Key` got, to be given again when it is repeated."""

    __tablename__ = "idempotency_keys"

    scope: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_digest: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int] = mapped_column(SmallInteger)
    answer: Mapped[Document]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEntry(Base):
    """Who changed what, when: `previous` values and those since (`changes`), never a password or a hash."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_subject_kind_subject", "subject_kind", "subject"),)

    id: Mapped[Identifier]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor: Mapped[str]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject: Mapped[str]
    previous: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
