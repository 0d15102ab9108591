"""A plan version made ready to price many calls: its tariffs indexed, its prices compiled when first used."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

from billing_service.domain.call import Call
from billing_service.domain.curve import PriceCurve
from billing_service.domain.itemised import itemise
from billing_service.domain.money import ZERO, Currency, Money
from billing_service.domain.plan import PlanTerms, Price, Tariff
from billing_service.domain.rating import SECONDS_A_MINUTE, Charge
from billing_service.domain.tariff import TariffTable
from billing_service.domain.wall_clock import epoch_us, zone_clock

_ONE_MICRO: Final = Money(1)


@dataclass(frozen=True, slots=True)
class RatedCall:
    """What a call costs: precise to the micro-unit, and rounded to what is charged."""

    precise: Money
    rounded: Money


FREE = RatedCall(ZERO, ZERO)


@dataclass(frozen=True, slots=True)
class IncludedPart:
    """What included minutes pay of a call: so many seconds, and what these would have cost."""

    seconds: int
    precise: Money


NOTHING_INCLUDED: Final = IncludedPart(0, ZERO)


class CompiledPlan:
    """Prices calls under one plan version. Threads may share it: a curve compiled twice is the same."""

    def __init__(self, terms: PlanTerms) -> None:
        self.terms = terms
        self._tariffs = TariffTable(terms.tariffs)
        # By identity: the terms keep their prices alive, and hashing one would cost more than rating a call.
        self._curves: dict[int, PriceCurve] = {}
        self._usage_curves: dict[int, PriceCurve] = {}

    def choose(self, *, source: str, destination: str, answered_at: datetime) -> tuple[Price, Tariff | None]:
        """The price of a call answered at an instant, and the tariff that it comes from, if any."""
        tariff = self._tariffs.choose(source=source, destination=destination, answered_at=answered_at)
        return (self.terms.base_price, None) if tariff is None else (tariff.price, tariff)

    def price_at(self, *, source: str, destination: str, answered_at: datetime) -> Price:
        """The price that holds for a call answered at an instant."""
        tariff = self._tariffs.choose(source=source, destination=destination, answered_at=answered_at)
        return self.terms.base_price if tariff is None else tariff.price

    def curve(self, price: Price) -> PriceCurve:
        """The compiled form of one of the plan's own prices (the very object), the same one every time."""
        curve = self._curves.get(id(price))
        if curve is None:
            curve = self._curves[id(price)] = PriceCurve(price)
        return curve

    def rate(self, call: Call, *, currency: Currency, zone: tzinfo) -> RatedCall:
        """The price of a call to its caller; nothing for an emergency call or one that wasn't answered."""
        answered_at = call.answered_at
        if not call.is_chargeable or answered_at is None:
            return FREE
        tariff = self._tariffs.choose(source=call.caller, destination=call.callee, answered_at=answered_at)
        price = self.terms.base_price if tariff is None else tariff.price
        curve = self._curves.get(id(price)) or self.curve(price)
        precise = Money(curve.price_us(epoch_us(answered_at), call.duration_us, zone_clock(zone)))
        return RatedCall(precise, precise.rounded(currency))

    def itemise(self, price: Price, *, answered_at: datetime, duration_us: int, zone: tzinfo) -> Charge:
        """The price of a call with its parts."""
        return itemise(self.curve(price), answered_at=answered_at, duration_us=duration_us, zone=zone)

    def included_part(
        self,
        *,
        source: str,
        destination: str,
        answered_at: datetime,
        duration_us: int,
        left_s: int,
        zone: tzinfo,
    ) -> IncludedPart:
        """What `left_s` seconds of included minutes pay of a call that they cover.

        They pay charged seconds from the answer on, never the standing charge. Seconds that cost nothing
        anyway use none.
        """
        price, _ = self.choose(source=source, destination=destination, answered_at=answered_at)
        answered_us, clock = epoch_us(answered_at), zone_clock(zone)
        wanted_s = self._usage_curve(price).weighted_seconds(answered_us, duration_us, clock)
        if not wanted_s or left_s <= 0:
            return NOTHING_INCLUDED
        in_full = self.curve(price).weighted_seconds(answered_us, duration_us, clock)
        if wanted_s <= left_s:
            return IncludedPart(wanted_s, Money(in_full // SECONDS_A_MINUTE))
        paid, still_left_s = 0, left_s
        for piece in self.itemise(price, answered_at=answered_at, duration_us=duration_us, zone=zone).pieces:
            if piece.per_minute:
                used_s = min(piece.charged_s, still_left_s)
                paid += used_s * piece.per_minute.micros
                still_left_s -= used_s
        # What is left to pay is cut once, as a whole: both prices then come from one rule.
        rest = (in_full - paid) // SECONDS_A_MINUTE
        return IncludedPart(left_s, Money(in_full // SECONDS_A_MINUTE - rest))

    def _usage_curve(self, price: Price) -> PriceCurve:
        """A curve whose area is time: a second counts one when it costs something, and nothing else."""
        curve = self._usage_curves.get(id(price))
        if curve is None:
            windows = tuple(
                replace(window, per_minute=_ONE_MICRO if window.per_minute else ZERO)
                for window in price.windows
            )
            flat = replace(price, per_minute=_ONE_MICRO if price.per_minute else ZERO, windows=windows)
            curve = self._usage_curves[id(price)] = PriceCurve(flat)
        return curve
