"""Writing calls in bulk: one statement claims their receipts and stores those that are new.

All values travel as PostgreSQL's own text, a column an array: that costs a fifth of what binding them one by
one does. A program of its own that reads files may use COPY (`call_blocks.py`); in the service every wait for
the database has an end, which COPY under psycopg2 can't have.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

CallRow = tuple[str | None, ...]
"""A call as texts, in the order of `CALL_COLUMNS`."""

CALL_COLUMNS: Final = (
    ("record_id", "text"),
    ("digest", "text"),  # hexadecimal: as an escaped bytea it would cost more to write and to read
    ("invited_at", "timestamptz"),
    ("call_id", "text"),
    ("caller", "text"),
    ("callee", "text"),
    ("emergency", "boolean"),
    ("ringing_at", "timestamptz"),
    ("answered_at", "timestamptz"),
    ("acknowledged_at", "timestamptz"),
    ("ended_at", "timestamptz"),
    ("duration_us", "bigint"),
    ("outcome", "text"),
    ("status", "smallint"),
    ("reason", "text"),
    ("ended_by", "text"),
    ("account_id", "bigint"),
    ("plan_version_id", "bigint"),
    ("price_precise", "numeric(18,6)"),
    ("price", "numeric(18,6)"),
    ("billable_at", "timestamptz"),
)
_NAMES: Final = ", ".join(name for name, _ in CALL_COLUMNS)
_STORED_NAMES: Final = ", ".join(name for name, _ in CALL_COLUMNS if name != "digest")
# In order of their keys, so that two deliveries of the same records at once wait and don't deadlock.
_STORE: Final = text(
    f"WITH incoming AS (SELECT * FROM unnest("
    f"{', '.join(f'CAST(:{name} AS {kind}[])' for name, kind in CALL_COLUMNS)}"
    f") AS one ({_NAMES})),"
    " claimed AS (INSERT INTO call_record_receipts (record_id, digest, invited_at)"
    " SELECT record_id, decode(digest, 'hex'), invited_at FROM incoming ORDER BY record_id"
    " ON CONFLICT (record_id) DO NOTHING RETURNING record_id),"
    f" stored AS (INSERT INTO calls ({_STORED_NAMES}) SELECT {_STORED_NAMES}"
    " FROM incoming JOIN claimed USING (record_id) RETURNING 1)"
    " SELECT record_id FROM claimed"
)


def store_new_calls(session: Session, rows: Sequence[CallRow]) -> set[str]:
    """Store the calls whose record has not been stored before; returns the identifiers of these records.

    A unique key makes it exactly once, whoever else stores the same records at the same time. No two of
    `rows` may have the same identifier, and the partitions for them must be there.
    """
    arrays = [as_array(values) for values in zip(*rows, strict=True)]
    names = (name for name, _ in CALL_COLUMNS)
    return set(session.scalars(_STORE, dict(zip(names, arrays, strict=True))))


def stored_digests(session: Session, record_ids: Iterable[str]) -> dict[str, str]:
    """The digests (hexadecimal) of the records that were stored under these identifiers."""
    rows = session.execute(
        text("SELECT record_id, encode(digest, 'hex') FROM call_record_receipts WHERE record_id = ANY(:ids)"),
        {"ids": list(record_ids)},
    )
    return dict(rows.all())


def as_array(values: Iterable[str | None]) -> str:
    """The values as the text of a PostgreSQL array."""
    return (
        "{"
        + ",".join(
            "NULL"
            if value is None
            else f'"{value}"'
            if "\\" not in value and '"' not in value
            else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
            for value in values
        )
        + "}"
    )
