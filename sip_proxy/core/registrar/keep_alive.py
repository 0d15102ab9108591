"""Keeping the NAT in front of a phone open: a few bytes to its flow, now and then.

A NAT forgets a UDP flow after half a minute or so without traffic, and the phone behind it is out of reach
until it speaks again. Most phones see to that themselves; these bytes (CRLF twice, no message: RFC 3261 §7.5)
are for the others.
"""

from typing import Final

from sip_proxy.core.exchange import Exchange
from sip_proxy.core.outputs import Send
from sip_proxy.core.registrar.location import LocationTable
from sip_proxy.core.registrar.nat_flows import SLOTS
from sip_proxy.core.transaction.timers import Timer

_NOTHING: Final = b"\r\n\r\n"


class NatKeepAlive:
    """Sends the bytes, spread over the interval so that many phones make no burst."""

    __slots__ = ("_exchange", "_location", "_timer")

    def __init__(self, exchange: Exchange, location: LocationTable) -> None:
        self._exchange = exchange
        self._location = location
        self._timer: Timer | None = None

    def start(self, now: float) -> None:
        """Begin, if there is anybody to keep alive and nothing goes on yet."""
        interval_s = self._exchange.config.nat_keep_alive_s
        if self._timer is None and interval_s > 0 and self._location.nat_flows:
            self._timer = self._exchange.timers.start(interval_s / SLOTS, self, 0, now)

    def on_timer(self, event: int, now: float) -> None:
        """It is the turn of some of the flows."""
        self._timer = None
        for flow in self._location.nat_flows.next_turn():
            self._exchange.emit(Send(flow, _NOTHING))
        self.start(now)
