"""Taking the exchange offline: no new calls at once, and after the drain time no calls at all."""

from typing import Final

from sip_proxy.core.dialog.call_table import CallTable
from sip_proxy.core.exchange import Exchange
from sip_proxy.core.transaction.timers import Timer

_TEXT: Final = "The exchange is going offline"


class Drain:
    """Keeps whether the exchange is online, and ends what calls are left when the drain time is over.

    Emergency calls are refused and ended by none of this.
    """

    __slots__ = ("_calls", "_exchange", "_timer")

    def __init__(self, exchange: Exchange, calls: CallTable) -> None:
        self._exchange = exchange
        self._calls = calls
        self._timer: Timer | None = None

    @property
    def ends_at(self) -> float | None:
        """When the calls in progress will be ended, on the monotonic clock; None when they won't."""
        return None if self._timer is None else self._timer.at

    def go_offline(self, drain_s: float | None, now: float) -> None:
        """Refuse new calls from now on; after `drain_s` end those in progress. None: let them go on."""
        self._stop_timer()
        self._exchange.online = False
        if drain_s is None:
            return
        if drain_s <= 0:
            self._calls.end_all(_TEXT, now)
        else:
            self._timer = self._exchange.timers.start(drain_s, self, 0, now)

    def go_online(self) -> None:
        """Take calls again; a drain that is going on is called off."""
        self._stop_timer()
        self._exchange.online = True

    def on_timer(self, event: int, now: float) -> None:
        """The drain time is over."""
        self._timer = None
        self._calls.end_all(_TEXT, now)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
