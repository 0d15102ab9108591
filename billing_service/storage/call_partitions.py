"""The partitions of `calls`: one a month (UTC) of `invited_at`, made when the first call of it comes.

Calls from before 2020 come from imported files only; they share one partition a year. So there are never
more than 20 partitions and one for each month since.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.orm import Session

_FIRST_MONTHLY_YEAR: Final = 2020
# Any number, the same for everybody who makes partitions.
_ADVISORY_LOCK: Final = 0x70115E12


@dataclass(frozen=True, slots=True, order=True)
class CallPartition:
    """A part of `calls` by its first month; `month` is None when it is a whole year."""

    year: int
    month: int | None

    @classmethod
    def of(cls, instant: datetime) -> "CallPartition":
        """The partition that a call invited at an instant is in."""
        utc = instant.astimezone(UTC)
        return cls(utc.year, None if utc.year < _FIRST_MONTHLY_YEAR else utc.month)

    @property
    def name(self) -> str:
        """The name of its table."""
        return f"calls_{self.year}" if self.month is None else f"calls_{self.year}_{self.month:02d}"

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """Its first instant, and the first one after it."""
        first = datetime(self.year, self.month or 1, 1, tzinfo=UTC)
        if self.month is None or self.month == 12:
            return first, datetime(self.year + 1, 1, 1, tzinfo=UTC)
        return first, datetime(self.year, self.month + 1, 1, tzinfo=UTC)


def ensure_partitions(session: Session, instants: Iterable[datetime]) -> None:
    """Make the partitions that calls invited at these instants need and that don't exist yet.

    Whoever comes second waits for the first one's commit. A partition is made apart and then attached, which
    holds up neither readers nor writers of the others.
    """
    # One instant a day is enough, and there are thousands of others.
    days = {instant.toordinal(): instant for instant in (at.astimezone(UTC) for at in instants)}
    wanted = {partition.name: partition for partition in map(CallPartition.of, days.values())}
    missing = _missing(session, wanted)
    if not missing:
        return
    session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    for name in sorted(_missing(session, missing)):
        first, beyond = wanted[name].bounds
        session.execute(text(f"CREATE TABLE {name} (LIKE calls INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"))
        session.execute(
            text(
                f"ALTER TABLE calls ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{first.isoformat()}') TO ('{beyond.isoformat()}')"
            )
        )


def ensure_coming_partitions(session: Session, now: datetime) -> None:
    """Make the partitions of this month and the next, so that no call has to wait for one."""
    ensure_partitions(session, (now, CallPartition.of(now).bounds[1] + timedelta(days=1)))


def _missing(session: Session, names: Iterable[str]) -> set[str]:
    wanted = set(names)
    existing = session.scalars(
        text(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'calls'::regclass AND c.relname = ANY(:names)"
        ),
        {"names": sorted(wanted)},
    )
    return wanted - set(existing)
