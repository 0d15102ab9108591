"""The billing time zone and currency, remembered so that pages look right while billing is away."""

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from admin_web.billing_client import BillingClient
from admin_web.billing_models import Info
from admin_web.formatting import Formats
from admin_web.service_http import ServiceError

log = structlog.stdlib.get_logger(__name__)

GOOD_FOR = timedelta(minutes=1)
RETRY_AFTER = timedelta(seconds=2)


class BillingInfo:
    """Asks billing at most once a minute, and not at every page while it is away."""

    def __init__(self, billing: BillingClient, clock: Callable[[], datetime]) -> None:
        self._billing = billing
        self._clock = clock
        self._info: Info | None = None
        self._ask_again_at: datetime | None = None

    async def formats(self) -> Formats:
        """Formats as billing has them; UTC and no currency if billing has never been reached."""
        now = self._clock()
        if self._ask_again_at is None or now >= self._ask_again_at:
            self._ask_again_at = now + RETRY_AFTER
            try:
                self._info = await self._billing.info()
                self._ask_again_at = now + GOOD_FOR
            except ServiceError as error:
                log.warning("billing_info_not_available", problem=str(error))
        if self._info is None:
            return Formats(ZoneInfo("UTC"), "")
        return Formats(_zone(self._info.timezone), self._info.currency)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        log.error("billing_time_zone_unknown", timezone=name)
        return ZoneInfo("UTC")
