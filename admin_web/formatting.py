"""How money, instants and durations look on a page."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

MINUS = "−"
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Formats:
    """Formats for one billing time zone and currency; templates know it as `fmt`."""

    zone: ZoneInfo
    currency: str

    def instant(self, at: datetime | None) -> str:
        """`2026-11-21 20:14:55 UTC`: local time with the zone in force at that instant."""
        if at is None:
            return NOTHING
        local = at.astimezone(self.zone)
        return f"{local:%Y-%m-%d %H:%M:%S} {local.tzname()}"

    def short_instant(self, at: datetime | None) -> str:
        """`2026-11-21 20:14:55`, for tables that name the zone in their header."""
        return NOTHING if at is None else f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S}"

    def time_of_day(self, at: datetime | None) -> str:
        return NOTHING if at is None else f"{at.astimezone(self.zone):%H:%M:%S}"

    def local_date(self, at: datetime | None) -> str:
        """The date of an instant in the billing time zone."""
        return NOTHING if at is None else f"{at.astimezone(self.zone):%Y-%m-%d}"

    def last_day(self, end: datetime) -> str:
        """The last date of a half-open period that ends at `end`."""
        return f"{(end - timedelta(microseconds=1)).astimezone(self.zone):%Y-%m-%d}"

    def elapsed(self, since: datetime, until: datetime) -> str:
        """`h:mm:ss` from one instant to another; nothing negative."""
        return hms(int((until - since).total_seconds()))

    def day(self, on: date | None) -> str:
        return NOTHING if on is None else on.isoformat()

    def zone_name(self) -> str:
        return self.zone.key

    def amount(self, amount: Decimal | None) -> str:
        """`1,234.50` with the decimals as billing gave them; the currency stands in the table's header."""
        if amount is None:
            return NOTHING
        text = f"{abs(amount):,f}"
        return f"{MINUS}{text}" if amount < 0 else text

    def money(self, amount: Decimal | None) -> str:
        """`1,234.50 USD`"""
        return NOTHING if amount is None else f"{self.amount(amount)}\u00a0{self.currency}".rstrip()

    def precise(self, amount: Decimal | None, *, rounded: Decimal | None) -> str:
        """An amount before rounding, without the zeros at its end that say nothing.

        It has at least the decimals of `rounded`, which billing gave as many as the currency has.
        """
        if amount is None:
            return NOTHING
        places = 0 if rounded is None else len(f"{rounded:f}".partition(".")[2])
        whole, _, decimals = f"{amount:f}".partition(".")
        return self.amount(Decimal(f"{whole}.{decimals.rstrip('0').ljust(places, '0')}"))

    def duration(self, microseconds: int | None) -> str:
        """`0:01:05`; part of a second is left off, as a running clock would show it."""
        return NOTHING if microseconds is None else hms(microseconds // 1_000_000)

    def count(self, number: int | None) -> str:
        return NOTHING if number is None else f"{number:,}"

    def iso(self, at: datetime | None) -> str:
        """For `datetime` attributes and scripts: RFC 3339 in UTC with milliseconds."""
        if at is None:
            return ""
        return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def today(self, now: datetime) -> date:
        return now.astimezone(self.zone).date()

    def parse_local(self, text: str) -> datetime | None:
        """The instant that a person wrote in a form as local time (`2026-11-21T20:14`).

        None for an empty field. Raises ValueError when it is no date and time.
        """
        if not text.strip():
            return None
        at = datetime.fromisoformat(text.strip())
        if at.tzinfo is None:
            at = at.replace(tzinfo=self.zone)
        try:
            return at.astimezone(UTC)
        except OverflowError as error:
            raise ValueError(f"{text} is out of range") from error


def hms(seconds: int) -> str:
    """`h:mm:ss`; hours grow past 24 rather than turn into days."""
    minutes, second = divmod(max(seconds, 0), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}"
