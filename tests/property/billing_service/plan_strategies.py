"""Prices, zones and calls for property tests."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from billing_service.domain.errors import InvalidFields
from billing_service.domain.money import Money
from billing_service.domain.plan import Counting, Price, Weekday, Window
from billing_service.domain.wall_clock import epoch_us, offsets_between

# Clock changes of an hour, of half an hour, at midnight, in the south, twice within weeks, and none.
ZONES: tuple[tzinfo, ...] = (
    UTC,
    *map(
        ZoneInfo,
        (
            "Europe/Zurich",
            "America/New_York",
            "Australia/Lord_Howe",
            "America/St_Johns",
            "Asia/Beirut",
            "Africa/Casablanca",
        ),
    ),
)
zones = st.sampled_from(ZONES)
amounts = st.integers(0, 2_000_000).map(Money)
# Free windows are common, and some rules are about them.
window_amounts = st.just(Money(0)) | amounts
minutes_of_day = st.integers(0, 1439) | st.integers(0, 23).map(lambda hour: hour * 60)
windows = st.builds(
    Window, st.none() | st.sampled_from(Weekday), minutes_of_day, minutes_of_day, window_amounts
)


@st.composite
def prices(draw: st.DrawFn, *, counting: Counting | None = None) -> Price:
    """Any price; a window that would overlap with one before it is left out."""
    increments = st.sampled_from([1, 6, 30, 60]) | st.integers(1, 3600)
    accepted: tuple[Window, ...] = ()
    for window in draw(st.lists(windows, max_size=6)):
        try:
            Price(Money(0), windows=(*accepted, window))
        except InvalidFields:
            continue
        accepted = (*accepted, window)
    return Price(
        draw(amounts),
        standing_charge=draw(amounts),
        initial_increment_s=draw(increments),
        next_increment_s=draw(increments),
        counting=counting or draw(st.sampled_from(Counting)),
        windows=accepted,
    )


_changes = st.sampled_from(
    [
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
        datetime(2026, 3, 28, 22, tzinfo=UTC),
    ]
)
_hours_s = st.integers(-4 * 3600, 3600)
anywhere = st.integers(0, 365 * 86_400).map(lambda s: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=s))
answers = anywhere | st.builds(lambda change, s: change + timedelta(seconds=s), _changes, _hours_s)
"""Instants at whole seconds, many of them around clock changes."""

CHANGES: tuple[tuple[tzinfo, datetime], ...] = tuple(
    (zone, datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=change_us))
    for zone in ZONES
    for change_us in offsets_between(
        zone,
        epoch_us(datetime(2026, 1, 1, tzinfo=UTC)),
        epoch_us(datetime(2027, 1, 1, tzinfo=UTC)),
    )[0]
)
"""The clock changes of a year, each with its own zone."""
