"""A plan version made ready to price many calls: its tariffs indexed, its prices compiled when first used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, tzinfo

from billing_service.domain.call import Call
from billing_service.domain.curve import PriceCurve
from billing_service.domain.money import ZERO, Currency, Money
from billing_service.domain.plan import PlanTerms, Price
from billing_service.domain.tariff import TariffTable


@dataclass(frozen=True, slots=True)
class RatedCall:
    """What a call costs: precise to the micro-unit, and rounded to what is charged."""

    precise: Money
    rounded: Money


FREE = RatedCall(ZERO, ZERO)


class CompiledPlan:
    """Prices calls under one plan version. Threads may share it: a curve compiled twice is the same."""

    def __init__(self, terms: PlanTerms) -> None:
        self.terms = terms
        self._tariffs = TariffTable(terms.tariffs)
        self._curves: dict[int, PriceCurve] = {}

    def price_at(self, *, source: str, destination: str, answered_at: datetime) -> Price:
        """The price that holds for a call answered at an instant."""
        tariff = self._tariffs.choose(source=source, destination=destination, answered_at=answered_at)
        return self.terms.base_price if tariff is None else tariff.price

    def rate(self, call: Call, *, currency: Currency, zone: tzinfo) -> RatedCall:
        """The price of a call to its caller; nothing for an emergency call or one that wasn't answered."""
        if not call.is_chargeable or call.answered_at is None:
            return FREE
        price = self.price_at(source=call.caller, destination=call.callee, answered_at=call.answered_at)
        precise = self._curve(price).price_call(
            answered_at=call.answered_at, duration_us=call.duration_us, zone=zone
        )
        return RatedCall(precise, precise.rounded(currency))

    def _curve(self, price: Price) -> PriceCurve:
        # By identity: the terms keep their prices alive, and hashing one would cost more than rating a call.
        curve = self._curves.get(id(price))
        if curve is None:
            curve = self._curves[id(price)] = PriceCurve(price)
        return curve
