"""A time of day, every day, on the wall clock of a time zone."""

from __future__ import annotations

from datetime import datetime, time, timedelta, tzinfo

from apscheduler.triggers.base import BaseTrigger

from billing_service.domain.wall_clock import instant_of


class DailyTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires once on every calendar day, whatever the clocks do.

    A cron trigger would miss the day on which a clock change skips the time, and might fire twice on the one
    on which it is shown twice. This one fires at the change, and at the first of the two.
    """

    def __init__(self, time_of_day: time, zone: tzinfo) -> None:
        self.time_of_day = time_of_day
        self.zone = zone

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first firing after the previous one and not before now."""
        day = now.astimezone(self.zone).date() - timedelta(days=1)
        while True:
            instant = instant_of(datetime.combine(day, self.time_of_day), self.zone)
            if instant >= now and (previous_fire_time is None or instant > previous_fire_time):
                return instant.astimezone(self.zone)
            day += timedelta(days=1)

    def __str__(self) -> str:
        return f"daily at {self.time_of_day:%H:%M}"
