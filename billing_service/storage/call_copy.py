"""Writing blocks of calls by COPY in PostgreSQL's binary form: a third cheaper than any text for the server.

The values that have one width (instants, amounts, identifiers) are made by arrays, all rows at once; texts
are put before them. Only for programs that wait without patience (`patience.py`): COPY can't be interrupted.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import numpy as np
import psycopg2
from numpy.typing import NDArray
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from billing_service.bulk.call_block import NEVER, Booleans, Integers
from billing_service.domain.wall_clock import SECOND_US

# PostgreSQL counts microseconds from 1 January 2000 (its documentation, "COPY", "Binary Format").
_EPOCH_OF_POSTGRESQL_US: Final = 946_684_800 * SECOND_US
_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER: Final = struct.pack(">h", -1)
_NULL: Final = -1
# A numeric(18,6): so many digits to the base 10,000, of which the first weighs 10,000 ** 2.
_NUMERIC_DIGITS: Final = 5
_NUMERIC: Final = np.dtype([("head", ">i2", (4,)), ("digits", ">i2", (_NUMERIC_DIGITS,))])
_LENGTHS: Final = [struct.pack(">i", length) for length in range(1024)]


@dataclass(frozen=True, slots=True)
class Fixed:
    """A column whose values have one width, and which of them are missing."""

    values: NDArray[Any]
    missing: Booleans | None = None


def copy_rows(session: Session, table: str, columns: Sequence[tuple[str, list[bytes] | Fixed]]) -> None:
    """Copy rows into a table. Columns of texts come first, then those of one width."""
    texts = [column for _, column in columns if not isinstance(column, Fixed)]
    widths = [column for _, column in columns if isinstance(column, Fixed)]
    rows = zip(repeat(struct.pack(">h", len(columns))), *texts, _fixed_parts(widths), strict=False)
    data = b"".join(chain((_HEADER,), chain.from_iterable(rows), (_TRAILER,)))
    statement = f"COPY {table} ({', '.join(name for name, _ in columns)}) FROM STDIN (FORMAT binary)"
    driver = session.connection().connection.driver_connection
    assert driver is not None, "a session's connection is open"
    try:
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, io.BytesIO(data))
    except psycopg2.OperationalError as error:
        # As SQLAlchemy would tell it, so that the unit of work knows that the connection is gone.
        raise OperationalError(statement, None, error, connection_invalidated=driver.closed != 0) from error


def texts(values: Iterable[str]) -> list[bytes]:
    """Texts, each after its length."""
    return [
        (_LENGTHS[len(data)] if len(data) < len(_LENGTHS) else struct.pack(">i", len(data))) + data
        for data in map(str.encode, values)
    ]


def repeated_texts(values: Iterable[str]) -> list[bytes]:
    """Texts of which there are few different ones."""
    values = list(values)
    known = dict(zip(distinct := set(values), texts(distinct), strict=True))
    return [known[value] for value in values]


def digests(values: Iterable[bytes]) -> list[bytes]:
    """SHA-256 digests, each after its length."""
    return [_LENGTHS[32] + value for value in values]


def instants(us: Integers) -> Fixed:
    """Microseconds since the epoch as timestamptz; NEVER is NULL."""
    return Fixed((us - _EPOCH_OF_POSTGRESQL_US).astype(">i8"), us == NEVER)


def integers(values: Integers, kind: str = ">i8", missing: Booleans | None = None) -> Fixed:
    """Whole numbers: `>i8` is a bigint, `>i2` a smallint, `i1` a boolean."""
    return Fixed(values.astype(kind), missing)


def amounts(micros: Integers, missing: Booleans) -> Fixed:
    """Amounts in micro-units as numeric(18,6); none is negative."""
    numeric = np.zeros(len(micros), _NUMERIC)
    numeric["head"] = (_NUMERIC_DIGITS, 2, 0, 6)
    units, rest = np.divmod(micros, 1_000_000)
    for place, digit in enumerate(
        (units // 10**8, units // 10**4 % 10**4, units % 10**4, rest // 100, rest % 100 * 100)
    ):
        numeric["digits"][:, place] = digit
    return Fixed(numeric, missing)


def _fixed_parts(columns: Sequence[Fixed]) -> list[bytes]:
    """For each row its values of one width, each after its length; nothing but that is NULL has none."""
    count = len(columns[0].values)
    pattern = np.zeros(count, np.int64)
    for bit, column in enumerate(columns):
        if column.missing is not None:
            pattern |= column.missing.astype(np.int64) << bit
    parts: NDArray[np.object_] = np.empty(count, np.object_)
    # Rows that lack the same values are made together.
    for lacking in np.unique(pattern).tolist():
        chosen = np.flatnonzero(pattern == lacking)
        parts[chosen] = _alike(columns, chosen, lacking)
    made: list[bytes] = parts.tolist()
    return made


def _alike(columns: Sequence[Fixed], chosen: Integers, lacking: int) -> list[bytes]:
    layout: list[tuple[str, Any]] = []
    for place, column in enumerate(columns):
        layout.append((f"length{place}", ">i4"))
        if not lacking >> place & 1:
            layout.append((f"value{place}", column.values.dtype))
    rows = np.empty(len(chosen), np.dtype(layout))
    for place, column in enumerate(columns):
        is_missing = lacking >> place & 1
        rows[f"length{place}"] = _NULL if is_missing else column.values.dtype.itemsize
        if not is_missing:
            rows[f"value{place}"] = column.values[chosen]
    data, width = rows.tobytes(), rows.dtype.itemsize
    return [data[at : at + width] for at in range(0, len(data), width)]
