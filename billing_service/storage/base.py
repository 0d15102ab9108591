"""The declarative base: how every table names its constraints and stores money and instants."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, DateTime, FetchedValue, Identity, MetaData, Numeric, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

# Named constraints, so that a migration can drop one and an error can tell which rule was broken.
NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

MONEY = Numeric(18, 6)

Identifier = Annotated[int, mapped_column(BigInteger, Identity(always=True), primary_key=True)]
Money = Annotated[Decimal, mapped_column(MONEY)]
Document = Annotated[dict[str, Any], mapped_column(JSONB)]
# Kept as text by PostgreSQL: unlike JSONB it can hold whatever a stranger sent, NUL escapes included.
RawDocument = Annotated[dict[str, Any], mapped_column(JSON)]
# Counted by a trigger (`triggers`) whenever somebody changes what can be edited of the row.
RowVersion = Annotated[
    int, mapped_column(BigInteger, server_default=text("1"), server_onupdate=FetchedValue())
]


class Base(DeclarativeBase):
    """Base of all tables. Instants are `timestamp with time zone`; texts have no length limit."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - the name and form are SQLAlchemy's
        datetime: DateTime(timezone=True),
        str: Text(),
        int: BigInteger(),
        Decimal: MONEY,
    }
